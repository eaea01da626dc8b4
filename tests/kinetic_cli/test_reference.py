"""`kinetic reference` and `kinetic verify`: error bars, tolerance, convergence table, interruption inside an eps."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from kinetic_cli.cases import load_case, shipped_cases
from kinetic_cli.reference import ReferenceRun
from solvers.problem.result import Result, checkpoint_path
from solvers.problem.status import BadInput
from solvers.schemes import hermite_parity
from solvers.schemes.imex import Scheme

CASES = Path(__file__).parents[2] / "cases"
SMALL = ["--set", "knudsen.evaluate=[1e-1, 1e-3]", "--set", "knudsen.unseen=[]", "--set", "velocity.nodes=48"]
IMEX = ["--set", "reference.scheme=imex", "--set", "reference.cells=81"]


def test_reference_carries_its_own_error_and_convergence(kinetic, tmp_path):
    out, _ = kinetic("reference", CASES / "bgk_smooth.toml", *SMALL, *IMEX, "--order", cwd=tmp_path)
    assert "own error" in out
    assert "to N/3" in out
    result = Result.read(tmp_path / "results/bgk_smooth/reference.h5")
    assert result.uncertainty["rho"].shape == (2, 3)
    assert (result.uncertainty["rho"] > 0.0).all()
    assert (result.uncertainty["rho"] < 1e-3).all()
    np.testing.assert_array_equal(result.convergence["cells"], [[27, 81]] * 2)
    assert (result.convergence["rho"][:, 0] > 10.0 * result.convergence["rho"][:, 1]).all()
    assert (result.convergence["rho_order"] > 2.0).all()
    out, _ = kinetic("reference", CASES / "bgk_smooth.toml", *SMALL, *IMEX, "--no-estimate", cwd=tmp_path)
    assert not Result.read(tmp_path / "results/bgk_smooth/reference.h5").uncertainty
    kinetic("reference", "bgk_smooth", "--no-estimate", "--order", cwd=tmp_path, expect=2)


def test_reference_and_compare_show_the_correction_of_the_limit(kinetic, tmp_path):
    out, _ = kinetic("reference", CASES / "bgk_smooth.toml", *SMALL, *IMEX, "--no-estimate", cwd=tmp_path)
    assert "to navier_stokes" in out
    result = Result.read(tmp_path / "results/bgk_smooth/reference.h5")
    assert result.correction["q"].shape == result.fields["q"].shape
    away = [np.linalg.norm(result.fields["T"][1] - table) for table in (result.limit["T"], result.correction["T"][1])]
    assert away[1] < 0.05 * away[0], "at eps = 1e-3 Navier-Stokes is much closer than Euler"
    out, _ = kinetic("compare", "results", cwd=tmp_path)
    assert "to navier_stokes" in out
    wall = ["--set", "boundary.left={kind='diffuse', T=1}", "--set", "boundary.right={kind='diffuse', T=1}"]
    _, err = kinetic("reference", "sod", *SMALL, *IMEX, *wall, "--no-estimate", cwd=tmp_path)
    assert "navier_stokes left out at eps = 0.1" in err
    assert not Result.read(tmp_path / "results/sod/reference.h5").correction


def test_tolerance_refines_or_says_why_not(kinetic, tmp_path):
    words = ["reference", CASES / "bgk_smooth.toml", *SMALL, *IMEX[:2], "--set", "reference.cells=27"]
    _, err = kinetic(*words, "--tolerance", "3e-4", cwd=tmp_path)
    assert "refined to 81 cells" in err
    result = Result.read(tmp_path / "results/bgk_smooth/reference.h5")
    assert result.case.reference["cells"] == 81
    assert result.uncertainty["rho"].max() <= 3e-4
    _, err = kinetic(*words[:-1], "reference.cells=32", "--tolerance", "1e-9", cwd=tmp_path, expect=4)
    assert "cannot be divided by 3" in err


def test_a_finer_grid_for_small_knudsen_numbers_is_sampled_where_the_result_is(tmp_path):
    settings = ["knudsen.evaluate=[1e-1, 1e-2]", "knudsen.unseen=[]", "velocity.nodes=48", "reference.scheme=imex"]
    refine = "reference.refine=[{eps=1e-2, times=3, thinned=1}]"
    case = load_case(shipped_cases()["bgk_smooth"], None, [*settings, "reference.cells=27", refine])
    run = ReferenceRun(case, tmp_path / "refined.h5")
    run.solve()
    assert run.result.fields["rho"].shape[2] == 27
    np.testing.assert_array_equal(run.result.convergence["cells"][:, 1], [27, 81])
    for i, (eps, cells, nodes) in enumerate([(1e-1, 27, 48), (1e-2, 81, 32)]):
        plain = [f"reference.cells={cells}", f"velocity.nodes={nodes}", f"knudsen.evaluate=[{eps}]"]
        alone = ReferenceRun(load_case(shipped_cases()["bgk_smooth"], None, [*settings, *plain]), tmp_path / "alone.h5")
        alone.solve()
        sampled = alone.result.fields["rho"][0] if cells == 27 else alone.result.fields["rho"][0, :, 1::3]
        np.testing.assert_array_equal(run.result.fields["rho"][i], sampled)
        np.testing.assert_array_equal(run.result.uncertainty["rho"][i], alone.result.uncertainty["rho"][0])
    with pytest.raises(BadInput, match="must be odd"):
        load_case(shipped_cases()["bgk_smooth"], None, [*settings, "reference.refine=[{eps=1e-2, times=2}]"])


def test_velocities_are_thinned_as_long_as_they_hold_the_gas():
    """Behind the rarefaction T = 0.42: 20 nodes on [-10, 10] miss exp(-2 pi^2 T/dv^2) = 5e-4 of it, so that 32 of 48 stay."""
    case = load_case(shipped_cases()["sod"], None, ["velocity.nodes=48"])
    options = Scheme.Options.model_validate({**case.reference, "refine": [{"eps": 1e-2, "thinned": 5}]})
    assert [options.at(case, eps)[0].velocity.nodes for eps in (1e-1, 1e-2)] == [48, 32]


def test_velocities_of_electrons_are_thinned_too():
    case = load_case(shipped_cases()["diode"], "unit", [])
    options = hermite_parity.Options.model_validate(dict(case.reference))
    assert [options.at(case, eps)[0].velocity.nodes for eps in (1e-1, 1e-2)] == [144, 96]


def test_interrupted_inside_one_knudsen_number_goes_on_to_the_same_fields(tmp_path, monkeypatch):
    settings = ["knudsen.evaluate=[1e-2]", "knudsen.unseen=[]", "velocity.nodes=48", "reference.scheme=imex"]
    case = load_case(shipped_cases()["bgk_smooth"], None, [*settings, "reference.cells=27"])
    ReferenceRun(case, tmp_path / "whole.h5").solve()
    march = Scheme.march

    def interrupted(self, case, eps, options, resume=None):
        for snapshot in march(self, case, eps, options, resume):
            yield snapshot
            if snapshot.fields and options.cells == 27:
                raise KeyboardInterrupt

    path = tmp_path / "parts.h5"
    monkeypatch.setattr(Scheme, "march", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ReferenceRun(case, path).solve()
    assert checkpoint_path(path).exists()
    assert not Result.read(path).complete(1e-2)
    starts = []

    def counted(self, case, eps, options, resume=None):
        starts.append(resume)
        return march(self, case, eps, options, resume)

    monkeypatch.setattr(Scheme, "march", counted)
    ReferenceRun(case, path, resume=True).solve()
    assert starts[-1]["t"] == pytest.approx(case.domain.output_times[0]), "not from t = 0 again"
    whole, parts = Result.read(tmp_path / "whole.h5"), Result.read(path)
    for field, values in whole.fields.items():
        np.testing.assert_array_equal(parts.fields[field], values)
    assert not checkpoint_path(path).exists()


def test_comparison_that_the_reference_cannot_decide_is_flagged(kinetic, tmp_path):
    kinetic("reference", CASES / "bgk_smooth.toml", *SMALL, *IMEX, cwd=tmp_path)
    kinetic("reference", CASES / "bgk_smooth.toml", *SMALL, *IMEX, "--name", "same", cwd=tmp_path)
    out, _ = kinetic("compare", "--no-figures", cwd=tmp_path)
    assert "not decided by this reference" in out
    found = json.loads(kinetic("compare", "--no-figures", "--json", cwd=tmp_path)[0])
    assert all(row["decided"] is False for row in found["errors"] if row["field"] == "rho")
    with h5py.File(tmp_path / "results/bgk_smooth/same.h5") as file:
        assert (file["errors/decided"][...] == 0.0).all()


def test_verify_holds_a_case_against_its_second_scheme(kinetic, tmp_path):
    settings = ["knudsen.evaluate=[1.0]", "knudsen.unseen=[]", "velocity.nodes=16", "verify.rho=1e-4"]
    words = [word for text in settings for word in ("--set", text)]
    second = ["--set", 'verify.against={scheme="discrete_ordinates", cells=81, steps=18}']
    words = ["verify", CASES / "transport_periodic.toml", *words, "--set", "reference.cells=54", *second]
    out, _ = kinetic(*words, cwd=tmp_path)
    assert "2 of 2 pass" in out
    out, err = kinetic(*words, "--set", "verify.rho=1e-30", cwd=tmp_path, expect=4)
    assert "FAIL" in out
    assert "exceed their tolerance" in err
    assert "kept" not in err or "results" in err


def test_verify_names_what_it_does_not_know(kinetic, tmp_path):
    _, err = kinetic("verify", "nonsense", cwd=tmp_path, expect=2)
    assert "no verification 'nonsense'" in err


def test_full_disk_is_named_and_costs_no_result(kinetic, tmp_path):
    """The operating system refuses to write more than 20 kB: the old file stays whole, nothing half-written is left."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    words = ["reference", CASES / "transport_periodic.toml", "--set", "knudsen.evaluate=[1.0]", "--set"]
    kinetic(*words, "knudsen.unseen=[]", "--set", "reference.cells=54", cwd=tmp_path)
    path = tmp_path / "results/transport_periodic/reference.h5"
    before = path.read_bytes()
    _, err = kinetic(*words, "knudsen.unseen=[]", "--set", "reference.cells=4374", cwd=tmp_path, expect=1, before=limit)
    assert "cannot be written" in err
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
