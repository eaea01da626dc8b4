r"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's two factors.

For every matrix W (p x q) of theta, with gradient G, at step k:

    G'  = QL^T G QR,    m' = QL^T m QR                       (coordinates of the eigenbasis)
    m  <- b1 m + (1 - b1) G,         v <- b2 v + (1 - b2) G'^2      (v entry by entry, in the eigenbasis)
    W  <- W - lr QL [ (m' / (1 - b1^k)) / (sqrt(v / (1 - b2^k)) + eps) ] QR^T,      W <- (1 - lr weight_decay) W
    L  <- b3 L + (1 - b3) G G^T,     R <- b3 R + (1 - b3) G^T G     (AFTER the step)

and at every ``refresh``-th step the bases follow: columns sorted by diag(Q^T L Q), v with them, one power iteration
Q <- qr(L Q). m stays in the original coordinates, so that no change of basis can leave it behind. The first call only
builds L, R and their eigenvectors: theta stays as it was. A side longer than ``longest`` keeps its own coordinates;
biases and all else that is no matrix run plain Adam. Everything has the precision of theta, the first
eigendecomposition float64.

Memory 2 P + 2 (p^2 + q^2) per matrix; cost 6 products with p x p and q x q factors per step, a QR every ``refresh`` steps.

References: Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson, Kakade (2024), "SOAP: improving and stabilizing
Shampoo using Adam", arXiv:2409.11321, algorithms 3 and 4; Wang, Bhartari, Li, Perdikaris (2025), "Gradient alignment in
physics-informed neural networks: a second-order optimization perspective", arXiv:2502.00604, eqs. 3.9-3.10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ..optimizer import BaseOptions, Matrix, Shapes, State, option, read_layout, write_layout
from ..optimizer import Optimizer as BaseOptimizer


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    lr: float = option(3e-3, "step size (Vyas et al. 2024)", low=0.0)
    beta1: float = option(0.95, "memory of the mean (Vyas et al. 2024; 0.99 in Wang et al. 2025)", low=0.0, high=1.0)
    beta2: float = option(0.95, "memory of the mean square (Vyas et al. 2024)", low=0.0, high=1.0)
    beta3: float = option(-1.0, "memory of the factors; negative: that of the mean square (Vyas et al.)", high=1.0)
    eps: float = option(1e-8, "added to the root mean square (Vyas et al. 2024)", low=0.0)
    weight_decay: float = option(0.0, "decoupled decay; the original's 0.01 is for classifiers", low=0.0)
    refresh: int = option(10, "steps between two renewals of the bases (Vyas et al. 2024; 2 in Wang et al.)", low=1)
    longest: int = option(10_000, "longest side that gets a factor (Vyas et al. 2024)", low=1)


@final
class Optimizer(BaseOptimizer):
    name = "soap"
    needs: ClassVar[Literal["direction"]] = "direction"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        layout = write_layout(shapes, theta.numel())
        state = self.new_state(theta, layout=layout, m=torch.zeros_like(theta), v=torch.zeros_like(theta))
        for k, block in enumerate(read_layout(layout)):
            for side, length in (("L", block.rows), ("R", block.columns)):
                if length <= options.longest:
                    state[f"{side}{k}"] = theta.new_zeros(length, length)
                    state[f"Q{side}{k}"] = torch.eye(length, dtype=theta.dtype, device=theta.device)
        return state

    @torch.no_grad()
    def step(
        self, theta: Tensor, drive: Tensor, state: State, options: Settings, lr: float | Tensor | None = None
    ) -> tuple[Tensor, State]:
        self.check(theta, state)
        lr = options.lr if lr is None else lr
        state, blocks = {**state, "count": state["count"] + 1}, read_layout(state["layout"])
        k, m, v = state["count"] - 1, state["m"], state["v"]
        if k == 0:
            self._renew_factors(drive, state, blocks, options)
            for number in range(len(blocks)):
                _eigenbases(state, number)
            return theta, state
        m.lerp_(drive, 1 - options.beta1)
        turned, mean = drive.clone(), m.clone()
        for number, block in enumerate(blocks):
            for x in (turned, mean):
                W = block.view(x)
                W.copy_(_turn(state, number, W))
        v.mul_(options.beta2).addcmul_(turned, turned, value=1 - options.beta2)
        root = (1 - options.beta2**k) ** 0.5
        move = mean.div_((v.sqrt() / root).add_(options.eps)).mul_(lr / (1 - options.beta1**k))
        for number, block in enumerate(blocks):
            W = block.view(move)
            W.copy_(_turn_back(state, number, W))
        self._renew_factors(drive, state, blocks, options)
        if k % options.refresh == 0:
            for number, block in enumerate(blocks):
                _follow(state, number, block)
        return (theta - move) * (1 - lr * options.weight_decay), state

    def _renew_factors(self, g: Tensor, state: State, blocks: list[Matrix], options: Settings) -> None:
        memory = options.beta2 if options.beta3 < 0 else options.beta3
        for number, block in enumerate(blocks):
            G = block.view(g)
            if f"L{number}" in state:
                state[f"L{number}"].lerp_(G @ G.T, 1 - memory)
            if f"R{number}" in state:
                state[f"R{number}"].lerp_(G.T @ G, 1 - memory)


def _turn(state: State, number: int, W: Tensor) -> Tensor:
    """QL^T W QR."""
    if f"QL{number}" in state:
        W = state[f"QL{number}"].T @ W
    return W @ state[f"QR{number}"] if f"QR{number}" in state else W


def _turn_back(state: State, number: int, W: Tensor) -> Tensor:
    """QL W QR^T."""
    if f"QL{number}" in state:
        W = state[f"QL{number}"] @ W
    return W @ state[f"QR{number}"].T if f"QR{number}" in state else W


def _eigenbases(state: State, number: int) -> None:
    """All eigenvectors, largest eigenvalue first."""
    for side in ("L", "R"):
        if f"{side}{number}" in state:
            factor = state[f"{side}{number}"]
            Q = torch.linalg.eigh(factor.to(torch.float64)).eigenvectors
            state[f"Q{side}{number}"] = Q.flip(1).to(factor.dtype).contiguous()


def _follow(state: State, number: int, block: Matrix) -> None:
    """One power iteration of each basis, sorted; v is sorted with it."""
    v = block.view(state["v"])
    for axis, side in enumerate(("L", "R")):
        if f"{side}{number}" in state:
            factor, Q = state[f"{side}{number}"], state[f"Q{side}{number}"]
            image = factor @ Q
            order = torch.argsort((Q * image).sum(0), descending=True, stable=True)
            state[f"Q{side}{number}"] = torch.linalg.qr(image[:, order]).Q
            v.copy_(v.index_select(axis, order))
