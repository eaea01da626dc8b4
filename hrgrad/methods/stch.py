r"""STCH, smooth Tchebycheff: a smooth maximum of the losses.

    V = mu log sum_i exp(lambda_i (L_i - z_i) / mu),        w_i = lambda_i softmax_i(lambda (L - z) / mu)

lambda_i = 1/m, z = 0 ("plain": the paper's equation). Two different scalings go under this name; "log" is the other one,
which does not see units: after `warmup` steps on sum_i log L_i the nadir N_i is the mean loss of the warm-up and

    V = m mu log sum_i exp(log(L_i / N_i) / mu),        w_i = m softmax_i(log(L / N) / mu) / L_i

Cost: one backward pass. State: step and the sum of the warm-up losses.
Source: Lin, Zhang, Yang, Liu, Wang, Zhang (2024), Smooth Tchebycheff Scalarization, arXiv:2402.19078, equation (9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, loss_values, option, positive_losses, weighted
from ..problem import Problem


@dataclass(frozen=True)
class STCHOptions(Options):
    mu: float = option(0.1, "smoothing; the paper tries 0.01 to 1", low=1e-12)
    scaling: str = option("plain", "plain: the paper; log: ratio to the nadir (LibMTL)", choices=("plain", "log"))
    warmup: int = option(100, "steps on sum log L before the nadir is taken (log only; LibMTL: 4 epochs)", low=1)


def softmax(x: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    y = np.exp(x - x.max())
    share: np.ndarray[Any, np.dtype[np.float64]] = y / y.sum()
    return share


@final
class Method(AbstractMethod):
    title = "STCH"
    needs = "losses"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = STCHOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return {"step": 0, "sum": torch.zeros(m, dtype=torch.float64)}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        if options.scaling == "plain":
            x = loss_values(losses, "stch") / (problem.m * options.mu)
            top, mu = float(x.max()), options.mu
            found = weighted(
                softmax(x) / problem.m, "ok", lambda: {"value": mu * (float(np.log(np.exp(x - top).sum())) + top)}
            )
            return found, state
        L = positive_losses(losses, "stch")
        step = int(state["step"])
        if step < options.warmup:
            return weighted(1.0 / L), {"step": step + 1, "sum": state["sum"] + torch.from_numpy(L)}
        nadir = state["sum"].numpy() / options.warmup
        return weighted(problem.m * softmax(np.log(L / nadir) / options.mu) / L), state
