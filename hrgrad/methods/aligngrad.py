r"""AlignGrad: the mean of the unit gradients, as long as the gradients' projections on it together.

    v = N(sum_i a_i),   u = (sum_i g_i . v) v,        alignment score A = 2 |1/m sum_i a_i|^2 - 1

The score is 1 for parallel gradients, the cosine for two, and -1 when the unit gradients cancel; then v does not exist and the
status is "stationary". For m >= 3 the update may oppose a gradient, and where
sum_i g_i . v < 0 rescaling one gradient turns the update round; for m = 2 it is ConFIG.
Cost: one Gramian, one weighted sum. State: none.
Source: the HRGrad paper, appendix A.7.4, equations (133)-(136); score: Wang, Sankaran, Perdikaris (2025), Gradient Alignment in
Physics-informed Neural Networks, arXiv:2502.00604, definition 1.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from torch import Tensor

from ..method import AbstractMethod, Direction, Measures, State, weighted
from ..problem import Problem


@final
class Method(AbstractMethod):
    title = "AlignGrad"
    needs = "gramian"
    properties = frozenset(
        {"scale_equivariant", "permutation_equivariant", "norm_preserving", "pareto_convergent", "deterministic"}
    )

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        C, n = problem.cosines, problem.norms
        live = n > 0.0
        row = C.sum(0)
        square = float(row.sum())

        def measure() -> Measures:
            return {"score": 2.0 * square / max(int(live.sum()), 1) ** 2 - 1.0}

        if square <= 1e-12 * max(len(n), 1):
            return weighted(np.zeros(len(n)), "stationary", measure), state
        w = np.where(live, float(n @ row) / (square * np.where(live, n, 1.0)), 0.0)
        return weighted(w, "ok", measure), state
