"""Every figure draws what a full view holds, draws nothing for an empty one, and says what it shows."""

from pathlib import Path

import numpy as np
import pytest

from apnn.sampling import bins
from kinetic_cli.kinds import figures
from kinetic_cli.plot import View, best_of_each, pyplot, save
from solvers.problem.read import read_case
from solvers.problem.result import Result

CASES = Path(__file__).parents[2] / "cases"
TIMES = "domain.output_times=[0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1]"


def made(kind, run, case="sod", error=0.0):
    """A full result of smooth fields: many times, f, a history with the conflict of 4 tasks and 2 residuals."""
    settings = [TIMES, "knudsen.evaluate=[1e-1, 1e-3]", "knudsen.unseen=[1e-2]"] if case == "sod" else []
    settings += ["train.knee=1e-2"]
    problem = read_case(CASES / f"{case}.toml", overrides=settings)
    x, v = np.linspace(-0.45, 0.45, 12), np.linspace(-3, 3, 7)
    axes = {"x": x, "v": v} if case == "sod" else {"x": x, "y": np.linspace(0, 1, 6)}
    result = Result.empty(problem, kind, run, axes, problem.knudsen.all)
    rng = np.random.default_rng(len(run))
    for field in ("rho", "f") if case == "sod" else ("rho",):
        shape = [len(result.coordinates[axis]) for axis in result.dimensions(field)]
        result.fields[field] = (1.0 + error) * np.broadcast_to(np.linspace(1.0, 2.0, shape[-1]), shape) + rng.random()
    if kind == "reference":
        result.limit = {"rho": result.fields["rho"][0]}
        result.uncertainty = {"rho": np.full((len(result.coordinates["eps"]), len(result.coordinates["t"])), 1e-4)}
    for step in range(1, 5):
        row = {"iteration": 10.0 * step, "seconds": 1.0 * step, "loss": 1.0 / step, "error_rho": 0.1 / step}
        row |= {"loss/mass": 0.3 / step, "loss/kinetic": 0.7 / step, **{f"loss/task{k}": 1 / step for k in range(4)}}
        if step != 2:
            row |= {"cosines": np.eye(4), "residual_cosines": np.eye(2), "step_cosines": np.ones(4), "intra_step": 0.5}
        result.log(row | {"weights": np.full(4, 0.25)})
    return result


def error_row(run, eps, value):
    return {"run": run, "eps": eps, "field": "rho", "t": None, "relative_l2": value, "seen": eps != 1e-2}


@pytest.fixture(scope="module", params=["sod", "transport_2d"])
def full(request):
    reference = made("reference", "reference", request.param)
    others = [made("train", f"{name}-seed0", request.param) for name in ("ls", "hrgrad")]
    eps = tuple(reference.coordinates["eps"])
    rows = [error_row(r.run, e, 0.1 * e**0.1 * (k + 1)) for k, r in enumerate(others) for e in eps]
    pyplot()
    return View(reference, others, rows, ("rho",), eps)


def artists(figure):
    return sum(len(axis.lines) + len(axis.images) + len(axis.collections) for axis in figure.axes if axis.get_visible())


@pytest.mark.parametrize("name", figures.names())
def test_draws_what_is_there(full, name, tmp_path):
    drawn = dict(figures.load(name)(full))
    fits = full.plane if name == "maps" else name not in ("profiles", "distribution", "space_time") or not full.plane
    assert bool(drawn) is fits
    for suffix, figure in drawn.items():
        assert artists(figure) >= (3 if name == "profiles" else 2)
        (path,) = save(figure, [tmp_path / f"{name}{suffix}.png"])
        assert path.stat().st_size > 5_000


def test_tasks_are_named_by_their_knudsen_numbers():
    """Bins of sod with a knee are no equal parts of log eps: legend and axes say the true ones."""
    run = made("train", "hrgrad-seed0")
    edges = bins((1e-4, 1.0), 4, 1e-2).numpy()
    pyplot()
    ((_, losses),) = figures.load("losses")(View(None, [run]))
    legend = losses.axes[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [f"{edge:.1e}" for edge in edges[:-1]]
    ((_, conflict),) = figures.load("conflict")(View(None, [run]))
    (image,) = conflict.axes[0].collections
    np.testing.assert_allclose(image.get_coordinates()[0, :, 0], np.log10(edges))


def test_a_run_too_short_for_a_look_at_its_conflict_has_no_figure_of_it():
    run = made("train", "ls-seed0")
    run.history = {key: rows for key, rows in run.history.items() if key not in ("residual_cosines", "step_cosines")}
    assert not list(figures.load("conflict")(View(None, [run])))


@pytest.mark.parametrize("name", figures.names())
def test_draws_nothing_of_nothing(full, name):
    bare = made("reference", "reference", full.reference.case.name)
    bare.history, bare.fields = {}, {}
    bare.coordinates["t"] = bare.coordinates["t"][:1]
    assert not list(figures.load(name)(View(bare, [], [], (), ())))
    assert len(figures.docstring(name).split("\n\n")) >= 2, "a sentence, and what it shows"


def test_one_run_of_each_contender_best_first():
    runs = [made("train", f"{name}-seed{seed}") for name in ("ls", "hrgrad", "pcgrad") for seed in (0, 1)]
    errors = {"ls": 0.3, "hrgrad": 0.1, "pcgrad": 0.2}
    pairs = [(run, [error_row(run.run, 1e-1, errors[run.run.split("-")[0]])]) for run in runs]
    assert [run.run for run in best_of_each(pairs)] == ["hrgrad-seed0", "pcgrad-seed0", "ls-seed0"]
