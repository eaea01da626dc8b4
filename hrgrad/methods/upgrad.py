r"""UPGrad: every gradient projected onto the dual cone, then the mean.

    pi(g_i) = argmin { |v - g_i| : g_j . v >= 0 for all j },        u = 1/m sum_i pi(g_i)

In Gram space pi(a_i) = a_i + sum_k y_k a_k with  y >= 0,  C y + C e_i >= 0,  y . (C y + C e_i) = 0: m quadratic programs with
the same matrix, solved together by block pivoting. The update never conflicts, and is linear when single gradients are
rescaled. Cost: one Gramian, a few batches of m x m solves, one weighted sum. State: none.
Source: Quinton, Rey (2024), Jacobian Descent for Multi-Objective Optimization, arXiv:2406.16232, definition 2.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from torch import Tensor

from ..method import AbstractMethod, Direction, State, weighted
from ..problem import Problem
from ..quadratic import dual_projections, vanishes


@final
class Method(AbstractMethod):
    title = "UPGrad"
    needs = "gramian"
    properties = frozenset(
        {
            "non_conflicting",
            "scale_equivariant",
            "permutation_equivariant",
            "linear_under_scaling",
            "pareto_convergent",
            "deterministic",
        }
    )

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        n, C = problem.norms, problem.cosines
        live = n > 0.0
        w = np.zeros(len(n))
        if not live.all():
            n, C = n[live], C[np.ix_(live, live)]
        if len(n):
            b = n + n @ dual_projections(C)
            if not vanishes(C, b):
                w[live] = b / n / len(w)
        return weighted(w, "ok" if w.any() else "stationary"), state
