"""Navier-Stokes on moving cells: the map, a uniform gas, fixed cells as a second way, and what a steady shock carries through."""

from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from solvers import moving_cells
from solvers.limits.euler import conserved, primitive
from solvers.limits.navier_stokes import solve_moments, transport_coefficients
from solvers.moving_cells import FAR, SIDE, graded, make_cells, march, places, slope
from solvers.problem.read import read_case

CASES = Path(__file__).parents[2] / "cases"
SHARP = np.array([0.0, 1.0])


def whole(thin, sharp=SHARP, step=1.0):
    start, end = (graded(y, thin, sharp) for y in (-FAR, 1.0 + FAR))
    return make_cells(start, step, int((end - start) / step), thin, sharp)


@pytest.mark.parametrize("thin", [0.1, 1e-3, 1e-5])
def test_places_invert_the_map_and_every_shock_has_its_cells(thin):
    z = np.linspace(-150.0, 150.0, 61)
    y, slopes = places(z, thin, SHARP)
    np.testing.assert_allclose([graded(a, thin, SHARP) for a in y], z, atol=1e-8)
    ahead, behind = (places(z + d, thin, SHARP)[0] for d in (1e-3, -1e-3))
    np.testing.assert_allclose(slopes, (ahead - behind) / 2e-3, rtol=1e-4)
    shock = np.array([1.0])
    beside = [graded(1.0 + d, thin, shock) - graded(1.0 + d, thin, np.zeros(0)) for d in (-0.5, 0.0, 0.5)]
    np.testing.assert_allclose(np.diff(beside), SIDE, rtol=1e-6)
    fast, plain = (f(z[::20], thin, SHARP) for f in (places, places.py_func))
    np.testing.assert_allclose(fast, plain, rtol=1e-12)


def test_a_uniform_gas_stays_uniform_however_cells_move():
    case = read_case(CASES / "sod.toml")
    cells = whole(1e-3)
    state = np.array([0.7, 0.3, 1.9])
    start = np.repeat(state[:, None], cells.y.size, axis=1)
    found = march(
        case,
        1e-3,
        cells,
        lambda t: (np.array([2 * t, 0.05 + 3 * t]), np.array([2.0, 3.0])),
        start,
        np.linspace(0, 0.1, 5),
    )
    np.testing.assert_allclose(found, np.broadcast_to(start, found.shape), rtol=1e-9)


@pytest.mark.parametrize("step", [1.0, 2.0])
def test_moving_cells_find_what_fixed_ones_do(step):
    """Sod's tube at eps = 1e-2, before and after the wave has steepened; the cells follow both outer waves."""
    case, eps, times = read_case(CASES / "sod.toml"), 1e-2, np.array([0.0, 0.02, 0.1])
    cells = whole(0.1, step=step)

    def motion(t):
        return np.array([-1.7 * t, (0.04**2 + (4.0 * t) ** 2) ** 0.5]), np.array(
            [-1.7, 16.0 * t / (0.04**2 + (4.0 * t) ** 2) ** 0.5]
        )

    x = motion(0.0)[0][1] * cells.y
    rho, u, T = (getattr(case.initial, name)(x=x.clip(-0.5, 0.5), eps=eps) for name in ("rho", "u", "T"))
    found = primitive(march(case, eps, cells, motion, conserved(rho, u, T, 3.0), times), 3.0)
    fixed, exact = solve_moments(case, 1200, times[1:], eps)
    exact = primitive(exact, 3.0)
    for k in (1, 2):
        first, length = motion(times[k])[0]
        there = CubicSpline(first + length * cells.y, found[k], axis=-1)(fixed)
        np.testing.assert_allclose(there, exact[k - 1], atol=2e-5 * step**4)
    assert np.ptp(exact[-1, 1]) > 0.5


def test_a_thin_shock_is_resolved_and_carries_one_flux():
    """A steady wave has F(U) - s U and its dissipation the same everywhere: Rankine and Hugoniot, point by point."""
    case, eps = read_case(CASES / "esbgk_riemann.toml"), 1e-4
    gamma, ahead = 2.0, (1.0, 0.0, 1.0)
    mach = 2.0
    speed = mach * np.sqrt(gamma * ahead[2])
    ratio = (gamma + 1) * mach**2 / ((gamma - 1) * mach**2 + 2)
    pressure = (2 * gamma * mach**2 - (gamma - 1)) / (gamma + 1)
    behind = (ratio, speed * (1 - 1 / ratio), pressure / ratio)
    cells = whole(2e-3, np.array([1.0]))
    rise = 0.5 * (1.0 - np.tanh((cells.y - 1.0) / 4e-3))
    start = conserved(*(a + (b - a) * rise for a, b in zip(ahead, behind, strict=True)), gamma)
    found = march(
        case, eps, cells, lambda t: (np.array([speed * t, 0.1]), np.array([speed, 0.0])), start, np.array([0.0, 0.02])
    )
    rho, u, T = primitive(found, gamma)[-1]
    assert np.abs(np.diff(u[np.abs(cells.y - 1.0) < 0.05])).max() < 0.25 * behind[1]  # so many cells in the shock
    viscosity, conductivity, _ = transport_coefficients(case, eps)
    stress, heat = (-c * rho * T * slope(a) / (0.1 * cells.wide) for c, a in ((viscosity, u), (conductivity, T)))
    energy = rho * T / (gamma - 1) + 0.5 * rho * u**2
    c = u - speed
    fluxes = np.stack([rho * c, rho * u * c + rho * T + stress, energy * c + u * (rho * T + stress) + heat])
    middle = np.abs(cells.y - 1.0) < 0.2
    scale = np.abs(fluxes[:, middle]).max(axis=1)
    assert (np.ptp(fluxes[:, middle], axis=1) < 3e-3 * scale).all()
    assert np.abs(stress).max() > 0.1


def test_a_failed_integration_says_at_which_knudsen_number():
    case = read_case(CASES / "sod.toml")
    cells = whole(1e-2)
    start = np.repeat(np.array([1.0, 0.0, 0.5])[:, None], cells.y.size, axis=1)

    def source(t, wide):
        return np.full_like(start, np.nan), 0.0

    with pytest.raises(moving_cells.NumericalError, match=r"eps = 0\.01"):
        march(
            case, 1e-2, cells, lambda t: (np.array([0.0, 1.0]), np.zeros(2)), start, np.array([0.0, 0.1]), source=source
        )
