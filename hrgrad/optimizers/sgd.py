r"""Gradient descent with heavy-ball or Nesterov momentum.

    u     <- momentum u + g
    theta <- (1 - lr weight_decay) theta - lr u            (nesterov: - lr (g + momentum u))

Memory P. References: Polyak (1964), "Some methods of speeding up the convergence of iteration methods", USSR Comput.
Math. Math. Phys. 4, 1-17, doi:10.1016/0041-5553(64)90137-5; Sutskever, Martens, Dahl, Hinton (2013), "On the importance
of initialization and momentum in deep learning", ICML, eqs. 3-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ..optimizer import BaseOptions, Shapes, State, option
from ..optimizer import Optimizer as BaseOptimizer


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    lr: float = option(1e-2, "step size (no universal value)", low=0.0)
    momentum: float = option(0.0, "memory of the direction; 0.9 is usual (Sutskever et al. 2013)", low=0.0, high=1.0)
    nesterov: bool = option(False, "look ahead along the momentum (Sutskever et al. 2013)")
    weight_decay: float = option(0.0, "decoupled decay", low=0.0)


@final
class Optimizer(BaseOptimizer):
    name = "sgd"
    needs: ClassVar[Literal["direction"]] = "direction"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        return self.new_state(theta, u=torch.zeros_like(theta))

    @torch.no_grad()
    def step(
        self, theta: Tensor, drive: Tensor, state: State, options: Settings, lr: float | Tensor | None = None
    ) -> tuple[Tensor, State]:
        self.check(theta, state)
        lr = options.lr if lr is None else lr
        u = state["u"].mul_(options.momentum).add_(drive)
        move = drive + options.momentum * u if options.nesterov else u
        return theta * (1 - lr * options.weight_decay) - lr * move, {**state, "count": state["count"] + 1}
