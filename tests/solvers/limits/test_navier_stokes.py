"""Navier-Stokes: the linear dispersion relation, order in space, conservation, the Euler limit, ends."""

from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm

from solvers.limits import euler, navier_stokes
from solvers.limits.navier_stokes import Limit, solve_moments
from solvers.problem.read import read_case
from solvers.problem.status import BadInput

CASES = Path(__file__).parents[3] / "cases"
TIMES = np.array([0.05, 0.1])


def linear(d, viscosity, conductivity, k):
    """Matrix of (rho, u, T) for a wave e^{ikx} of small size on rest with rho = T = 1."""
    return np.array(
        [
            [0.0, -1j * k, 0.0],
            [-1j * k, -viscosity * k**2, -1j * k],
            [0.0, -2j * k / d, -2.0 / d * conductivity * k**2],
        ]
    )


@pytest.mark.parametrize(
    ("name", "settings", "d", "nu"),
    [
        ("bgk_smooth", (), 1, 0.0),
        ("bgk_smooth", ("equation.velocity_dimension=3",), 3, 0.0),
        ("esbgk_smooth", ("equation.nu=-0.5",), 2, -0.5),
        ("esbgk_smooth", ("equation.nu=0.5", "equation.tau=filbet_jin"), 2, 0.5),
    ],
)
def test_a_small_wave_obeys_the_dispersion_relation(name, settings, d, nu):
    """mu = eps/(tau (1 - nu)), kappa = (d + 2)/2 eps/tau: derived here, not taken from the code."""
    eps, size, k = 0.02, 1e-4, 2.0 * np.pi
    data = [f"initial.rho='1 + {size}*sin(2*pi*x)'", f"initial.T='1 + {size}*cos(2*pi*x)'"]
    case = read_case(CASES / f"{name}.toml", overrides=[*settings, *data])
    x = np.linspace(-0.5, 0.5, 40, endpoint=False)
    found = Limit(eps).solve(case, {"x": x}, TIMES)
    tau = 0.45 * np.pi if "equation.tau=filbet_jin" in settings else 1.0
    A = linear(d, 2.0 * (d - 1) / d * eps / (tau * (1.0 - nu)), 0.5 * (d + 2) * eps / tau, k)
    for j, t in enumerate(TIMES):
        rho, u, T = expm(A * t) @ np.array([-1j, 0.0, 1.0])
        for key, amplitude, mean in (("rho", rho, 1.0), ("u", u, 0.0), ("T", T, 1.0)):
            exact = (amplitude * np.exp(1j * k * x)).real
            np.testing.assert_allclose((found[key][j] - mean) / size, exact, atol=3e-3)
        flux = (-0.5 * (d + 2) * eps / tau * 1j * k * T * np.exp(1j * k * x)).real
        np.testing.assert_allclose(found["q"][j] / size, flux, atol=3e-3)


@pytest.mark.parametrize("name", ["bgk_smooth", "esbgk_smooth"])
def test_order_in_space_and_conservation(name):
    case = read_case(CASES / f"{name}.toml")
    errors = []
    _, fine = solve_moments(case, 450, TIMES, 0.02)
    for cells in (30, 90):
        _, found = solve_moments(case, cells, TIMES, 0.02)
        errors.append(np.linalg.norm(found[-1, 2] - fine[-1, 2, 450 // cells // 2 :: 450 // cells]) / np.sqrt(cells))
        start = solve_moments(case, cells, np.array([1e-6]), 0.02)[1][0].mean(axis=1)
        np.testing.assert_allclose(found[-1].mean(axis=1), start, atol=1e-10)
    assert np.log(errors[0] / errors[1]) / np.log(3.0) > 3.5


def test_without_rarefaction_it_is_euler():
    case = read_case(CASES / "bgk_smooth.toml")
    x = {"x": np.linspace(-0.49, 0.49, 50)}
    found, limit = Limit(0.0).solve(case, x, TIMES), euler.Limit().solve(case, x, TIMES)
    for key in ("rho", "u", "T"):
        np.testing.assert_allclose(found[key], limit[key], atol=2e-6)


@pytest.mark.parametrize("solver", [euler.Limit(), Limit(0.01)], ids=["euler", "navier_stokes"])
def test_specular_walls_are_mirrors(solver):
    """A pulse and its mirror image in a box of twice the length."""
    pulses = ["initial.rho='1 + 0.3*exp(-100*(x - 0.2)**2) + 0.3*exp(-100*(x + 0.2)**2)'", "initial.T=1", "initial.u=0"]
    walls = ["boundary.left=specular", "boundary.right=specular"]
    half = read_case(CASES / "bgk_smooth.toml", overrides=[*pulses, *walls, "domain.x=[0.0, 0.5]"])
    whole = read_case(CASES / "bgk_smooth.toml", overrides=[*pulses, "boundary.left=free", "boundary.right=free"])
    x = {"x": np.linspace(0.01, 0.24, 20)}
    found, exact = solver.solve(half, x, TIMES), solver.solve(whole, x, TIMES)
    np.testing.assert_allclose(found["rho"], exact["rho"], atol=2e-5)
    assert np.abs(exact["rho"] - 1.0).max() > 0.05


def test_diffuse_walls_are_refused():
    wall = "{kind='diffuse', T=1}"
    case = read_case(CASES / "sod.toml", overrides=[f"boundary.left={wall}", f"boundary.right={wall}"])
    with pytest.raises(BadInput, match="slip"):
        Limit(0.01).solve(case, {"x": np.linspace(-0.4, 0.4, 9)}, TIMES)


def test_compiled_equals_plain_python():
    rng = np.random.default_rng(0)
    rho, u, T = 1.0 + 0.2 * rng.random(30), rng.random(30), 1.0 + 0.2 * rng.random(30)
    U = np.array([rho, rho * u, 0.5 * rho * (T + u**2)])
    wide, faces, drift = 0.1 + 0.01 * rng.random(24), 0.1 + 0.01 * rng.random(27), rng.standard_normal(24)
    rates = [rate(U, 3.0, wide, drift) for rate in (euler.flux_rate, euler.flux_rate.py_func)]
    navier_stokes.dissipation(U, 3.0, wide, faces, 0.3, 0.7, 1.4, rates[0])
    navier_stokes.dissipation.py_func(U, 3.0, wide, faces, 0.3, 0.7, 1.4, rates[1])
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-9, atol=1e-10)
