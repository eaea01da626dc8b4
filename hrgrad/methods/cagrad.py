r"""CAGrad: the best worst decrease among all updates near the mean gradient.

    max_u min_i g_i . u   subject to |u - g_0| <= c |g_0|,    g_0 = 1/m sum_i g_i

    dual:  w = argmin_{w in simplex}  g_w . g_0 + c |g_0| |g_w|,        u = g_0 + c |g_0| / |g_w| g_w

On a support F the stationary point has a closed form: with p = Q_FF^-1 1, q = Q_FF^-1 b, b = Q 1/m, kappa = c |g_0| it is
w_F ~ nu p - q where nu is the larger root of  nu^2 1'p - 2 nu 1'q + b'q = kappa^2.  Indices that leave or enter the support are
exchanged until the optimality conditions hold; where that does not end, a primal-dual interior-point method takes over.
Everything is relative to the size of Q: the update scales with the gradients (the peers stop doing so below 1e-4).

`rescale`: 1 divides u by 1 + c^2 (the original's default), 2 by 1 + c, 0 leaves it.
Cost: one Gramian, a few m x m solves, one weighted sum. State: none.
Source: Liu, Liu, Jin, Stone, Liu (2021), Conflict-Averse Gradient Descent, arXiv:2110.14048, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..method import AbstractMethod, Array, Direction, Options, State, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class CAGradOptions(Options):
    c: float = option(0.5, "radius relative to |g_0|; the paper's 0.4 to 0.5", low=0.0, high=0.999)
    rescale: int = option(1, "division of u: 0 none, 1 by 1 + c^2 (original), 2 by 1 + c", choices=(0, 1, 2))


def simplex_minimiser(Q: Array, b: Array, kappa: float) -> Array:
    """argmin b'w + kappa sqrt(w'Qw) over the simplex; Q and b of order one."""
    w = _exchange(Q, b, kappa)
    return _interior(Q, b, kappa) if w is None else w


def _exchange(Q: Array, b: Array, kappa: float) -> Array | None:
    m = len(b)
    free = np.ones(m, dtype=bool)
    right = np.stack([np.ones(m), b], axis=1)
    for _ in range(2 * m + 2):
        index = np.flatnonzero(free)
        if len(index) < 2:
            return None
        try:
            p, q = np.linalg.solve(Q[np.ix_(index, index)], right[index]).T
        except np.linalg.LinAlgError:
            return None
        one, two, three = float(p.sum()), float(q.sum()), float(b[index] @ q)
        inside = two * two - one * (three - kappa * kappa)
        if not (one > 0.0 and inside > 0.0):
            return None
        nu = (two + inside**0.5) / one
        w = np.zeros(m)
        w[index] = (nu * p - q) / (nu * one - two)
        r = float(w @ Q @ w)
        if not r > 0.0:
            return None
        slope = b + kappa * (Q @ w) / r**0.5 - nu
        bad = np.where(free, w < 0.0, slope < -1e-10)
        if not bad.any():
            return w if np.abs(slope[index]).max() < 1e-8 else None
        free ^= bad
    return None


def _interior(Q: Array, b: Array, kappa: float) -> Array:
    """Primal-dual interior point: z = slope - nu > 0, w z = mu -> 0, sum w = 1; stops at a gap of 1e-12."""
    m = len(b)
    w, tiny = np.full(m, 1.0 / m), 1e-24
    r = np.sqrt(w @ Q @ w + tiny)
    slope = b + kappa * (Q @ w) / r
    nu = float(slope.min()) - 1.0
    z = slope - nu
    for _ in range(60):
        gap = float(w @ z)
        if gap < 1e-12 and np.abs(slope - nu - z).max() < 1e-9:
            break
        mu = 0.1 * gap / m
        Qw = Q @ w
        H = kappa * (Q / r - np.outer(Qw, Qw) / r**3) + np.diag(z / w)
        residual = slope - nu - z
        system = np.block([[H, -np.ones((m, 1))], [np.ones((1, m)), np.zeros((1, 1))]])
        try:
            move = np.linalg.solve(system, np.append(mu / w - z - residual, 1.0 - w.sum()))
        except np.linalg.LinAlgError:
            break
        dw, dnu = move[:m], move[m]
        dz = mu / w - z - z / w * dw
        step = min(1.0, 0.95 / max(float((-dw / w).max()), float((-dz / z).max()), 1e-300))
        w, z, nu = w + step * dw, z + step * dz, nu + step * float(dnu)
        r = np.sqrt(max(float(w @ Q @ w), 0.0) + tiny)
        slope = b + kappa * (Q @ w) / r
    w = np.maximum(w, 0.0)
    share: Array = w / w.sum()
    return share


def cagrad_weights(Q: Array, c: float) -> Array:
    """Weights of u before rescaling."""
    m = len(Q)
    start = np.full(m, 1.0 / m)
    size = float(Q.diagonal().mean())
    if size <= 0.0:
        return np.zeros(m)
    Q = Q / size
    b = Q @ start
    radius = c * float(np.sqrt(max(float(b @ start), 0.0)))
    if radius <= 0.0 or m == 1:
        return start * (1.0 + c) if m == 1 else start
    w = simplex_minimiser(Q, b, radius)
    length = float(np.sqrt(max(float(w @ Q @ w), 0.0)))
    return start if length < 1e-10 else start + (radius / length) * w


@final
class Method(AbstractMethod):
    title = "CAGrad"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "deterministic"})
    Options = CAGradOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        w = cagrad_weights(problem.gramian, options.c)
        return weighted(w / (1.0, 1.0 + options.c**2, 1.0 + options.c)[options.rescale]), state
