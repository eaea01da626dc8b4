r"""RLW, random loss weighting: weights drawn anew at every step.

    w = softmax(xi),  xi_i ~ N(0, 1) independent,        sum_i w_i = 1  (m times smaller than the plain sum)

The generator is the caller's own, so that nothing else in a run is disturbed.
Cost: one backward pass. State: none; draws m numbers.
Source: Lin, Ye, Zhang, Tsang (2022), Reasonable Effectiveness of Random Weighting, arXiv:2111.10603, section 3.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from ..method import AbstractMethod, Direction, State
from ..problem import Problem


@final
class Method(AbstractMethod):
    title = "RLW"
    needs = "losses"
    properties = frozenset({"scale_equivariant", "linear_under_scaling"})

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        xi = torch.randn(problem.m, generator=generator, dtype=torch.float64)
        return Direction(weights=torch.softmax(xi, 0)), state
