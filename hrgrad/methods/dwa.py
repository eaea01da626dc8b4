r"""DWA, dynamic weight average: losses that fall slowly get more weight.

    w_i = m softmax_i( (Lbar_i(t-1) / Lbar_i(t-2)) / T )

Lbar(t) is the mean loss over epoch t; the first two epochs have unit weights. Ratios of single steps are noise: an epoch is
`epoch` steps long, whatever the caller's loop calls an epoch.
Cost: one backward pass. State: the running sum, the mean of the last epoch and the weights of this one.
Source: Liu, Johns, Davison (2019), End-to-End Multi-Task Learning with Attention, arXiv:1803.10704, equation (7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, loss_values, option
from ..problem import Problem


@dataclass(frozen=True)
class DWAOptions(Options):
    temperature: float = option(2.0, "T; the paper's 2", low=1e-6)
    epoch: int = option(25, "steps per epoch (nash-mtl averages over 25 iterations)", low=1)


@final
class Method(AbstractMethod):
    title = "DWA"
    needs = "losses"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = DWAOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        ones = torch.ones(m, dtype=torch.float64)
        return {"step": 0, "weights": ones, "sum": torch.zeros_like(ones), "last": torch.zeros_like(ones)}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        L, step, found = loss_values(losses, "dwa"), int(state["step"]) + 1, Direction(state["weights"])
        state = {**state, "step": step, "sum": torch.from_numpy(state["sum"].numpy() + L)}
        if step % options.epoch == 0:  # the epoch is over: its mean, and the weights of the next one
            mean = state["sum"] / options.epoch
            if step >= 2 * options.epoch:
                before = np.maximum(np.abs(state["last"].numpy()), 1e-300)
                ratio = np.minimum(mean.numpy() / before, 1e6) / options.temperature
                w = np.exp(ratio - ratio.max())
                state["weights"] = torch.from_numpy(w * (problem.m / w.sum()))
            state |= {"last": mean, "sum": torch.zeros_like(mean)}
        return found, state
