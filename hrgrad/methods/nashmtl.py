r"""Nash-MTL: the bargaining solution between the tasks.

    Q alpha = 1 / alpha,  alpha > 0:   the unique minimiser of  1/2 alpha' Q alpha - sum_i log alpha_i,      u = sum alpha_i g_i

With b_i = alpha_i |g_i| it reads C b = 1/b: lengths drop out. Newton steps on the pair (b, s = 1/b), both kept positive as in an
interior-point method, converge in three to eight m x m solves:

    (C + diag(s/b)) db = 1/b - C b,   ds = 1/b - s - s/b db

|u| = sqrt(m) always, so max_norm = 1 always divides by sqrt(m). At a Pareto
stationary point alpha diverges: reported, with zero weights.
Cost: one Gramian, about six m x m solves, one weighted sum. State: none (the original starts from its last, unfinished alpha).
Source: Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya (2022), Multi-Task Learning as a Bargaining Game,
arXiv:2202.01017, claim 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..arrays import Array
from ..method import AbstractMethod, Direction, Options, State, option, weighted
from ..problem import Problem

LARGEST = 1e7
INSIDE = 0.05
REACH = 0.95
ROUNDS = 100


@dataclass(frozen=True)
class NashMTLOptions(Options):
    max_norm: float = option(1.0, "largest |u|, 0 for no limit; the original's 1", low=0.0)


def bargain(C: Array, right: Array, power: float) -> tuple[Array, bool]:
    """b > 0 with C b = right * b^-power, and whether it was found."""
    b = right ** (1.0 / (1.0 + power))
    try:  # from the point of equal cosines, pushed inside: half of the steps
        y = np.linalg.solve(C, np.ones(len(C)))
        top = float(np.abs(y).max())
        if top < LARGEST:
            inside = np.maximum(y, INSIDE * top)
            found = _newton(C, right, power, inside * (float(right.sum()) / float(inside @ C @ inside)) ** 0.5)
            if found[1]:
                return found
    except (np.linalg.LinAlgError, FloatingPointError):
        pass
    try:
        return _newton(C, right, power, b)
    except np.linalg.LinAlgError:
        return b, False


def _newton(C: Array, right: Array, power: float, b: Array) -> tuple[Array, bool]:
    m, s = len(C), right * b**-power
    limit = LARGEST * max(1.0, float(right.max()))
    for _ in range(ROUNDS):
        root = (
            b / (power * s)
        ) ** 0.5  # scaled by it the matrix is 1 + a positive semidefinite one, whatever the range of b
        matrix = C * root * root[:, None]
        matrix.reshape(-1)[:: m + 1] += 1.0
        pull = right * b**-power
        db = root * np.linalg.solve(matrix, root * (pull - C @ b))
        rise = db / b
        ds = pull / s - 1.0 - power * rise
        relative = float(np.abs(rise).max())
        step = min(1.0, REACH / max(float(-rise.min()), float(-ds.min()), 1e-300))
        b, s = b + step * db, s + step * s * ds
        if relative < 1e-6:  # quadratic: the next step would change 1e-12
            return b, True
        if not b.max() < limit:
            break
    return b, relative < 1e-5


def bargained(problem: Problem, power: float) -> tuple[Array, str]:
    """alpha on the gradients with Q alpha = alpha^-power; zeros and "stationary" where none exists."""
    n = problem.norms
    live = n > 0.0
    alpha = np.zeros(len(n))
    if not live.any():
        return alpha, "stationary"
    length = n[live]
    b, found = bargain(problem.cosines[np.ix_(live, live)], length ** (power - 1.0), power)
    if not found:
        return alpha, "stationary"
    alpha[live] = b / length
    return alpha, "ok"


@final
class Method(AbstractMethod):
    title = "NashMTL"
    needs = "gramian"
    properties = frozenset({"non_conflicting", "scale_invariant", "permutation_equivariant", "deterministic"})
    Options = NashMTLOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        alpha, status = bargained(problem, 1.0)
        length = float(np.sqrt(max(float(alpha @ problem.gramian @ alpha), 0.0)))
        if options.max_norm > 0.0 and length > options.max_norm:
            alpha = alpha * (options.max_norm / length)
        return weighted(alpha, status, lambda: {"norm": length}), state
