r"""Shampoo: both sides of every gradient matrix scaled by roots of its averaged covariances.

For a matrix W (p x q) of theta with gradient G at step k:

    L <- b2 L + (1 - b2) G G^T,      R <- b2 R + (1 - b2) G^T G        (b2 = 1: plain sums, as in the paper)
    m <- b1 m + (1 - b1) G,          D = (L + ridge |L| I)^{-power}  m  (R + ridge |R| I)^{-power}
    W <- (1 - lr weight_decay) W - lr s D

power = 1/4 is the square root of full-matrix AdaGrad, its Kronecker factor; |L| the largest eigenvalue. The averages are
corrected for their start at zero. ``graft = "adam"`` takes the length of Adam's step for the block, s = |A| / |D|
(Agarwal et al. 2020), so that one lr serves all blocks; "none" is s = 1. The roots are renewed every ``refresh`` steps,
in float64. What is no matrix runs Adam.

Memory 2 P + 2 (p^2 + q^2) per matrix; cost 4 products per step, two eigendecompositions every ``refresh`` steps.

References: Gupta, Koren, Singer (2018), "Shampoo: preconditioned stochastic tensor optimization", arXiv:1802.09568,
algorithm 1; Anil, Gupta, Koren, Regan, Singer (2020), "Scalable second order optimization for deep learning",
arXiv:2002.09018; Agarwal, Anil, Hazan, Koren, Zhang (2020), "Disentangling adaptive gradient methods from learning
rates", arXiv:2002.11803.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ..optimizer import BaseOptions, Shapes, State, option, read_layout, write_layout
from ..optimizer import Optimizer as BaseOptimizer


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    lr: float = option(1e-3, "step size (that of Adam, whose length is grafted)", low=0.0)
    beta1: float = option(0.9, "memory of the mean (Anil et al. 2020)", low=0.0, high=1.0)
    beta2: float = option(0.99, "memory of the factors and of Adam's squares; 1 sums (Gupta et al.)", low=0.0, high=1.0)
    power: float = option(0.25, "of each factor (Gupta et al. 2018); 0.5 is its square", low=0.0, high=1.0)
    ridge: float = option(1e-6, "relative to the largest eigenvalue (Anil et al. 2020)", low=0.0)
    eps: float = option(1e-8, "added to Adam's root mean square", low=0.0)
    graft: str = option("adam", "whose step length a block takes (Agarwal et al. 2020)", choices=("adam", "none"))
    refresh: int = option(10, "steps between two renewals of the roots (own choice)", low=1)
    weight_decay: float = option(0.0, "decoupled decay", low=0.0)


@final
class Optimizer(BaseOptimizer):
    name = "shampoo"
    needs: ClassVar[Literal["direction"]] = "direction"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        layout = write_layout(shapes, theta.numel())
        state = self.new_state(theta, layout=layout, m=torch.zeros_like(theta), v=torch.zeros_like(theta))
        for k, block in enumerate(read_layout(layout)):
            for side, length in (("L", block.rows), ("R", block.columns)):
                state[f"{side}{k}"] = theta.new_zeros(length, length)
                state[f"root{side}{k}"] = torch.eye(length, dtype=theta.dtype, device=theta.device)
        return state

    @torch.no_grad()
    def step(
        self, theta: Tensor, drive: Tensor, state: State, options: Settings, lr: float | Tensor | None = None
    ) -> tuple[Tensor, State]:
        self.check(theta, state)
        lr = options.lr if lr is None else lr
        state, k = {**state, "count": state["count"] + 1}, state["count"] + 1
        m, v, summed = state["m"], state["v"], options.beta2 == 1.0
        share = 1.0 if summed else 1 - options.beta2
        started = 1.0 if summed else 1 - options.beta2**k
        m.lerp_(drive, 1 - options.beta1)
        v.mul_(options.beta2).addcmul_(drive, drive, value=share)
        mean = m / (1 - options.beta1**k)
        move = mean / (v / started).sqrt_().add_(options.eps)
        for number, block in enumerate(read_layout(state["layout"])):
            G = block.view(drive)
            state[f"L{number}"].mul_(options.beta2).addmm_(G, G.T, alpha=share)
            state[f"R{number}"].mul_(options.beta2).addmm_(G.T, G, alpha=share)
            if (k - 1) % options.refresh == 0:
                for side in ("L", "R"):
                    state[f"root{side}{number}"] = inverse_root(state[f"{side}{number}"] / started, options)
            D = state[f"rootL{number}"] @ block.view(mean) @ state[f"rootR{number}"]
            A = block.view(move)
            if options.graft == "adam":
                D *= A.norm() / D.norm().clamp_min(torch.finfo(D.dtype).tiny)
            A.copy_(D)
        return theta * (1 - lr * options.weight_decay) - lr * move, state


def inverse_root(A: Tensor, options: Settings) -> Tensor:
    """(A + ridge |A| I)^{-power}; the identity for A = 0."""
    values, vectors = torch.linalg.eigh(A.to(torch.float64))
    top = values[-1].clamp_min(0.0)
    held = torch.where(top > 0, values.clamp_min(0.0) + options.ridge * top, torch.ones_like(values))
    held = held.clamp_min(torch.finfo(torch.float64).tiny)
    root: Tensor = (vectors * held**-options.power) @ vectors.T
    return root.to(A.dtype)
