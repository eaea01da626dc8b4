"""Spectral BGK: order in time at every Knudsen number, exact free transport, weights, conservation, agreement with IMEX."""

from pathlib import Path

import numpy as np
import pytest

from solvers.problem.maxwellian import maxwellian
from solvers.problem.read import read_case
from solvers.problem.registry import schemes
from solvers.problem.status import BadInput
from solvers.schemes.fourier_exponential import Scheme, integral_weights, step_sizes

CASES = Path(__file__).parents[3] / "cases"


def solve(*overrides, eps=1e-2, cells=54, nodes=64, scheme="fourier_exponential", resume=None, **options):
    case = read_case(CASES / "bgk_smooth.toml", None, [f"velocity.nodes={nodes}", *overrides])
    engine = schemes.load(scheme)()
    chosen = engine.Options.model_validate({"scheme": scheme, "cells": cells, **options})
    return case, engine.coordinates(case, chosen), list(engine.march(case, eps, chosen, resume))


@pytest.mark.parametrize("z", [1e-6, 0.3, 3.9, 4.1, 1e3, 1e8])
def test_weights_are_exact_for_polynomials(z):
    """The integral of exp(-z s) z p(s) over [0, 1] for p of degree 4, from its values at five ages."""
    ages = np.array([0.0, 1.0, 1.8, 2.4, 2.9])
    decay, phi = integral_weights(z, ages)
    assert decay + phi.sum() == pytest.approx(1.0, abs=1e-13)
    node, weight = np.polynomial.laguerre.laggauss(40)
    for m in range(5):
        if z >= 1e3:
            exact = (weight * (node / z) ** m).sum()
        else:
            g, gw = np.polynomial.legendre.leggauss(60)
            s = 0.5 * (g + 1.0)
            exact = (0.5 * gw * z * np.exp(-z * s) * s**m).sum()
        assert phi @ ages**m == pytest.approx(exact, rel=1e-11, abs=1e-15), m


def test_free_transport_is_exact():
    """eps = 1e12: f(t, x, v) = M0(x - v t, v), whatever the steps."""
    case, axes, snapshots = solve(eps=1e12, cells=96, nodes=128, steps=5, distribution=True)
    v, w = case.velocity.nodes_and_weights()
    back = axes["x"][:, None] - 0.1 * v
    exact = maxwellian(case.initial.rho(x=back, eps=1.0), 0.0, case.initial.T(x=back, eps=1.0), v)
    assert np.abs(snapshots[-1].fields["f"] - exact).max() < 1e-11
    assert np.abs(snapshots[-1].fields["rho"] - exact @ w).max() < 1e-11


@pytest.mark.parametrize("eps", [1.0, 1e-2, 1e-4, 1e-6])
def test_order_in_time_is_four_for_every_knudsen_number(eps):
    runs = [solve(eps=eps, steps=steps)[2][-1].fields["u"] for steps in (40, 80, 320)]
    coarse, fine = (np.linalg.norm(run - runs[2]) for run in runs[:2])
    assert np.log2(coarse / fine) > 3.2
    assert fine / np.linalg.norm(runs[2]) < 1e-6


@pytest.mark.parametrize("velocity_dimension", [1, 3])
@pytest.mark.parametrize("eps", [1.0, 1e-3, 1e-8])
def test_agrees_with_finite_differences_and_conserves(eps, velocity_dimension):
    three = f"equation.velocity_dimension={velocity_dimension}"
    spectral = solve(three, eps=eps, steps=60)[2][-1]
    other = solve(three, eps=eps, scheme="imex", cells=162)[2][-1]
    assert max(abs(drift) for drift in spectral.scalars.values()) < 1e-12
    for name in ("rho", "u", "T"):
        difference = spectral.fields[name] - other.fields[name][1::3]
        assert np.linalg.norm(difference) / np.linalg.norm(spectral.fields[name]) < 2e-6


def test_constant_state_stays():
    state = ["initial.rho=0.7", "initial.u=0.3", "initial.T=1.1"]
    fields = solve(*state, cells=16, steps=10)[2][-1].fields
    for name, value in (("rho", 0.7), ("u", 0.3), ("T", 1.1), ("q", 0.0)):
        np.testing.assert_allclose(fields[name], value, atol=2e-13)


def test_resume_gives_the_same_bits():
    whole = [s for s in solve(steps=20)[2] if s.fields]
    rest = [s for s in solve(steps=20, resume=whole[0].state)[2] if s.fields]
    assert rest[-1].step == whole[-1].step
    for name in ("rho", "u", "T", "q"):
        np.testing.assert_array_equal(rest[-1].fields[name], whole[-1].fields[name])


def test_same_steps_for_every_knudsen_number_and_runs_end_on_output_times():
    case = read_case(CASES / "bgk_smooth.toml")
    runs = step_sizes(case, 100)
    t = 0.0
    for end, count, h in runs:
        t += count * h
        assert t <= end * (1 + 1e-12)
        assert h <= 1e-3 * (1 + 1e-12)
    assert t == pytest.approx(0.1)
    scheme = Scheme()
    costs = [scheme.plan(case, eps, scheme.Options()) for eps in (1.0, 1e-6)]
    assert costs[0] == costs[1]


def test_open_ends_are_refused():
    with pytest.raises(BadInput, match="periodic"):
        solve("boundary.left=free", "boundary.right=free")
