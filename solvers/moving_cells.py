r"""Navier and Stokes' equations of `limits/navier_stokes.py` between free ends, on cells that move and are fine around shocks.

$$ x = x_0(t) + \ell(t)\,y, \qquad
   z = \frac N2\,\mathrm{arsinh}(2y-1) + S\sum_s\mathrm{arsinh}\frac{y-s}\delta, \quad S = \frac K{\mathrm{arsinh}\frac1{2\delta}} : $$

equal steps of z are the cells, N to a unit of y in the middle, K between a place s and y = s + 1/2 or s - 1/2 beside them, of which
S lie within delta, whatever delta is; far away they grow with the distance.  At a cell

$$ \partial_tU|_z = -\partial_xF + \partial_tx|_z\,\partial_xU , $$

derivatives in z divided by the width of the cell, which grows smoothly: what stands still in z stays resolved, wherever it runs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from solvers.compile import njit
from solvers.problem.case import Case
from solvers.problem.scheme import Array
from solvers.problem.status import NumericalError

from .limits.euler import GHOSTS, flux_rate
from .limits.navier_stokes import dissipation, gradient, transport_coefficients

#: N and K
CORE, SIDE = 90.0, 44.0
#: y from -FAR to 1 + FAR
FAR = 10.0
TOLERANCE = 1e-8
#: of a derivative by differences: well below what WENO's weights see
DIFFERENCE = 1e-9
#: cells that d_t of one depends on, times three components
BAND = 3 * GHOSTS + 2

#: (x_0, l) at a time, and their derivatives
Motion = Callable[[float], tuple[Array, Array]]


@njit(cache=True, error_model="numpy")
def graded(y, thin, sharp):
    """z of one y; `thin` is delta, `sharp` (n,) holds the places s."""
    near = 1.0  # arsinh a = ln(a + sqrt(a^2 + 1)), odd
    for s in sharp:
        a = abs(y - s) / thin
        a += math.sqrt(a * a + 1.0)
        near *= a if y > s else 1.0 / a
    return 0.5 * CORE * math.asinh(2.0 * y - 1.0) + SIDE / math.asinh(0.5 / thin) * math.log(near)


@njit(cache=True, error_model="numpy")
def places(z, thin, sharp):
    """y and dy/dz of z (n,), each (n,); by bisection."""
    y, slope = np.empty_like(z), np.empty_like(z)
    for i in range(z.size):
        low, high = -10.0 * FAR, 10.0 * FAR
        for _ in range(60):
            middle = 0.5 * (low + high)
            if graded(middle, thin, sharp) < z[i]:
                low = middle
            else:
                high = middle
        y[i] = 0.5 * (low + high)
        density = CORE / math.hypot(1.0, 2.0 * y[i] - 1.0)
        for s in sharp:
            density += SIDE / math.asinh(0.5 / thin) / math.hypot(thin, y[i] - s)
        slope[i] = 1.0 / density
    return y, slope


@dataclass(frozen=True)
class Cells:
    """Cells `step` apart in z from `start` on.

    thin, sharp   delta and the places s
    y, wide       (cells,): centres and widths
    faces         (cells + 3,): ways from one centre to the next, from two before the first to two behind the last
    """

    start: float
    step: float
    thin: float
    sharp: Array
    y: Array
    wide: Array
    faces: Array


def make_cells(start: float, step: float, count: int, thin: float, sharp: Array) -> Cells:
    y, wide = places(start + step * np.arange(count), thin, sharp)
    _, faces = places(start + step * (np.arange(count + 3) - 1.5), thin, sharp)
    return Cells(start, step, thin, sharp, y, step * wide, step * faces)


def slope(values: Array) -> Array:
    """Central differences of order four of values (..., cells) from one cell to the next, none beyond the ends."""
    return gradient(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(GHOSTS, GHOSTS)], mode="edge"), 1.0)


@njit(cache=True, error_model="numpy")
def rate_of(y, gamma, wide, faces, drift, viscosity, conductivity, dense):
    """d_t of U, both cell by cell, (3 cells,)."""
    cells = wide.size
    U = np.empty((3, cells + 2 * GHOSTS))
    for i in range(cells + 2 * GHOSTS):
        k = min(max(i - GHOSTS, 0), cells - 1)
        for j in range(3):
            U[j, i] = y[3 * k + j]
    rate = flux_rate(U, gamma, wide, drift)
    dissipation(U, gamma, wide, faces, viscosity, conductivity, dense, rate)
    return rate.T.copy().ravel()


@njit(cache=True, error_model="numpy")
def jacobian(y, gamma, wide, faces, drift, viscosity, conductivity, dense):
    """Of `rate_of`, by differences: d rate[i]/d y[j] at [BAND + i - j, j], (2 BAND + 1, 3 cells)."""
    n, period = y.size, 2 * BAND + 1
    found, step = np.zeros((period, n)), np.empty(n)
    here = rate_of(y, gamma, wide, faces, drift, viscosity, conductivity, dense)
    for j in range(n):  # rho sets the scale of momentum
        step[j] = DIFFERENCE * (abs(y[j]) + abs(y[j - j % 3]))
    for first in range(period):
        moved = y.copy()
        moved[first::period] += step[first::period]
        there = rate_of(moved, gamma, wide, faces, drift, viscosity, conductivity, dense)
        for j in range(first, n, period):
            for i in range(max(j - BAND, 0), min(j + BAND + 1, n)):
                found[BAND + i - j, j] = (there[i] - here[i]) / step[j]
    return found


def march(
    case: Case,
    eps: float,
    cells: Cells,
    motion: Motion,
    start: Array,
    times: Array,
    shares: Callable[[float], tuple[float, float]] = lambda t: (1.0, 1.0),
    source: Callable[[float, Array], tuple[Array, float]] | None = None,
) -> Array:
    """rho, rho u, E at `times` from `start` (3, cells) at the first of them, shape (t, 3, cells).

    shares   of heat flux and stress at a time
    source   (a, b) of a time and the widths of the cells then: a - b U is added to d_t U, a (3, cells)

    Raises NumericalError where the integration fails.
    """
    viscosity, conductivity, dense = transport_coefficients(case, eps)

    def data(t: float) -> tuple[object, ...]:
        (_, length), (speed, growth) = motion(t)
        heat, stress = shares(t)
        moving = length * cells.wide, length * cells.faces, speed + growth * cells.y
        return case.equation.gamma, *moving, viscosity * stress, conductivity * heat, dense

    def derivative(t: float, y: Array) -> Array:
        now = data(t)
        rate: Array = rate_of(y, *now)
        if source is not None:
            given, decay = source(t, now[1])
            rate += given.T.ravel() - decay * y
        return rate

    def slopes(t: float, y: Array) -> Array:
        now = data(t)
        found: Array = jacobian(y, *now)
        if source is not None:
            found[BAND] -= source(t, now[1])[1]
        return found

    found = solve_ivp(
        derivative, (times[0], times[-1]), start.T.ravel(), method="LSODA", t_eval=times, jac=slopes,
        rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(start).max()), lband=BAND, uband=BAND,
    )  # fmt: skip
    if not found.success or not np.isfinite(found.y).all():
        raise NumericalError(f"moving cells at eps = {eps:g}: {found.message}")
    return found.y.T.reshape(len(times), -1, 3).transpose(0, 2, 1)
