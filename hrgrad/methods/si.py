r"""SI, scale-invariant: every loss enters through its logarithm, so its unit does not matter.

    minimise sum_i log L_i,        weights w_i = 1 / L_i

Losses that tend to zero get all the weight; they are held above `floor`. Losses must not be negative.
Cost: one backward pass. State: none.
Source: Eigen, Puhrsch, Fergus (2014), arXiv:1406.2283 (the log loss); the multi-task form as in Lin et al. (2021), "SI".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, option, positive_losses, weighted
from ..problem import Problem


@dataclass(frozen=True)
class SIOptions(Options):
    floor: float = option(
        1e-30, "losses below this count as this, so that a solved task cannot divide by zero", low=0.0
    )


@final
class Method(AbstractMethod):
    title = "SI"
    needs = "losses"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = SIOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        return weighted(1.0 / positive_losses(losses, "si", options.floor)), state
