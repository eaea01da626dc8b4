"""The error bar of a reference brackets the true error wherever that is known."""

import numpy as np
import pytest

from kinetic_cli.cases import load_case, shipped_cases
from solvers.estimate import Estimator
from solvers.limits.euler import riemann
from solvers.problem.distance import cell_weights, on_grid, relative_l2
from solvers.problem.maxwellian import maxwellian
from solvers.problem.moments import moments
from solvers.problem.registry import schemes
from solvers.verification import euler_riemann, transport_fourier_modes
from solvers.verification.inflow_collision_series import CollisionSeries


def run(case):
    """Estimator and filled snapshots of a case at its first Knudsen number."""
    scheme = schemes.load(case.reference["scheme"])()
    options = scheme.Options.model_validate(case.reference)
    eps = case.knudsen.evaluate[0]
    estimator = Estimator(scheme, case, eps, options)
    progress = [snapshot.progress for snapshot in estimator.march()]
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(estimator.share)
    assert 0.0 < estimator.share < 0.6
    return estimator, [s for s in scheme.march(case, eps, options) if s.fields]


@pytest.mark.parametrize("eps", [1.0, 1e-2, 1e-4])
def test_bar_of_discrete_ordinates_holds_the_distance_to_the_exact_solution(eps):
    settings = [f"knudsen.evaluate=[{eps}]", "knudsen.unseen=[]", "domain.output_times=[0.02, 0.1]"]
    coarse = ["reference.scheme=discrete_ordinates", "reference.cells=81", "velocity.nodes=12", "reference.steps=9"]
    estimator, filled = run(load_case(shipped_cases()["transport_periodic"], None, settings + coarse))
    exact_case = load_case(shipped_cases()["transport_periodic"], None, [*settings, "reference.cells=54"])
    scheme = schemes.load("fourier_legendre")()
    exact = [s for s in scheme.march(exact_case, eps, scheme.Options.model_validate(exact_case.reference)) if s.fields]
    x = estimator.axes["x"]
    for ours, truth in zip(filled, exact, strict=True):
        spectrum = np.fft.rfft(truth.fields["rho"]) / 54
        k = np.arange(spectrum.size)
        phase = np.exp(2j * np.pi * np.multiply.outer(x - 0.5 / 54, k))
        rho = (phase @ (np.where(k > 0, 2.0, 1.0) * spectrum)).real
        error = relative_l2(ours.fields["rho"], rho, np.ones_like(x))
        bar = estimator.estimate(ours.t, "rho", ours.fields["rho"]).error
        assert error <= bar <= 300.0 * error + 1e-12


@pytest.mark.parametrize("eps", [1.0, 0.3, 0.1])
def test_bar_of_the_shipped_inflow_holds_the_true_error_and_meets_its_tolerance(eps):
    case = load_case(shipped_cases()["transport_inflow"], None, [f"knudsen.evaluate=[{eps}]", "knudsen.unseen=[1e-8]"])
    estimator, filled = run(case)
    x = estimator.axes["x"]
    for snapshot in filled:
        bar = estimator.estimate(snapshot.t, "rho", snapshot.fields["rho"]).error
        assert bar <= case.verify.tolerances["rho"]
        if snapshot.t <= eps:  # afterwards the front has left the slab
            error = relative_l2(
                snapshot.fields["rho"], CollisionSeries(snapshot.t / eps**2)(x / eps), cell_weights({"x": x})
            )
            assert error <= bar


def test_bar_of_two_grids_assumes_first_order_and_none_without():
    case = load_case(shipped_cases()["transport_periodic"], None, ["reference.cells=24", "knudsen.evaluate=[1e-2]"])
    case = case.model_copy(update={"reference": {**case.reference, "cells": 24}})
    estimator, filled = run(case)
    found = estimator.estimate(filled[-1].t, "rho", filled[-1].fields["rho"])
    assert len(found.distances) == 1
    assert np.isnan(found.order)
    assert found.grid == pytest.approx(3.0 * max(found.distances[0], 1e-15) / 2.0)
    scheme = schemes.load("fourier_legendre")()
    options = scheme.Options.model_validate({**case.reference, "cells": 32})
    nothing = Estimator(scheme, case, 1e-2, options)
    assert list(nothing.march()) == []
    assert nothing.share == 0.0
    assert np.isnan(nothing.estimate(0.1, "rho", np.ones(32)).error)


def small(name, eps, *settings):
    """A shipped case at one Knudsen number."""
    return load_case(shipped_cases()[name], None, [f"knudsen.evaluate=[{eps}]", "knudsen.unseen=[]", *settings])


def free_flight(case, eps, t, x):
    """Moments of f_0(x - v t, v), f_0 Maxwellian."""
    v = np.linspace(-12.0, 12.0, 4001)
    back = x[:, None] - t * v
    f = maxwellian(case.initial.rho(x=back, eps=eps), 0.0, case.initial.T(x=back, eps=eps), v)
    return dict(zip(("rho", "u", "T", "q"), moments(f, v, np.full(v.size, v[1] - v[0])), strict=True))


