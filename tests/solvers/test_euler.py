"""The Euler limit against numbers of the literature, conservation, and its own finite differences."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.euler import Limit, State, finite_differences, jump_of, riemann
from solvers.problem.read import read_case

CASES = Path(__file__).parents[2] / "cases"
SOD = State(1.0, 0.0, 1.0), State(0.125, 0.0, 0.8)


@pytest.mark.parametrize(
    ("gamma", "star"),
    # p*, u*, shock speed: problems.md 2.2 (computed independently there)
    [(3.0, (0.27291, 0.60857, 2.2730)), (5.0 / 3.0, (0.29395, 0.84119, 1.8445))],
)
def test_sod_star_state(gamma, star):
    xi = np.array([star[1] - 1e-3, star[1] + 1e-3, star[2] - 1e-3, star[2] + 1e-3])
    rho, u, T = riemann(*SOD, gamma, xi)
    np.testing.assert_allclose((rho * T)[:3], star[0], atol=2e-5)
    np.testing.assert_allclose(u[:3], star[1], atol=2e-5)
    assert (rho[3], u[3], T[3]) == pytest.approx((0.125, 0.0, 0.8))


def test_two_shocks_of_the_esbgk_data():
    left, right = State(1.0, 2.5 * np.sqrt(2.0), 1.0), State(0.125, 0.0, 0.25)
    rho, u, T = riemann(left, right, 2.0, np.array([1.7, 1.8, 3.0, 3.1, 4.7, 4.72]))
    np.testing.assert_allclose(rho, [1.0, 1.34699, 1.34699, 0.35884, 0.35884, 0.125], atol=1e-5)
    np.testing.assert_allclose(T[1:5], [1.36576, 1.36576, 5.12675, 5.12675], atol=1e-5)
    np.testing.assert_allclose(u[1:5], 3.07045, atol=1e-5)


@pytest.mark.parametrize("gamma", [3.0, 2.0, 5.0 / 3.0])
@pytest.mark.parametrize(
    "states", [SOD, (State(1.0, -3.0, 0.4), State(1.0, 3.0, 0.4)), (State(1, 2, 1), State(2, -1, 0.5))]
)
def test_exact_solution_conserves_and_mirrors(gamma, states):
    left, right = states
    xi = np.linspace(-12.0, 12.0, 400_001)
    rho, u, _T = riemann(left, right, gamma, xi)
    for k, flux in enumerate((lambda s: s.rho * s.u, lambda s: s.rho * s.u**2 + s.rho * s.T)):
        density = (rho, rho * u)[k]
        total = np.trapezoid(density, xi)
        ends = [s.rho * (1.0, s.u)[k] * 12.0 for s in states]
        assert total == pytest.approx(sum(ends) + flux(left) - flux(right), abs=2e-3)
    mirrored = riemann(State(right.rho, -right.u, right.T), State(left.rho, -left.u, left.T), gamma, -xi)
    np.testing.assert_allclose(mirrored[0][1:-1], rho[1:-1], atol=1e-12)


def test_vacuum_is_empty():
    rho, _, T = riemann(State(1.0, -6.0, 0.4), State(1.0, 6.0, 0.4), 2.0, np.linspace(-0.5, 0.5, 11))
    assert rho.max() == T.max() == 0.0


def test_jump_is_recognised():
    at, left, right = jump_of(read_case(CASES / "bgk_riemann.toml", "V"))
    assert at == pytest.approx(0.0, abs=1e-12)
    assert (left, right) == (State(1.5, 0.0, 1.5), State(0.625, 0.0, 0.75))
    assert jump_of(read_case(CASES / "sod.toml")) is None
    aside = ["initial.rho='rho_L + (rho_R - rho_L)*heaviside(x - 0.12345)'", "initial.T=1.0"]
    at, _, _ = jump_of(read_case(CASES / "bgk_riemann.toml", "V", aside))
    assert at == pytest.approx(0.12345, abs=1e-12)


def test_finite_differences_converge_to_the_exact_jump():
    case = read_case(CASES / "bgk_riemann.toml", "V")
    errors = []
    for cells in (100, 200, 400):
        x, found = finite_differences(case, cells, np.array([0.05]))
        exact = riemann(*jump_of(case)[1:], 3.0, x / 0.05)
        errors.append(np.abs(found[0][0] - exact[0]).mean())
    assert errors[2] < 0.6 * errors[1] < 0.36 * errors[0]


def test_finite_differences_are_of_high_order_on_smooth_data():
    case = read_case(CASES / "bgk_smooth.toml")
    times = np.array([0.05])
    _, fine = finite_differences(case, 1280, times)
    errors = []
    for cells in (80, 160):
        x, found = finite_differences(case, cells, times)
        coordinates = {"x": x}
        exact = Limit().solve(case, coordinates, times)["rho"]
        errors.append(np.sqrt(np.mean((found[0][0] - exact[0]) ** 2)))
        assert np.sum(found[0][0]) / cells == pytest.approx(1.0, abs=1e-13)
    assert np.isfinite(fine).all()
    assert np.log2(errors[0] / errors[1]) > 3.5
