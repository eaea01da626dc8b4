r"""Rotating gradients towards an anchor: the geometry of (14)-(16) in polar angles about the anchor, all of it m x m.

With the unit anchor v = sum_k beta_k a_k and p = C beta, every unit gradient is a_i = cos(theta_i) v + sin(theta_i) u_i, and
rotating it towards v only shrinks its polar angle:

    r_i = cos(phi_i) v + sin(phi_i) u_i,    phi_i = theta_i - alpha_i,    r_i . r_j = cos phi_i cos phi_j + sin phi_i sin phi_j K_ij
    K_ij = u_i . u_j = (C_ij - p_i p_j) / (s_i s_j),                       s = sin(theta)

**Box.** r_i . a_j = cos phi_i p_j + sin phi_i s_j K_ij >= 0 for all j exactly when phi_i <= top_i,
cot(top_i) = max over K_ij < 0 of -s_j K_ij / p_j: inside the box r_i is in the dual cone, between a_i and v, and no two
rotated gradients conflict, whatever the angles.

**Energy (16)**  E = 1/(m(m-1)) sum_{i<j} (1 - r_i.r_j) + lambda/(4m) sum_i |r_i - a_i|^2.  -E is, up to a constant, a CONVEX function
of (r_1, ..., r_m), 1/2 |sum r|^2 / (m(m-1)) + lambda/(2m) sum a_i.r_i, so that the simultaneous exact step

    phi_i <- clip( atan2(B_i, A_i), 0, top_i )
    A = sum_j cos phi_j / (m(m-1)) + lambda/(2m) p,    B = K sin phi / (m(m-1)) + lambda/(2m) s

never raises E. It needs no learning rate, and, unlike a sweep one by one, does not depend on the order of the tasks; projected
Newton steps on the free angles finish it. The energy is not convex in the angles: started at the edge of the box nearest to the
original gradients, this is a definite stationary point, not a proven global minimum. `descend` is the published inner loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import TINY, Array

ALIGNED = 1e-9
SWEEPS = 200
POLISH = 4


@dataclass(frozen=True)
class Polar:
    """Unit gradients in polar form about the anchor v."""

    p: Array
    s: Array
    theta: Array
    K: Array
    aligned: NDArray[np.bool_]

    def top(self) -> Array:
        """Largest polar angles for which every r_i opposes no gradient."""
        cotangent = -(self.K * (self.s / np.maximum(self.p, TINY))).min(1)
        top: Array = np.minimum(np.arctan2(1.0, np.maximum(cotangent, 0.0)), self.theta)
        return top

    def rotated(self, phi: Array) -> tuple[Array, Array, Array]:
        """Gramian of the r_i and the coefficients x, y of r_i = x_i a_i + y_i v."""
        c, s = np.cos(phi), np.sin(phi)
        G = c[:, None] * c + (s[:, None] * s) * self.K
        G.reshape(-1)[:: len(phi) + 1] = 1.0
        if not self.aligned.any():
            x = s / self.s
            return G, x, c - self.p * x
        x = np.where(self.aligned, 1.0, s / np.where(self.aligned, 1.0, self.s))
        return G, x, np.where(self.aligned, 0.0, c - self.p * x)


def polar(C: Array, p: Array) -> Polar:
    """Polar form of unit gradients with cosines C among themselves and p with the anchor."""
    p = np.minimum(np.maximum(p, -1.0), 1.0)
    s = np.sqrt((1.0 - p) * (1.0 + p))
    aligned = s < ALIGNED
    safe = np.where(aligned, 1.0, s)
    K = (C - p[:, None] * p) / safe / safe[:, None]
    K.reshape(-1)[:: len(p) + 1] = 1.0
    return Polar(p, s, np.arctan2(s, p), K, aligned)


def energy(q: Polar, phi: Array, penalty: float) -> float:
    """E of (16)."""
    m = len(phi)
    G, _, _ = q.rotated(phi)
    stay = penalty / (2.0 * m) * float((1.0 - np.cos(q.theta - phi)).sum())
    return (m * m - float(G.sum())) / (2.0 * m * (m - 1)) + stay


def settle(
    q: Polar, phi: Array, top: Array, turning: NDArray[np.bool_], penalty: float, tolerance: float = 1e-8
) -> Array:
    """The stationary point of E that the monotone steps reach from phi; only `turning` angles move, in [0, top]."""
    m = len(phi)
    pair, stay = np.full(m, 1.0 / (m * (m - 1))), penalty / (2.0 * m)
    K, fixed_cos, fixed_sin = pair * q.K, stay * q.p, stay * q.s
    low, high = np.where(turning, 0.0, phi), np.where(turning, top, phi)
    for sweep in range(SWEEPS):
        A, B = pair @ np.cos(phi) + fixed_cos, K @ np.sin(phi) + fixed_sin
        new = np.minimum(np.maximum(np.arctan2(B, A), low), high)
        change, phi = new - phi, new
        if change @ change < tolerance * tolerance:
            break
        if sweep % POLISH == POLISH - 1:
            phi = _newton(phi, low, high, K, pair, fixed_cos, fixed_sin)
    return phi


def _newton(phi: Array, low: Array, high: Array, K: Array, pair: Array, fixed_cos: Array, fixed_sin: Array) -> Array:
    """One Newton step on the angles inside the box, where the Hessian is positive there and the step is small.

    The others are held by a unit row of the system.
    """
    free = (phi > low) & (phi < high)
    if not free.any():
        return phi
    c, s = np.cos(phi), np.sin(phi)
    A, B = pair @ c + fixed_cos, K @ s + fixed_sin  # with the own terms, which cancel in the slope
    slope, bend = free * (A * s - B * c), A * c + B * s - pair
    c, s = free * c, free * s
    H = -pair * s[:, None] * s - c[:, None] * c * K
    H.reshape(-1)[:: len(phi) + 1] = np.where(free, bend, 1.0)
    try:
        np.linalg.cholesky(H)
    except np.linalg.LinAlgError:
        return phi
    step = np.linalg.solve(H, slope)
    if np.abs(step).max() > 0.2:
        return phi
    held: Array = np.minimum(np.maximum(phi - step, low), high)
    return held


def descend(q: Polar, phi: Array, low: Array, top: Array, penalty: float, steps: int, lr: float) -> Array:
    """`steps` projected gradient steps on E in alpha = theta - phi, the inner loop of the published text."""
    m = len(phi)
    pair, stay = 1.0 / (m * (m - 1)), penalty / (2.0 * m)
    for _ in range(steps):
        c, s = np.cos(phi), np.sin(phi)
        A = pair * (c.sum() - c) + stay * q.p
        B = pair * (q.K @ s - s) + stay * q.s
        phi = np.minimum(np.maximum(phi - lr * (A * s - B * c), low), top)
    return phi


def adaptive_steps(losses: Array, before: Array, fewest: int, most: int, sensitivity: float) -> int:
    """(17): N = n_min + (n_max - n_min) s / (s + k), s the standard deviation of the relative loss changes.

    A loss that is nan before or after (a task not seen yet, or not evaluated) counts as unchanged.
    """
    change = (losses - before) / np.maximum(np.abs(before), 1e-300)
    spread = float(np.clip(np.nan_to_num(change), -1e6, 1e6).std())
    return fewest + round((most - fewest) * spread / (spread + sensitivity)) if spread > 0.0 else fewest
