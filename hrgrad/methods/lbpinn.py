r"""LB-PINN, learning-rate annealing by gradient norms: every loss pulls equally hard, smoothed in time.

    lambda_hat_i = sum_j |g_j| / |g_i|,   lambda_i <- beta lambda_i + (1 - beta) lambda_hat_i,        u = sum_i lambda_i g_i

lambda starts at its first estimate and is renewed every `every` steps. Gradients that are exactly zero keep their weight.
Cost: one Gramian (its diagonal), one weighted sum. State: lambda, step.
Source: Wang, Teng, Perdikaris (2021), Understanding and mitigating gradient flow pathologies in PINNs, arXiv:2001.04536
(algorithm 1, annealing), in the form with norms of Wang, Sankaran, Wang, Perdikaris (2023), An Expert's Guide to Training PINNs,
arXiv:2308.08468, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class LBPINNOptions(Options):
    beta: float = option(0.9, "memory of lambda; 0.9 in both papers", low=0.0, high=1.0)
    every: int = option(
        1, "steps between renewals (the papers: 10 and 1000, to save passes that are taken here)", low=1
    )


@final
class Method(AbstractMethod):
    title = "LBPINN"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "deterministic"})
    Options = LBPINNOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return {"weights": torch.ones(m, dtype=torch.float64), "step": 0}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        w, step = state["weights"].numpy(), int(state["step"])
        if step % options.every == 0:
            n = problem.norms
            live = n > 0.0
            fresh = np.where(live, n.sum() / np.where(live, n, 1.0), w)
            w = fresh if step == 0 else options.beta * w + (1.0 - options.beta) * fresh
        return weighted(w.copy()), {"weights": torch.from_numpy(w), "step": step + 1}
