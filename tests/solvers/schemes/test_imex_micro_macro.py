"""The micro-macro scheme on a velocity grid: against the parity scheme, mass, equilibrium, limit, resume, plain Python."""

from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from solvers.problem.read import read_case
from solvers.problem.status import BadInput
from solvers.schemes import hermite_parity, imex_micro_macro
from solvers.schemes.imex_micro_macro import Options, Scheme

DIODE = Path(__file__).parents[3] / "cases/diode.toml"


def solve(eps, *overrides, cells=81, velocities=48, **options):
    case = read_case(DIODE, overrides=overrides)
    options = Options(cells=cells, velocities=velocities, **options)
    filled = [s for s in Scheme().march(case, eps, options) if s.fields]
    return case, Scheme().coordinates(case, options)["x"], filled


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("eps", [0.1, 0.03, 1e-4, 1e-8])
def test_two_independent_schemes_agree(eps):
    case, x, filled = solve(eps)
    other = hermite_parity.Scheme()
    options = hermite_parity.Options(cells=162, steps=36)
    there = other.coordinates(case, options)["x"]
    second = [s for s in other.march(case, eps, options) if s.fields]
    for a, b in zip(filled, second, strict=True):
        assert a.scalars["drift_mass"] < 1e-13
        for field, allowed in (("rho", 2e-3), ("Phi", 1e-3), ("E", 8e-3), ("J", 8e-3)):
            assert distance(CubicSpline(there, b.fields[field])(x), a.fields[field]) < allowed, (field, a.t)


def test_constant_state_is_kept():
    flat = ('equation.doping="1"', 'initial.rho="1"', "boundary.right.potential=0.0")
    last = solve(0.1, *flat, cells=27)[2][-1]
    np.testing.assert_allclose(last.fields["rho"], 1.0, rtol=0, atol=1e-13)


def test_without_bias_the_boltzmann_relation_holds_to_second_order():
    still = ("boundary.right.potential=0.0", "domain.t_end=1.0", "domain.output_times=[1.0]", "equation.beta=0.05")
    error = []
    for cells in (27, 54):
        fields = solve(0.05, *still, cells=cells)[2][-1].fields
        assert np.abs(fields["J"]).max() < 1e-5
        error.append(np.abs(fields["rho"] - np.exp(fields["Phi"])).max())
    assert error[1] < 0.02
    assert np.log2(error[0] / error[1]) > 1.5


def test_resumed_march_is_the_same():
    case, _, filled = solve(0.1, cells=27)
    again = list(Scheme().march(case, 0.1, Options(cells=27, velocities=48), resume=filled[0].state))[-1]
    for field, value in filled[-1].fields.items():
        np.testing.assert_array_equal(again.fields[field], value)


def test_low_v_max_is_refused():
    with pytest.raises(BadInput, match=r"v_max = 3: .* take at least 5.3"):
        solve(0.1, v_max=3.0)


@pytest.mark.parametrize("eps", [0.1, 1e-5])
def test_compiled_steps_equal_plain_python(eps, monkeypatch):
    settings = {"cells": 9, "velocities": 12, "v_max": 6.0}
    short = ("domain.t_end=1e-3", "domain.output_times=[1e-3]")
    compiled = solve(eps, *short, **settings)[2][-1].fields
    for name in ("poisson", "transport", "slopes", "relax", "close", "advance", "advance_euler"):
        monkeypatch.setattr(imex_micro_macro, name, getattr(imex_micro_macro, name).py_func)
    plain = solve(eps, *short, **settings)[2][-1].fields
    for field, value in compiled.items():
        np.testing.assert_allclose(plain[field], value, rtol=1e-10, atol=1e-12)
