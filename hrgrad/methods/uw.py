r"""UW, uncertainty weighting: one learned noise level per loss.

    minimise  sum_i 1/2 e^{-s_i} L_i + 1/2 s_i   jointly over theta and s,        weights w_i = 1/2 e^{-s_i}

s_i = log of the noise variance, started at 0; its gradient is 1/2 (1 - e^{-s_i} L_i), so that s_i -> log L_i and the
weight tends to 1 / (2 L_i). s follows its own Adam and is held in [-bound, bound]: the weights would explode as L -> 0.
Cost: one backward pass. State: s and its moments.
Source: Kendall, Gal, Cipolla (2018), Multi-Task Learning Using Uncertainty to Weigh Losses, arXiv:1705.07115, equation (7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..descent import adam_state, adam_step
from ..method import AbstractMethod, Direction, Options, State, loss_values, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class UWOptions(Options):
    start: float = option(0.0, "initial log variance (torchjd, nash-mtl: 0; LibMTL: -0.5)")
    lr: float = option(1e-3, "step of Adam on s (the originals use the network's optimizer)", low=0.0)
    bound: float = option(23.0, "largest |s|: weights stay within 10^10 of one half", low=0.0)


@final
class Method(AbstractMethod):
    title = "UW"
    needs = "losses"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = UWOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return adam_state(m, options.start)

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        L = loss_values(losses, "uw")
        s = np.clip(state["x"].numpy(), -options.bound, options.bound)
        w = 0.5 * np.exp(-s)
        found = weighted(w, "ok", lambda: {"value": float((w * L + 0.5 * s).sum())})
        return found, adam_step(state, 0.5 - w * L, options.lr)
