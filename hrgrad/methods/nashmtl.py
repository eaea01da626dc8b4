r"""Nash-MTL: the bargaining solution between the tasks.

    Q alpha = 1 / alpha,  alpha > 0:   the unique minimiser of  1/2 alpha' Q alpha - sum_i log alpha_i,      u = sum alpha_i g_i

With b_i = alpha_i |g_i| it reads C b = 1/b: lengths drop out, and damped Newton (the objective is self-concordant) converges
in a handful of m x m solves from any start. |u| = sqrt(m) always, so max_norm = 1 always divides by sqrt(m). At a Pareto
stationary point alpha diverges: reported, with zero weights.
Cost: one Gramian, about eight m x m solves, one weighted sum. State: none (the original starts from its last, unfinished alpha).
Source: Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya (2022), Multi-Task Learning as a Bargaining Game,
arXiv:2202.01017, claim 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..method import AbstractMethod, Array, Direction, Options, State, option, weighted
from ..problem import Problem

LARGEST = 1e7


@dataclass(frozen=True)
class NashMTLOptions(Options):
    max_norm: float = option(1.0, "largest |u|, 0 for no limit; the original's 1", low=0.0)


def bargain(C: Array, right: Array, power: float) -> tuple[Array, bool]:
    """b > 0 with C b = right * b^-power (damped Newton), and whether it was found."""
    b = right ** (1.0 / (1.0 + power))
    for _ in range(200):
        pull = right * b**-power
        slope = C @ b - pull
        curvature = power * pull / b
        # scaled by 1/sqrt(curvature): the Newton matrix is 1 + a positive semidefinite one, whatever the range of b
        root = 1.0 / np.sqrt(curvature)
        step = root * np.linalg.solve(np.eye(len(b)) + C * root * root[:, None], root * slope)
        decrement = float(np.sqrt(max(float(step @ slope), 0.0) / max(float((pull * b).max()), 1e-300)))
        relative = float(np.abs(step / b).max())
        b = b - step / (1.0 + decrement) if relative < 0.5 else b - step * min(1.0, 0.5 / relative)
        if relative < 1e-10:
            return b, True
        if not b.max() < LARGEST * max(1.0, float(right.max())):
            return b, False
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
