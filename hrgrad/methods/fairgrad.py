r"""FairGrad: alpha-fair division of the decrease between the tasks.

    Q w = w^{-1/alpha},  w > 0:   the unique minimiser of  1/2 w' Q w - sum_i w_i^{1 - 1/alpha} / (1 - 1/alpha),    u = sum w_i g_i

alpha = 1 is Nash-MTL (proportional fairness), alpha -> infinity the max-min. Solved on the cosine matrix, as there.
Cost: one Gramian, about seven m x m solves, one weighted sum. State: none.
Source: Ban, Ji (2024), Fair Resource Allocation in Multi-Task Learning, arXiv:2402.15638, equation (6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, option, weighted
from ..problem import Problem
from .nashmtl import bargained


@dataclass(frozen=True)
class FairGradOptions(Options):
    alpha: float = option(2.0, "fairness; the paper uses 1 (then Nash-MTL), 2 and more", low=0.05, high=100.0)


@final
class Method(AbstractMethod):
    title = "FairGrad"
    needs = "gramian"
    properties = frozenset({"non_conflicting", "permutation_equivariant", "deterministic"})
    Options = FairGradOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        w, status = bargained(problem, 1.0 / options.alpha)
        return weighted(w, status), state
