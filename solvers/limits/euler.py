r"""Compressible Euler equations, the limit of BGK and ES-BGK as eps -> 0.

$$ \partial_t\begin{pmatrix}\rho\\ \rho u\\ E\end{pmatrix} + \partial_x\begin{pmatrix}\rho u\\ \rho u^2+p\\ u(E+p)\end{pmatrix} = 0,
   \qquad p = \rho T, \quad E = \frac{p}{\gamma-1} + \tfrac12\rho u^2 . $$

Data that jump between two constant states are solved exactly (`riemann`).  All others go through fifth-order WENO finite
differences with a global Lax-Friedrichs splitting of the characteristic variables and SSP-RK3 on a grid REFINEMENT times
finer, then a cubic spline to the coordinates that are asked for.  Walls are mirrors; other ends repeat the last cell.

References: Toro (2009), Riemann Solvers and Numerical Methods for Fluid Dynamics, chapter 4, DOI 10.1007/b79761; Jiang, Shu
(1996), J. Comput. Phys. 126, 202, DOI 10.1006/jcph.1996.0130.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from solvers.compile import njit
from solvers.problem.case import Case
from solvers.problem.riemann_states import star_density, star_state
from solvers.problem.scheme import Array
from solvers.problem.scheme import Limit as AbstractLimit
from solvers.problem.status import NumericalError
from solvers.weno import weno5

REFINEMENT = 4
MIN_CELLS = 1600
CFL = 0.5
GHOSTS = 3
BISECTIONS = 50  # of the interval between two samples that holds a jump


face_value = njit(inline="always", error_model="numpy")(weno5)


class State(NamedTuple):
    """Density, velocity, temperature (dimensionless)."""

    rho: float
    u: float
    T: float


def riemann(left: State, right: State, gamma: float, xi: Array) -> tuple[Array, Array, Array]:
    """Exact solution (rho, u, T) of the Riemann problem at xi = x/t, shapes (x,); Toro (2009), section 4.

    A vacuum between the states is answered with rho = 0 and T = 0 there.
    """
    found = star_state(left, right, gamma)
    if found is None:
        return _vacuum(left, right, gamma, xi)
    p, u = found
    rho_out, u_out, T_out = (np.empty_like(xi) for _ in range(3))
    for k, sign in ((0, 1.0), (1, -1.0)):
        # the right half is the left half seen in a mirror
        state = (left, right)[k]
        pk, ck = state.rho * state.T, np.sqrt(gamma * state.T)
        rho_star = star_density(state, p, gamma)
        side = sign * (xi - u) <= 0.0 if k == 0 else xi > u
        s, own, star = sign * xi, sign * state.u, sign * u
        if p > pk:
            speed = own - ck * np.sqrt((gamma + 1.0) / (2.0 * gamma) * p / pk + (gamma - 1.0) / (2.0 * gamma))
            before = s < speed
            rho = np.where(before, state.rho, rho_star)
            velocity = np.where(before, own, star)
            pressure = np.where(before, pk, p)
        else:
            head, tail = own - ck, star - np.sqrt(gamma * p / rho_star)
            inside = 2.0 / (gamma + 1.0) + (gamma - 1.0) / ((gamma + 1.0) * ck) * (own - np.clip(s, head, tail))
            fan = (s >= head) & (s <= tail)
            rho = np.where(fan, state.rho * inside ** (2.0 / (gamma - 1.0)), np.where(s < head, state.rho, rho_star))
            speed = 2.0 / (gamma + 1.0) * (ck + 0.5 * (gamma - 1.0) * own + s)
            velocity = np.where(fan, speed, np.where(s < head, own, star))
            pressure = np.where(fan, pk * inside ** (2.0 * gamma / (gamma - 1.0)), np.where(s < head, pk, p))
        for out, value in ((rho_out, rho), (u_out, sign * velocity), (T_out, pressure / rho)):
            out[side] = value[side]
    return rho_out, u_out, T_out


def _vacuum(left: State, right: State, gamma: float, xi: Array) -> tuple[Array, Array, Array]:
    """Two rarefactions with vacuum between them; Toro (2009), section 4.6.3."""
    out = np.zeros((3, xi.size))
    out[1] = xi
    for state, sign in ((left, 1.0), (right, -1.0)):
        c = np.sqrt(gamma * state.T)
        s, own = sign * xi, sign * state.u
        head, tail = own - c, own + 2.0 * c / (gamma - 1.0)
        fan = (s > head) & (s < tail)
        inside = 2.0 / (gamma + 1.0) + (gamma - 1.0) / ((gamma + 1.0) * c) * (own - np.clip(s, head, tail))
        rho = np.where(fan, state.rho * inside ** (2.0 / (gamma - 1.0)), state.rho)
        u = np.where(fan, 2.0 / (gamma + 1.0) * (c + 0.5 * (gamma - 1.0) * own + s), own)
        T = np.where(fan, state.T * inside**2, state.T)
        here = s < tail
        for row, value in zip(out, (rho, sign * u, T), strict=True):
            row[here] = value[here]
    return out[0], out[1], out[2]


def jump_of(case: Case) -> tuple[float, State, State] | None:
    """(position, left, right) if the initial data are two constant states, else None."""
    x = case.sample_x(2001)
    data = np.array([getattr(case.initial, name)(x=x, eps=1.0) for name in ("rho", "u", "T")])
    left, right = (State(*(float(value) for value in data[:, k])) for k in (0, -1))
    is_left, is_right = ((data == data[:, [k]]).all(axis=0) for k in (0, -1))
    first_right = int(np.argmax(is_right))
    if left == right or not (is_right[first_right:].all() and is_left[: first_right - 1].all()):
        return None
    low, high = float(x[max(first_right - 2, 0)]), float(x[first_right])
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        here = [float(getattr(case.initial, name)(x=np.array(middle), eps=1.0)) for name in ("rho", "u", "T")]
        low, high = (middle, high) if here == list(left) else (low, middle)
    return high, left, right


def conserved(rho: Array, u: Array, T: Array, gamma: float) -> Array:
    """rho, rho u, E (3, x) of fields (x,)."""
    return np.stack([rho, rho * u, rho * T / (gamma - 1.0) + 0.5 * rho * u**2])


def primitive(U: Array, gamma: float) -> Array:
    """rho, u, T of rho, rho u, E, both (..., 3, x)."""
    rho, momentum, E = np.moveaxis(U, -2, 0)
    u = momentum / rho
    return np.stack([rho, u, (gamma - 1.0) * (E / rho - 0.5 * u**2)], axis=-2)


def padded(U: Array, left: str, right: str) -> Array:
    """U (3, x) with GHOSTS cells beyond each end of the kinds `left`, `right`: the other end, a mirror, or the last cell."""
    if left == "periodic":
        return np.concatenate([U[:, -GHOSTS:], U, U[:, :GHOSTS]], axis=1)
    mirror = np.array([[1.0], [-1.0], [1.0]])
    walls = ("specular", "diffuse")
    first = mirror * U[:, GHOSTS - 1 :: -1] if left in walls else np.repeat(U[:, :1], GHOSTS, axis=1)
    last = mirror * U[:, : -GHOSTS - 1 : -1] if right in walls else np.repeat(U[:, -1:], GHOSTS, axis=1)
    return np.concatenate([first, U, last], axis=1)


@njit(inline="always", error_model="numpy")
def along(F0, F1, F2, U0, U1, U2, i, s, l0, l1, l2):
    """F + s U of cell i along (l0, l1, l2)."""
    return l0 * (F0[i] + s * U0[i]) + l1 * (F1[i] + s * U1[i]) + l2 * (F2[i] + s * U2[i])


@njit(cache=True, error_model="numpy")
def upwind(F, U, left, viscous, sign, found):
    """(F + sign viscous U)/2 along the rows `left` (3, faces) from five cells of one side, into `found` (faces,)."""
    first, step = (0, 1) if sign > 0.0 else (5, -1)
    F0, F1, F2, U0, U1, U2, l0, l1, l2 = F[0], F[1], F[2], U[0], U[1], U[2], left[0], left[1], left[2]
    a, b, c, d, e = first, first + step, first + 2 * step, first + 3 * step, first + 4 * step
    for k in range(found.size):
        s = sign * viscous[k]
        found[k] = 0.5 * face_value(
            along(F0, F1, F2, U0, U1, U2, k + a, s, l0[k], l1[k], l2[k]),
            along(F0, F1, F2, U0, U1, U2, k + b, s, l0[k], l1[k], l2[k]),
            along(F0, F1, F2, U0, U1, U2, k + c, s, l0[k], l1[k], l2[k]),
            along(F0, F1, F2, U0, U1, U2, k + d, s, l0[k], l1[k], l2[k]),
            along(F0, F1, F2, U0, U1, U2, k + e, s, l0[k], l1[k], l2[k]),
        )


@njit(cache=True, error_model="numpy")
def flux_rate(U, gamma, wide, drift):
    """-d_x F(U) + drift d_x U by characteristic WENO5 with a Lax-Friedrichs splitting; U (3, x + 2 GHOSTS) padded, result (3, x).

    wide, drift   (x,): width of the cells, which grow smoothly, and speed of their centres
    """
    cells = U.shape[1] - 2 * GHOSTS
    F, speed = np.empty_like(U), 0.0
    for i in range(U.shape[1]):
        u = U[1, i] / U[0, i]
        p = (gamma - 1.0) * (U[2, i] - 0.5 * U[1, i] * u)
        F[0, i], F[1, i], F[2, i] = U[1, i], U[1, i] * u + p, u * (U[2, i] + p)
        speed = max(speed, abs(u) + np.sqrt(gamma * p / U[0, i]))
    # eigenvectors at the face states (arithmetic mean), rows of L and columns of R
    L, R, viscous = np.empty((3, 3, cells + 1)), np.empty((3, 3, cells + 1)), np.empty(cells + 1)
    for k in range(cells + 1):
        rho, momentum, E = U[0, k + 2] + U[0, k + 3], U[1, k + 2] + U[1, k + 3], U[2, k + 2] + U[2, k + 3]
        u = momentum / rho
        p = (gamma - 1.0) * (E - 0.5 * rho * u * u)
        c, H = np.sqrt(gamma * p / rho), (E + p) / rho
        b2 = (gamma - 1.0) / (c * c)
        b1 = 0.5 * b2 * u * u
        L[0, 0, k], L[0, 1, k], L[0, 2, k] = 0.5 * (b1 + u / c), -0.5 * (b2 * u + 1.0 / c), 0.5 * b2
        L[1, 0, k], L[1, 1, k], L[1, 2, k] = 1.0 - b1, b2 * u, -b2
        L[2, 0, k], L[2, 1, k], L[2, 2, k] = 0.5 * (b1 - u / c), -0.5 * (b2 * u - 1.0 / c), 0.5 * b2
        R[0, 0, k], R[0, 1, k], R[0, 2, k] = 1.0, u - c, H - u * c
        R[1, 0, k], R[1, 1, k], R[1, 2, k] = 1.0, u, 0.5 * u * u
        R[2, 0, k], R[2, 1, k], R[2, 2, k] = 1.0, u + c, H + u * c
        viscous[k] = max(speed, abs(drift[max(k - 1, 0)]), abs(drift[min(k, cells - 1)]))
    flux, state = np.zeros((3, cells + 1)), np.zeros((3, cells + 1))  # F and U at the faces
    half = np.empty(cells + 1)
    for m in range(3):
        for sign in (1.0, -1.0):
            upwind(F, U, L[m], viscous, sign, half)
            for j in range(3):
                for k in range(cells + 1):
                    flux[j, k] += R[m, j, k] * half[k]
                    state[j, k] += R[m, j, k] * (sign * half[k] / viscous[k])
    rate = np.empty((3, cells))
    for j in range(3):
        for k in range(cells):
            rate[j, k] = (flux[j, k] - flux[j, k + 1] - drift[k] * (state[j, k] - state[j, k + 1])) / wide[k]
    return rate


def finite_differences(case: Case, cells: int, times: Array) -> tuple[Array, Array]:
    """Centres (x,) and (rho, u, T) at `times`, shape (t, 3, x)."""
    gamma = case.equation.gamma
    low, high = case.domain.x
    dx = (high - low) / cells
    x = low + dx * (np.arange(cells) + 0.5)
    rho, u, T = (getattr(case.initial, name)(x=x, eps=min(case.knudsen.all)) for name in ("rho", "u", "T"))
    U = conserved(rho, u, T, gamma)
    ends = case.boundary.left.kind, case.boundary.right.kind
    wide, still = np.full(cells, dx), np.zeros(cells)
    found, t = [], 0.0
    for end in times:
        while t < end:
            speed = np.abs(U[1] / U[0]) + np.sqrt(gamma * (gamma - 1.0) * (U[2] / U[0] - 0.5 * (U[1] / U[0]) ** 2))
            dt = min(CFL * dx / float(speed.max()), end - t)
            first = U + dt * flux_rate(padded(U, *ends), gamma, wide, still)
            second = 0.75 * U + 0.25 * (first + dt * flux_rate(padded(first, *ends), gamma, wide, still))
            U = U / 3.0 + 2.0 / 3.0 * (second + dt * flux_rate(padded(second, *ends), gamma, wide, still))
            t = end if end - t <= dt else t + dt
            if not (np.isfinite(U).all() and U[0].min() > 0.0):
                raise NumericalError(f"Euler limit: the density is not positive and finite at t = {t:.4g}")
        found.append(primitive(U, gamma))
    return x, np.array(found)


def on_points(case: Case, fine: Array, values: Array, x: Array) -> Array:
    """Cubic spline of values (..., fine) at the points x of the domain, periodic if its ends are."""
    if case.boundary.left.kind != "periodic":
        found: Array = CubicSpline(fine, values, axis=-1)(np.clip(x, fine[0], fine[-1]))
        return found
    length = case.domain.x[1] - case.domain.x[0]
    closed = np.concatenate([values, values[..., :1]], axis=-1)
    wrapped = np.where(x < fine[0], x + length, x)
    found = CubicSpline(np.append(fine, fine[0] + length), closed, axis=-1, bc_type="periodic")(wrapped)
    return found


class Limit(AbstractLimit):
    """Euler equations with the equation's gamma; exact for a jump between constant states."""

    equations = ("bgk", "esbgk")

    def solve(self, case: Case, coordinates: Mapping[str, Array], times: Array) -> dict[str, Array]:
        x = coordinates["x"]
        jump = jump_of(case)
        if jump is not None and case.boundary.left.kind != "periodic":
            at, left, right = jump
            solution = np.array([riemann(left, right, case.equation.gamma, (x - at) / t) for t in times])
        else:
            fine, values = finite_differences(case, max(REFINEMENT * len(x), MIN_CELLS), times)
            solution = on_points(case, fine, values, x)
        return {name: np.ascontiguousarray(solution[:, k]) for k, name in enumerate(("rho", "u", "T"))}
