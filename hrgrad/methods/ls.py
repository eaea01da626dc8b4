r"""LS, linear scalarisation: the plain sum of the losses.

    u = sum_i g_i            (reduction = "mean": divided by m, and with it the learning rate)

Cost: one backward pass. State: none.
Source: the common baseline; the sum is what LibMTL and the HRGrad paper call LS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, option
from ..problem import Problem


@dataclass(frozen=True)
class LSOptions(Options):
    reduction: str = option("sum", "sum (LibMTL, HRGrad paper) or mean", choices=("sum", "mean"))


@final
class Method(AbstractMethod):
    title = "LS"
    needs = "losses"
    properties = frozenset(
        {
            "scale_equivariant",
            "permutation_equivariant",
            "norm_preserving",
            "linear_under_scaling",
            "pareto_convergent",
            "deterministic",
        }
    )
    Options = LSOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        share = 1.0 if options.reduction == "sum" else 1.0 / problem.m
        return Direction(torch.full((problem.m,), share, dtype=torch.float64)), state
