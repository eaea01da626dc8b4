r"""CAGrad: the best worst decrease among all updates near the mean gradient.

    max_u min_i g_i . u   subject to |u - g_0| <= c |g_0|,    g_0 = 1/m sum_i g_i

    dual:  w = argmin_{w in simplex}  g_w . g_0 + c |g_0| |g_w|,        u = g_0 + c |g_0| / |g_w| g_w

On a support F the stationary point has a closed form: with p = Q_FF^-1 1, q = Q_FF^-1 b, b = Q 1/m, kappa = c |g_0| it is
w_F ~ nu p - q where nu is the larger root of  nu^2 1'p - 2 nu 1'q + b'q = kappa^2.  The support grows from the best single
gradient, one index at a time, each step no further than w >= 0 allows, so that the objective only falls; where a dependent
support breaks that off, a primal-dual interior-point method takes over.
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

from ..arrays import Array
from ..method import AbstractMethod, Direction, Options, State, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class CAGradOptions(Options):
    c: float = option(0.5, "radius relative to |g_0|; the paper's 0.4 to 0.5", low=0.0, high=0.999)
    rescale: int = option(1, "division of u: 0 none, 1 by 1 + c^2 (original), 2 by 1 + c", choices=(0, 1, 2))


def simplex_minimiser(Q: Array, b: Array, kappa: float) -> Array:
    """argmin b'w + kappa sqrt(w'Qw) over the simplex; Q and b of order one."""
    w = _active_set(Q, b, kappa)
    return _interior(Q, b, kappa) if w is None else w


def _active_set(Q: Array, b: Array, kappa: float) -> Array | None:
    """From the best single gradient: the steepest index enters, negative ones leave; None where that breaks down."""
    m = len(b)
    w, free = np.zeros(m), np.zeros(m, dtype=bool)
    first = int(np.argmin(b + kappa * np.sqrt(Q.diagonal())))
    w[first], free[first] = 1.0, True
    right = np.stack([np.ones(m), b], axis=1)
    for _ in range(3 * m + 3):
        Qw = Q @ w
        square = float(w @ Qw)
        if not square > 0.0:
            return None
        slope = b + kappa * Qw / square**0.5 - float(b @ w) - kappa * square**0.5
        enter = int(np.argmin(np.where(free, np.inf, slope)))
        if free.all() or slope[enter] >= -1e-10:
            return w if np.abs(slope[free]).max() < 1e-8 else None
        free[enter] = True
        while True:
            index = np.flatnonzero(free)
            try:
                p, q = np.linalg.solve(Q[index[:, None], index], right[index]).T
            except np.linalg.LinAlgError:
                return None
            one, two = float(p.sum()), float(q.sum())
            inside = two * two - one * (float(b[index] @ q) - kappa * kappa)
            if not one > 0.0:
                return None
            if inside > 0.0:  # the stationary point of this support
                root = inside**0.5
                target = ((two + root) / one * p - q) / root
                if (target > 0.0).all():
                    w[index] = target
                    break
                move = target - w[index]
            else:  # there is none: the linear part wins on the way to the boundary
                move = two / one * p - q
            falling = np.flatnonzero(move < 0.0)
            if not len(falling):
                return None
            step = w[index[falling]] / -move[falling]
            shortest = float(step.min())
            w[index] = np.maximum(w[index] + shortest * move, 0.0)
            out = index[falling[step <= shortest]]
            w[out], free[out] = 0.0, False
            if not free.any():
                return None
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
