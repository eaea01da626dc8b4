r"""Muon: momentum whose matrices are replaced by the nearest orthogonal ones.

For a matrix W (p x q) of theta with gradient G:

    M <- mu M + G,       B = G + mu M  (nesterov)  or  M,       B = U S V^T
    W <- (1 - lr weight_decay) W - lr c U V^T

All singular values of the step are one: the steepest descent in the spectral norm. U V^T comes from ``iterations`` steps of

    X_0 = B / |B|_F,    X <- a X + b (X X^T) X + c (X X^T)^2 X,    (a, b, c) = (3.4445, -4.7750, 2.0315),

whose singular values end in [0.68, 1.14] and not at one: the slope a at zero is what counts; ``iterations = 0`` takes the
exact polar factor from a singular value decomposition. ``scale`` is c: "adam" 0.2 sqrt(max(p, q)), the root mean square of
an Adam step, so that one lr serves the blocks that are no matrices (plain Adam) as well; "jordan" sqrt(max(1, q / p)) for
W (inputs x outputs) acting as x W. All in the precision of theta (the published code rounds to bfloat16).

Memory 2 P; cost 3 products of min(p, q)^2 max(p, q) per iteration.

References: Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein (2024), "Muon: an optimizer for hidden layers in neural
networks"; Bernstein, Newhouse (2024), "Old optimizer, new norm", arXiv:2409.20325; Liu, Su et al. (2025), "Muon is
scalable for LLM training", arXiv:2502.16982, eq. 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ..optimizer import BaseOptions, Matrix, Shapes, State, option, read_layout, write_layout
from ..optimizer import Optimizer as BaseOptimizer

QUINTIC = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    lr: float = option(1e-3, "step size (that of Adam under scale = adam; 0.02 is usual under jordan)", low=0.0)
    momentum: float = option(0.95, "memory of the direction (Jordan et al. 2024)", low=0.0, high=1.0)
    nesterov: bool = option(True, "look ahead along the momentum (Jordan et al. 2024)")
    iterations: int = option(5, "of the quintic (Jordan et al. 2024); 0: exact polar factor", low=0)
    scale: str = option("adam", "length of a step (Liu et al. 2025; Jordan et al. 2024)", choices=("adam", "jordan"))
    beta1: float = option(0.9, "Adam of the vectors: memory of the mean", low=0.0, high=1.0)
    beta2: float = option(0.999, "Adam of the vectors: memory of the mean square", low=0.0, high=1.0)
    eps: float = option(1e-8, "Adam of the vectors: added to the root mean square", low=0.0)
    weight_decay: float = option(0.0, "decoupled decay (0.1 in Liu et al. 2025)", low=0.0)


@final
class Optimizer(BaseOptimizer):
    name = "muon"
    needs: ClassVar[Literal["direction"]] = "direction"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        layout = write_layout(shapes, theta.numel())
        return self.new_state(theta, layout=layout, m=torch.zeros_like(theta), v=torch.zeros_like(theta))

    @torch.no_grad()
    def step(
        self, theta: Tensor, drive: Tensor, state: State, options: Settings, lr: float | Tensor | None = None
    ) -> tuple[Tensor, State]:
        self.check(theta, state)
        lr = options.lr if lr is None else lr
        state, k = {**state, "count": state["count"] + 1}, state["count"] + 1
        m, v, mu = state["m"], state["v"], options.momentum
        blocks = read_layout(state["layout"])
        momenta = [block.view(m).mul(mu).add_(block.view(drive)) for block in blocks]
        m.lerp_(drive, 1 - options.beta1)
        v.mul_(options.beta2).addcmul_(drive, drive, value=1 - options.beta2)
        move = (m / (1 - options.beta1**k)).div_((v / (1 - options.beta2**k)).sqrt_().add_(options.eps))
        for block, M in zip(blocks, momenta, strict=True):
            block.view(m).copy_(M)
            B = block.view(drive).add(M, alpha=mu) if options.nesterov else M
            block.view(move).copy_(orthogonal(B, options.iterations)).mul_(_scale(block, options.scale))
        return theta * (1 - lr * options.weight_decay) - lr * move, state


def _scale(block: Matrix, kind: str) -> float:
    p, q = block.rows, block.columns
    return 0.2 * math.sqrt(max(p, q)) if kind == "adam" else math.sqrt(max(1.0, q / p))


def orthogonal(B: Tensor, iterations: int) -> Tensor:
    """The polar factor of B, or its approximation by the quintic; zero for B = 0."""
    if iterations == 0:
        U, S, Vh = torch.linalg.svd(B, full_matrices=False)
        smallest = S[0] * torch.finfo(B.dtype).eps * max(B.shape)
        exact: Tensor = (U * S.gt(smallest)) @ Vh
        return exact
    a, b, c = QUINTIC
    X = B.T if B.shape[0] > B.shape[1] else B
    X = X / X.norm().clamp_min(torch.finfo(B.dtype).tiny)
    for _ in range(iterations):
        A = X @ X.T
        X = torch.addmm(X, b * A + c * (A @ A), X, beta=a)
    return X.T if B.shape[0] > B.shape[1] else X
