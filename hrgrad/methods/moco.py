r"""MoCo: multi-objective descent with momentum against the bias of stochastic gradients.

    y_i <- y_i - beta_t (y_i - h_i),   lambda <- Pi( lambda - gamma_t (Y Y^T + rho I) lambda ),        u = Y^T lambda
    beta_t = beta / t^sigma_beta,   gamma_t = gamma / t^sigma_gamma

h_i = g_i and Pi the projection on the simplex in the paper; LibMTL scales h_i = a_i L_i (`scaled`) and takes the softmax of the
simplex variable, which drifts to the uniform weights (`project = "softmax"`). y starts at zero: the first steps are short.
Cost: one m x P moving average, one Gramian of Y, one weighted sum. State: Y (m, P), lambda, step.
Source: Fernando, Shen, Liu, Chaudhury, Murugesan, Chen (2023), Mitigating Gradient Bias in Multi-objective Learning, ICLR,
algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..gram import combine, gramian
from ..method import AbstractMethod, Direction, Options, State, loss_values, option
from ..problem import Problem
from .stch import softmax


@dataclass(frozen=True)
class MoCoOptions(Options):
    beta: float = option(0.5, "first step of y (LibMTL)", low=0.0, high=1.0)
    beta_sigma: float = option(0.5, "decay of that step with t (LibMTL)", low=0.0)
    gamma: float = option(0.1, "first step of lambda (LibMTL)", low=0.0)
    gamma_sigma: float = option(0.5, "decay of that step with t (LibMTL)", low=0.0)
    rho: float = option(0.0, "regularisation of the Gramian (LibMTL's 0)", low=0.0)
    project: str = option("simplex", "simplex: the paper; softmax: LibMTL", choices=("simplex", "softmax"))
    scaled: bool = option(False, "h_i = a_i L_i (LibMTL) in place of g_i")


def onto_simplex(x: Array) -> Array:
    """Euclidean projection on {w >= 0, sum w = 1} by sorting."""
    y = np.sort(x)[::-1]
    level = (np.cumsum(y) - 1.0) / np.arange(1, len(x) + 1)
    projected: Array = np.maximum(x - level[np.flatnonzero(y > level)[-1]], 0.0)
    return projected


@final
class Method(AbstractMethod):
    title = "MoCo"
    needs = "jacobian"
    properties = frozenset({"permutation_equivariant", "deterministic"})
    Options = MoCoOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return {"lambda": torch.full((m,), 1.0 / m, dtype=torch.float64), "y": torch.zeros(m, 0), "step": 0}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        J, t = problem.jacobian("moco"), int(state["step"]) + 1
        if not J.is_cuda:  # there the Gramian tells, without a transfer of its own
            problem.finite("moco")
        beta, gamma = options.beta / t**options.beta_sigma, options.gamma / t**options.gamma_sigma
        if options.scaled:
            n = problem.norms
            scale = torch.from_numpy(loss_values(losses, "moco") / np.where(n > 0.0, n, 1.0)).to(J)
            J = J * scale[:, None]
        y = state["y"].to(J) if t > 1 else torch.zeros_like(J)
        y.lerp_(J, beta)
        weights = state["lambda"].numpy()
        Q = gramian(y).cpu().numpy()
        if J.is_cuda and not np.isfinite(Q).all():
            problem.finite("moco")
        slope = Q @ weights + options.rho * weights
        x = weights - gamma * np.nan_to_num(slope, posinf=1e300)
        weights = onto_simplex(x) if options.project == "simplex" else softmax(x)
        share = torch.from_numpy(weights)
        found = Direction(None, combine(share, y), "ok", lambda: {"lambda": weights})
        return found, {"lambda": share, "y": y, "step": t}
