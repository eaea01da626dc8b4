"""The diffusion limit against the half-space values, the heat kernel and the series of the in-flow problem."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.diffusion import Limit, chandrasekhar_h, half_space_value
from solvers.problem.read import read_case

CASES = Path(__file__).parents[3] / "cases"


def test_half_space_values_of_the_milne_problem():
    assert half_space_value(np.ones_like) == pytest.approx(1.0, abs=1e-9)
    assert half_space_value(lambda v: v) == pytest.approx(0.7104460896, abs=1e-9)
    assert half_space_value(lambda v: 5 * np.sin(v)) == pytest.approx(3.188932, abs=1e-6)


def test_h_function_satisfies_its_integral_equation():
    z, w = np.polynomial.legendre.leggauss(80)
    s = 0.5 * (z + 1.0)
    v, weight = s**2, w * s
    H, mu = chandrasekhar_h(v), np.array([0.1, 0.5, 1.0])
    integral = (weight * H * v / (mu[:, None] + v)).sum(-1)
    # conservative case in the form 1/H = int_0^1 v H(v) / (2 (mu + v)) dv, Chandrasekhar section 39
    np.testing.assert_allclose(1.0 / chandrasekhar_h(mu), 0.5 * integral, rtol=1e-9)


def test_periodic_case_is_the_heat_kernel():
    case = read_case(CASES / "transport_periodic.toml")
    x, t = (np.arange(37) + 0.5) / 37, np.array([0.02, 0.1])
    fields = Limit().solve(case, {"x": x}, t)
    decay = np.exp(-16 * np.pi**2 * t / 3)[:, None]
    np.testing.assert_allclose(fields["rho"], 0.34134474606854 * (1 + decay * np.cos(4 * np.pi * x)), atol=1e-10)


def test_inflow_case_is_the_sine_series():
    case = read_case(CASES / "transport_inflow.toml")
    x, t = (np.arange(40) + 0.5) / 40, np.array([0.02, 0.1])
    k = np.arange(1, 200)[:, None, None]
    series = 2 / (np.pi * k) * np.sin(k * np.pi * x) * np.exp(-((k * np.pi) ** 2) * t[:, None] / 3)
    np.testing.assert_allclose(Limit().solve(case, {"x": x}, t)["rho"], 1 - x - series.sum(0), atol=1e-9)
