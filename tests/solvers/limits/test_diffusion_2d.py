"""The diffusion limit in the plane: half-space values of the circle, the sine series, variable coefficients, symmetry."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.diffusion_2d import Limit, circle_h, half_space_rule, slip
from solvers.problem.read import read_case
from solvers.problem.status import BadInput

CASE = Path(__file__).parents[3] / "cases/transport_2d.toml"
TIMES = np.array([0.1, 0.5])
X = -1.0 + 2.0 * (np.arange(9) + 0.5) / 9


def solve(*overrides):
    return Limit().solve(read_case(CASE, overrides=overrides), {"x": X, "y": X}, TIMES)


def test_slip_of_the_circle():
    """1/2 + 1/pi: the Wiener-Hopf integral of K(k) = (1 + k^2)^(-1/2) in closed form."""
    assert slip() == pytest.approx(0.5 + 1.0 / np.pi, abs=1e-13)


def test_h_function_satisfies_its_integral_equation():
    angle = half_space_rule(96)[0]
    z, w = np.polynomial.legendre.leggauss(96)
    mu, dtheta = np.cos(angle), w * 0.75 * np.pi * (0.5 * (1.0 - z)) ** 2
    # conservative case in the form 1/H(m) = int mu H(mu) Psi(mu) / (m + mu) dmu with Psi dmu = dtheta / pi
    m = np.array([0.1, 0.5, 1.0])
    integral = (dtheta * circle_h(mu) * mu / np.pi / (m[:, None] + mu)).sum(-1)
    np.testing.assert_allclose(1.0 / circle_h(m), integral, rtol=1e-9)


def test_source_between_cold_walls_is_the_double_sine_series():
    k = np.arange(1, 1201, 2)
    sine, decay = np.sin(np.outer(X + 1.0, k) * np.pi / 2), np.pi**2 / 8 * (k[:, None] ** 2 + k**2)
    found = solve()
    for i, t in enumerate(TIMES):
        c = 16.0 / np.pi**2 / np.outer(k, k) * -np.expm1(-decay * t) / decay
        np.testing.assert_allclose(found["rho"][i], sine @ c @ sine.T, atol=2e-8)
    np.testing.assert_allclose(found["J1"], found["J2"].swapaxes(1, 2), atol=1e-10)


def test_variable_coefficients_follow_the_same_equation():
    """The general path on constant coefficients written as formulas."""
    plain = solve("equation.sigma_a=0.7")
    general = solve("equation.sigma_a='0.7 + 0*x'")
    for field in plain:
        np.testing.assert_allclose(general[field], plain[field], atol=5e-6)


def test_steady_state_between_unequal_walls_is_linear():
    hot = "boundary.right={kind='inflow', f='2'}"
    found = solve(
        hot, "equation.source=0", "boundary.bottom='specular'", "boundary.top='specular'", "equation.sigma_s=0.01"
    )
    np.testing.assert_allclose(found["rho"][-1], np.tile(1.0 + X[:, None], 9), atol=1e-9)


def test_data_that_move_are_refused():
    with pytest.raises(BadInput, match="do not depend on t"):
        solve("equation.source='t'")
