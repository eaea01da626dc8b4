r"""GLS, geometric loss: the geometric mean of the losses.

    V = (prod_i L_i)^(1/m) = exp(mean_i log L_i),        weights w_i = dV/dL_i = V / (m L_i)

Formed in logarithms: a product of eight losses of 1e-6 underflows single precision. A loss that is zero makes the gradient
infinite; losses are held above `floor`. Losses must not be negative.
Cost: one backward pass. State: none.
Source: Chennupati, Sistu, Yogamani, Rawashdeh (2019), MultiNet++, arXiv:1904.08492, equation (3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, option, positive_losses, weighted
from ..problem import Problem


@dataclass(frozen=True)
class GLSOptions(Options):
    floor: float = option(
        1e-30, "losses below this count as this, so that a solved task cannot divide by zero", low=0.0
    )


@final
class Method(AbstractMethod):
    title = "GLS"
    needs = "losses"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = GLSOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        L = positive_losses(losses, "gls", options.floor)
        value = float(np.exp(np.log(L).mean()))
        return weighted(value / (problem.m * L), "ok", lambda: {"value": value}), state
