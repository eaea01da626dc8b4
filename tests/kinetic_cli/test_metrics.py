"""Mean ranks, measures of contenders, fronts, tests over seeds, fitted slopes, printed tables."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from kinetic_cli.comparison import summary
from kinetic_cli.measures import delta_m, error, f1, mean_rank, success
from kinetic_cli.metrics import contender, front_score, mean_ranks, paired_p, slope
from kinetic_cli.sheets import Format, Sheet, contenders_sheet, cost_by_contender, summary_sheet, tex


def test_mean_ranks_share_ties_and_put_failures_last():
    errors = {"a": [1.0, 1.0], "b": [2.0, 1.0], "c": [float("nan"), 3.0]}
    assert mean_ranks(errors) == {"a": 1.25, "b": 1.75, "c": 3.0}


def test_slope_is_the_exponent_at_the_small_end():
    eps = np.array([1.0, 1e-2, 1e-3, 1e-4])
    assert slope(eps, np.array([5.0, 3e-2, 3e-3, 3e-4])) == pytest.approx(1.0)
    assert np.isnan(slope(eps[:2], np.ones(2)))
    own = np.array([0.0, 0.0, 0.0, 2e-4])
    assert np.isnan(slope(eps, np.array([0.0, 3e-2, 3e-3, 3e-4]), own)), "a distance below the own error tells nothing"


def rows(errors, field="rho", **more):
    """Error rows from {run: {eps: error}}."""
    return [
        {"case": "c", "run": run, "seed": int(run[-1]), "eps": eps, "t": None, "field": field, "relative_l2": value}
        | {"seen": eps >= 0.1, "f1": None, **more}
        for run, table in errors.items()
        for eps, value in table.items()
    ]


EXAMPLE = {
    "a-seed0": {1.0: 1e-3, 0.1: 2e-3},
    "a-seed1": {1.0: 3e-3, 0.1: 4e-3},
    "b-seed0": {1.0: 1e-2, 0.1: 4e-2},
    "b-seed1": {1.0: 3e-2, 0.1: 8e-2},
    "stl-eps1-seed0": {1.0: 1e-3},
    "stl-eps0.1-seed0": {0.1: 6e-3},
}


def test_a_contender_is_the_run_without_seed_and_single_knudsen_number():
    names = ("hrgrad-seed0", "stl-eps1e-05-seed3", "stl-eps0.1-seed12", "hrgrad.transport_parity-seed1", "foreign")
    found = [contender({"run": name}) for name in names]
    assert found == ["hrgrad", "stl", "stl", "hrgrad.transport_parity", "foreign"]


def test_measures_have_their_textbook_values():
    table = rows(EXAMPLE)
    # means over seeds: a 2e-3, 3e-3; b 2e-2, 6e-2; stl 1e-3, 6e-3
    assert mean_rank.measure(table) == {"a": 1.0, "b": 2.0}, "the base has no rank"
    assert delta_m.measure(table)["a"] == pytest.approx(100.0 * (1.0 - 0.5) / 2.0)
    assert delta_m.measure(table)["stl"] == pytest.approx(0.0)
    assert success.measure(table, 1e-2) == {"a": 1.0, "b": 0.25, "stl": 1.0}
    assert error.measure(table)["a"] == pytest.approx((1e-3 * 2e-3 * 3e-3 * 4e-3) ** 0.25)
    assert success.measure(rows(EXAMPLE, field="u"), 1e-2) == {}, "only rho is counted"
    assert mean_rank.measure(rows({"a-seed0": {1.0: 1.0}})) == {}
    assert delta_m.measure(rows({"a-seed0": {1.0: 1.0}})) == {}


def test_fronts_are_found_missed_and_invented():
    x = np.linspace(-1.0, 1.0, 201)
    front = np.tanh(20.0 * x)[None]
    assert front_score(front, front, x) == 1.0
    assert front_score(np.zeros_like(front), front, x) == 0.0
    moved = front_score(np.tanh(20.0 * (x - 0.04))[None], front, x)
    assert 0.2 < moved < 0.8
    assert np.isnan(front_score(np.ones((1, 201)), np.ones((1, 201)), x))
    assert f1.measure(rows(EXAMPLE, f1=0.5))["a"] == 0.5


def test_difference_within_the_noise_of_seeds_is_called_that():
    rng = np.random.default_rng(0)
    noise = {f"{name}-seed{seed}": {1.0: float(np.exp(rng.normal()))} for name in "ab" for seed in range(5)}
    assert paired_p(rows(noise), "a", "b") > 0.05
    shifted = {run: {1.0: value[1.0] * (10.0 if run[0] == "b" else 1.0)} for run, value in noise.items()}
    for seed in range(5):
        shifted[f"b-seed{seed}"][1.0] = shifted[f"a-seed{seed}"][1.0] * 10.0 * (1.0 + 0.1 * seed)
    assert paired_p(rows(shifted), "a", "b") < 1e-3
    assert np.isnan(paired_p(rows(EXAMPLE), "a", "stl")), "one seed cannot tell"
    found = summary(rows(noise), 1e-2)
    assert found[0]["p_against_first"] is None
    assert "noise" in summary_sheet(found, 1).rows[1][-1]
    assert found[0]["spread"] > 1.0


def test_paired_test_is_that_of_the_textbook_in_one_case_and_takes_cases_as_strata():
    rng = np.random.default_rng(1)
    ours, theirs = np.exp(rng.normal(size=(2, 6)))
    one = {f"{name}-seed{k}": {1.0: e[k]} for name, e in (("a", ours), ("b", theirs)) for k in range(6)}
    assert paired_p(rows(one), "a", "b") == pytest.approx(ttest_rel(np.log(ours), np.log(theirs)).pvalue)
    # three cases in which b is 1.5, 3 and 10 times worse for every seed, up to 1 %: cases differ, seeds hardly
    many = []
    for case, factor in (("c", 1.5), ("d", 3.0), ("e", 10.0)):
        worse = {f"a-seed{k}": {1.0: 1.0} for k in range(2)}
        worse |= {f"b-seed{k}": {1.0: factor * (1.0 + 0.01 * k)} for k in range(2)}
        many += rows(worse, case=case)
    assert paired_p(many, "a", "b") < 1e-4


def test_tables_print_as_markdown_and_latex(capsys):
    sheet = Sheet("a_b: 5 %", ["eps", "rho"], [["0.1", "1.2e-03"], ["1", "~3.0e-04"]], "note")
    sheet.show(Format.markdown)
    assert "| 0.1 | 1.2e-03 |" in capsys.readouterr().out
    sheet.show(Format.latex)
    out = capsys.readouterr().out
    assert r"0.1 & $1.2\cdot 10^{-3}$ \\" in out
    assert r"\caption{a\_b: 5 \%}" in out
    assert r"${\sim}3\cdot 10^{-4}$" in out
    assert tex("hrgrad-seed0") == "hrgrad-seed0"


def test_many_results_share_tables():
    """More than six results of a case: one row per contender, seeds by their geometric mean, costs by their mean."""
    rows, cost = [], []
    for k, name in enumerate(("ls", "hrgrad", "config", "rlw", "mgda")):
        for seed in (0, 1, 2):
            run = f"{name}-seed{seed}"
            rows.append(
                {"run": run, "field": "rho", "t": None, "eps": 0.1, "relative_l2": (5 - k) * 10.0 ** (seed - 4)}
            )
            numbers = {"seconds": 1.0 + seed, "steps": 10, "seconds_per_step": 0.1, "peak_memory_mib": 100.0 + seed}
            cost.append({"case": "sod", "run": run, "status": "done" if seed else "time limit", **numbers})
    sheet = contenders_sheet("sod", rows)
    assert [row[0] for row in sheet.rows] == ["mgda", "rlw", "config", "hrgrad", "ls"]
    assert sheet.rows[-1] == ["ls", "5.0e-03"]
    (first, *others) = cost_by_contender(cost)
    assert len(others) == 4
    assert first["seconds"] == 2.0
    assert first["peak_memory_mib"] == 102.0
    assert first["status"] == "done, time limit"
