"""What every reference scheme promises: claims, a marching that can be resumed exactly, grids that refine by three."""

import numpy as np
import pytest

from kinetic_cli.bibliography import ENTRIES
from kinetic_cli.cases import ENGINES, load_case, shipped_cases
from solvers.problem.read import case_from_data
from solvers.problem.registry import equations, schemes
from solvers.problem.scheme import COARSER


def small_case(name):
    """A shipped case that names the scheme, as its reference or as the second scheme, made small."""
    for path in shipped_cases().values():
        case = load_case(path)
        for table in (case.reference, case.verify.against):
            if table.get("scheme") == name:
                data = {**case.resolved(), "reference": dict(table)}
                for setting in schemes.load(name).small:
                    key, value = setting.split("=", 1)
                    table_name, option = key.split(".")
                    data[table_name] = {**data[table_name], option: eval(value)}
                return case_from_data(data, ENGINES)
    return pytest.fail(f"no shipped case names the scheme '{name}' in [reference] or [verify.against]")


@pytest.fixture(params=schemes.names())
def setup(request):
    scheme = schemes.load(request.param)()
    case = small_case(request.param)
    return scheme, case, scheme.Options.model_validate(case.reference)


def test_claims_are_made(setup):
    scheme, case, _ = setup
    assert set(scheme.equations) <= set(equations.names())
    assert case.equation.kind in scheme.equations
    assert len(scheme.order) == 2
    assert min(scheme.order) >= 1
    assert isinstance(scheme.asymptotic_preserving, bool)
    assert isinstance(scheme.positive, bool)
    assert set(scheme.references) <= set(ENTRIES)
    assert set(scheme.conserves) <= {name for kind in scheme.equations for name in equations.load(kind).invariants}


def test_marching_fills_every_output_time_and_resumes_to_the_same_numbers(setup):
    scheme, case, options = setup
    eps = case.knudsen.evaluate[-1]
    snapshots = list(scheme.march(case, eps, options))
    progress = [snapshot.progress for snapshot in snapshots]
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1.0)
    filled = [snapshot for snapshot in snapshots if snapshot.fields]
    assert [snapshot.t for snapshot in filled] == pytest.approx(case.domain.output_times)
    if filled[0].state is None or len(filled) < 2:
        return
    rest = [s for s in scheme.march(case, eps, options, resume=filled[0].state) if s.fields]
    assert [s.t for s in rest] == [s.t for s in filled[1:]]
    for field, values in filled[-1].fields.items():
        np.testing.assert_array_equal(rest[-1].fields[field], values)
    assert rest[-1].step == filled[-1].step


def test_conserved_integrals_drift_by_round_off_only(setup):
    scheme, case, options = setup
    if any(getattr(case.boundary, side).kind != "periodic" for side in type(case.boundary).model_fields):
        return
    for eps in (case.knudsen.all[0], case.knudsen.all[-1]):
        last = list(scheme.march(case, eps, options))[-1]
        for name in scheme.conserves:
            assert abs(last.scalars[f"drift_{name}"]) < 1e-12


def test_coarse_cells_have_centres_of_fine_ones(setup):
    scheme, case, options = setup
    large = {"cells": 90, "elements": 40, "steps": 36}
    options = options.model_copy(update={name: n for name, n in large.items() if name in type(options).model_fields})
    coarse, finer = scheme.coarser(options), scheme.finer(options)
    assert scheme.resolution(options) == scheme.ratio * scheme.resolution(coarse)
    assert scheme.resolution(finer) == scheme.ratio * scheme.resolution(options)
    back = scheme.coarser(finer)
    assert getattr(back, "mesh", back) == options
    fine_axes, axes = scheme.coordinates(case, options), scheme.coordinates(case, coarse)
    for name in ("x", "y"):
        if name in axes and len(fine_axes[name]) == COARSER * len(axes[name]):
            np.testing.assert_allclose(axes[name], fine_axes[name][1::COARSER], rtol=1e-12, atol=1e-14)
    fine_cost, cost = (scheme.plan(case, 1e-2, o) for o in (options, coarse))
    assert fine_cost["unknowns"] > cost["unknowns"]
    assert fine_cost["steps"] >= cost["steps"]
