r"""IMTL-G: the affine combination of the gradients whose projections on all of them are equal.

    u = sum_i w_i g_i,   sum_i w_i = 1,   u . a_i equal for all i      <=>      w ~ Q^+ n = C^-1 1 / n

Weights may be negative, and where their sum before normalisation is negative the equal projections are negative too: the
update then opposes every gradient. Solved without truncation while C is regular (see ConFIG).
Cost: one Gramian, one m x m solve, one weighted sum. State: none.
Source: Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang (2021), Towards Impartial Multi-task Learning, ICLR, equation (6).
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from torch import Tensor

from ..arrays import Array
from ..method import AbstractMethod, Direction, State, weighted
from ..problem import Problem
from ..quadratic import equal_projections


def imtlg_weights(C: Array, n: Array) -> tuple[Array, str]:
    """Weights that sum to one; the plain mean where Q^+ n sums to zero."""
    live = n > 0.0
    if not live.all():
        w = np.zeros(len(n))
        if not live.any():
            return w, "stationary"
        w[live], status = imtlg_weights(C[np.ix_(live, live)], n[live])
        return w, status
    y, _ = equal_projections(C)
    w = y / n
    total = float(w.sum())
    if abs(total) <= 1e-13 * float(np.abs(w).sum()):
        return np.full(len(n), 1.0 / len(n)), "mean"
    return w / total, "ok"


@final
class Method(AbstractMethod):
    title = "IMTLG"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "equal_cosine", "deterministic"})

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        w, status = imtlg_weights(problem.cosines, problem.norms)
        return weighted(w, status), state
