r"""Adam: steps of the size lr along the mean gradient over its root mean square, entry by entry.

    m     <- beta1 m + (1 - beta1) g
    v     <- beta2 v + (1 - beta2) g^2
    theta <- (1 - lr weight_decay) theta - lr  m / (1 - beta1^k)  /  (sqrt(v / (1 - beta2^k)) + eps)

The decay is decoupled (AdamW). The operations and their order are those of ``torch.optim.Adam``, so that the two agree
to the last bit on a flat vector. ``capturable`` keeps the step count k on the device: a step then touches no host
value, and a CUDA graph can replay it.

Memory 2P, cost about 10 passes over P numbers.

References: Kingma, Ba (2015), "Adam: a method for stochastic optimization", arXiv:1412.6980, Algorithm 1;
Loshchilov, Hutter (2019), "Decoupled weight decay regularization", arXiv:1711.05101, Algorithm 2.
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
    lr: float = option(1e-3, "step size (Kingma and Ba 2015)", low=0.0)
    beta1: float = option(0.9, "memory of the mean (Kingma and Ba 2015)", low=0.0, high=1.0)
    beta2: float = option(0.999, "memory of the mean square (Kingma and Ba 2015)", low=0.0, high=1.0)
    eps: float = option(1e-8, "added to the root mean square (Kingma and Ba 2015)", low=0.0)
    weight_decay: float = option(0.0, "decoupled decay (Loshchilov and Hutter 2019)", low=0.0)
    capturable: bool = option(False, "step count on the device, for CUDA graphs")


@final
class Optimizer(BaseOptimizer):
    name = "adam"
    needs: ClassVar[Literal["direction"]] = "direction"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        state = self.new_state(theta, m=torch.zeros_like(theta), v=torch.zeros_like(theta))
        if options.capturable:
            state["count"] = torch.zeros((), dtype=torch.float64, device=theta.device)
        return state

    @torch.no_grad()
    def step(
        self, theta: Tensor, drive: Tensor, state: State, options: Settings, lr: float | Tensor | None = None
    ) -> tuple[Tensor, State]:
        self.check(theta, state)
        lr = options.lr if lr is None else lr
        state = {**state, "count": state["count"] + 1}
        return adam_step(theta, drive, state["m"], state["v"], state["count"], options, lr), state


def adam_step(
    theta: Tensor, g: Tensor, m: Tensor, v: Tensor, count: int | Tensor, options: Settings, lr: float | Tensor
) -> Tensor:
    """The new theta; m and v are renewed in place."""
    m.lerp_(g, 1 - options.beta1)
    v.mul_(options.beta2).addcmul_(g, g, value=1 - options.beta2)
    if options.weight_decay:
        theta = theta * (1 - lr * options.weight_decay)
    scale = lr / (1 - options.beta1**count)
    root = (1 - options.beta2**count) ** 0.5
    denominator = (v.sqrt() / root).add_(options.eps)
    if isinstance(scale, Tensor):
        return torch.addcdiv(theta, m * -scale.to(m.dtype), denominator.to(m.dtype))
    return torch.addcdiv(theta, m, denominator, value=-scale)