def finer_spectral(case, eps, t, x):
    """`fourier_exponential` on the case's own points, with far more of them and of the steps."""
    scheme = schemes.load("fourier_exponential")()
    cells = x.size * (3 if x.size % 2 else 2) + x.size * (x.size % 2 == 0)
    options = scheme.Options(cells=cells, steps=240)
    fine = case.model_copy(update={"velocity": case.velocity.model_copy(update={"nodes": 96})})
    filled = [s for s in scheme.march(fine, eps, options) if s.fields]
    last = min(filled, key=lambda snapshot: abs(snapshot.t - t))
    return {name: value[1::3] for name, value in last.fields.items()}


def periodic_modes(case, eps, t, x):
    return {"rho": transport_fourier_modes.exact(case, eps, t, x)}


def half_space(case, eps, t, x):
    return {"rho": CollisionSeries(t / eps**2)(x / eps)}


def euler_tube(case, eps, t, x):
    return {"rho": riemann(*euler_riemann.SOD, case.equation.gamma, x / t)[0]}


def known():
    """(name, case, exact fields, how much larger than the error the bar may be)."""
    waves = ["reference.scheme=imex", "reference.cells=81", "velocity.nodes=64", "domain.output_times=[0.05, 0.1]"]
    spectral = ["reference.cells=54", "reference.steps=36", "velocity.nodes=64", "domain.output_times=[0.05, 0.1]"]
    tube = euler_riemann.tube(euler_riemann.BGK1, euler_riemann.SOD, (-9.0, 9.0), 64)
    slab = ["reference.cells=27", "reference.steps=9", "velocity.nodes=12", "domain.output_times=[0.1]"]
    for eps in (1.0, 1e-2):
        modes = transport_fourier_modes.make_case(eps, [0.02, 0.1])
        graded = {"scheme": "discrete_ordinates", "cells": 81, "graded": 9, "steps": 9}
        yield f"slab modes {eps:g}", modes.model_copy(update={"reference": graded}), periodic_modes, 300.0
    for eps in (1.0, 0.3):
        yield f"half space {eps:g}", small("transport_inflow", eps, *slab), half_space, 300.0
    yield "free flight", small("bgk_smooth", 1e10, *waves), free_flight, 300.0
    for eps in (1.0, 1e-2, 1e-4):
        yield f"imex {eps:g}", small("bgk_smooth", eps, *waves), finer_spectral, 300.0
        yield f"spectral {eps:g}", small("bgk_smooth", eps, *spectral), finer_spectral, 1e4
    for scheme in ("imex", "dugks"):
        yield (
            f"tube {scheme}",
            tube.model_copy(
                update={
                    "knudsen": tube.knudsen.model_copy(update={"evaluate": (1e-7,)}),
                    "reference": {"scheme": scheme, "cells": 135},
                }
            ),
            euler_tube,
            30.0,
        )


@pytest.mark.parametrize(
    ("name", "case", "exact", "loose"), list(known()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_bar_brackets_the_true_error(name, case, exact, loose):
    """Every field that is known exactly: error <= bar, and the bar is not beyond use."""
    estimator, filled = run(case)
    for snapshot in filled:
        truth = exact(case, estimator.eps, snapshot.t, estimator.axes["x"])
        for field, value in truth.items():
            computed = snapshot.fields[field]
            error = relative_l2(computed, value, cell_weights({"x": estimator.axes["x"]}))
            bar = estimator.estimate(snapshot.t, field, computed).error

            assert error <= bar + 1e-12, field
            assert bar <= loose * error + 1e-11, field


def test_bar_holds_where_a_shock_is_thinner_than_the_cells_and_does_not_depend_on_where_they_lie():
    """Sod's tube at eps = 1e-4 against a grid of three times the cells; grids that differ little have like bars."""
    settings = ("reference.refine=[]", "velocity.nodes=48", "domain.output_times=[0.1]")
    fine = load_case(shipped_cases()["sod"], None, [*settings, "reference.cells=1053"])
    scheme = schemes.load("imex")()
    options = scheme.Options.model_validate(fine.reference)
    truth = [s for s in scheme.march(fine, 1e-4, options) if s.fields][-1].fields
    bars = []
    for cells in (333, 342, 351, 360):
        estimator, filled = run(small("sod", 1e-4, *settings, f"reference.cells={cells}"))
        for field in ("rho", "u", "T"):
            there = estimator.axes
            exact = on_grid(truth[field][None], scheme.coordinates(fine, options), there)[0]
            error = relative_l2(filled[-1].fields[field], exact, cell_weights(there))
            bar = estimator.estimate(0.1, field, filled[-1].fields[field])
            assert 0.2 < bar.order < 1.5, "the order of a layer"
            assert error <= bar.error <= 5.0 * error, field
            bars.append(bar.error)
    bars = np.reshape(bars, (-1, 3))
    assert (bars.max(axis=0) < 1.5 * bars.min(axis=0)).all()
