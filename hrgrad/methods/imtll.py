r"""IMTL-L, impartial losses: learned scales that bring every loss to one.

    minimise  sum_i e^{s_i} L_i - s_i   jointly over theta and s,        weights w_i = e^{s_i}

The optimum in s is e^{s_i} = 1 / L_i; it is 2 UW with s -> -s. s starts at 0, follows its own Adam, |s| <= bound.
Cost: one backward pass. State: s and its moments.
Source: Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang (2021), Towards Impartial Multi-task Learning, ICLR, section 3.2.
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
class IMTLLOptions(Options):
    lr: float = option(1e-3, "step of Adam on s (the original uses the network's optimizer)", low=0.0)
    bound: float = option(23.0, "largest |s|: weights stay within 10^10 of one", low=0.0)


@final
class Method(AbstractMethod):
    title = "IMTLL"
    needs = "losses"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = IMTLLOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return adam_state(m)

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        L = loss_values(losses, "imtll")
        s = np.clip(state["x"].numpy(), -options.bound, options.bound)
        w = np.exp(s)
        found = weighted(w, "ok", lambda: {"value": float((w * L - s).sum())})
        return found, adam_step(state, w * L - 1.0, options.lr)
