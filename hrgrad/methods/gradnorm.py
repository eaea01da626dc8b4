r"""GradNorm: learned weights that bring the gradient norms to a common size, larger for tasks that lag behind.

    G_i = w_i |g_i|,   r_i = (L_i / L_i(0)) / mean(L / L(0)),   target_i = mean(G) r_i^alpha   (held constant)
    w_i <- w_i - lr sign(G_i - target_i) |g_i|,   then   w <- m w / sum w

The gradient of sum |G_i - target_i| in w needs no second-order graph. The update uses w as it was before this step's lesson.
Weights are held above `floor`: a step in proportion to |g_i| can overshoot zero. (The package gradnorm-pytorch has r^-alpha,
the opposite restoring force, and averages over tasks.)
Cost: one Gramian (its diagonal), one weighted sum. State: w, L(0).
Source: Chen, Badrinarayanan, Lee, Rabinovich (2018), GradNorm, arXiv:1711.02257, equations (1)-(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, loss_values, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class GradNormOptions(Options):
    alpha: float = option(1.5, "asymmetry; the paper's 1.5 (NYUv2), 0.12 for symmetric tasks")
    lr: float = option(0.025, "step on the weights; the paper's 0.025", low=0.0)
    floor: float = option(1e-3, "smallest weight", low=0.0)


@final
class Method(AbstractMethod):
    title = "GradNorm"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = GradNormOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return {"w": torch.ones(m, dtype=torch.float64), "start": torch.zeros(m, dtype=torch.float64), "step": 0}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        L, n, w = loss_values(losses, "gradnorm"), problem.norms, state["w"].numpy()
        start = L.copy() if state["step"] == 0 else state["start"].numpy()
        rate = np.abs(L) / np.maximum(np.abs(start), 1e-300)
        rate = np.maximum(rate / max(float(rate.mean()), 1e-300), 1e-12)
        G = w * n
        lesson = w - options.lr * np.sign(G - G.mean() * rate**options.alpha) * n
        lesson = np.maximum(lesson, options.floor)
        lesson *= problem.m / lesson.sum()
        renewed = {"w": torch.from_numpy(lesson), "start": torch.from_numpy(start), "step": int(state["step"]) + 1}
        return weighted(w.copy()), renewed
