r"""RotoGrad: gradients of one common length, and rotations of the shared features that align their directions.

    u = c sum_k a_k,   c = sum_k alpha_k |g_k|,   alpha_k = (|g_k| / |g_k(0)|) / sum_j |g_j| / |g_j(0)|

c is a mean of the lengths, larger for tasks that converge slowly; the reference |g(0)| is that of the first step and is
taken again once, at step `burn_in`. This is the whole effect on shared parameters without a split into features and heads.
Where there is one, each head k sees R_k z through `Rotation`, whose own loss asks that the rotated feature gradients agree:

    maximise  sum_samples < R_k^T grad_{R_k z} L_k, t >   over R_k = exp(A_k - A_k^T),   t the common direction in z

Cost: one Gramian (its diagonal), one weighted sum; d^3 per rotation. State: |g(0)|, step.
Source: Javaloy, Valera (2022), RotoGrad: Gradient Homogenization in Multitask Learning, arXiv:2103.02631, equations (4)-(9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from ..method import AbstractMethod, Direction, Options, State, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class RotoGradOptions(Options):
    burn_in: int = option(20, "step at which the reference lengths are taken again; the original's 20", low=0)


class Rotation(nn.Module):
    """R z for one head, R = exp(A - A^T) in SO(d), started at the identity."""

    def __init__(self, size: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.zeros(size, size, dtype=dtype))

    def matrix(self) -> Tensor:
        R: Tensor = torch.matrix_exp(self.A - self.A.T)
        return R

    def forward(self, z: Tensor) -> Tensor:
        rotated: Tensor = z @ self.matrix().T
        return rotated

    def loss(self, gradient: Tensor, target: Tensor) -> Tensor:
        """Minus the alignment of R^T (gradient in R z) with the common direction, both (samples, d) and constant."""
        aligned: Tensor = ((gradient.detach() @ self.matrix()) * target.detach()).sum()
        loss: Tensor = -aligned / gradient.norm().clamp_min(1e-30)
        return loss


@final
class Method(AbstractMethod):
    title = "RotoGrad"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "scale_invariant", "deterministic"})
    Options = RotoGradOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return {"reference": torch.zeros(m, dtype=torch.float64), "step": 0}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        n, step = problem.norms, int(state["step"])
        reference = n.copy() if step in (0, options.burn_in) else state["reference"].numpy()
        live = n > 0.0
        pace = np.where(live, n / np.where(reference > 0.0, reference, 1.0), 0.0)
        c = float(pace @ n) / max(float(pace.sum()), 1e-300)
        w = np.where(live, c / np.where(live, n, 1.0), 0.0)
        return weighted(w, "ok", lambda: {"length": c}), {"reference": torch.from_numpy(reference), "step": step + 1}
