r"""FAMO: fast adaptive multi-task optimisation, equal RELATIVE decrease of all losses from loss values alone.

    z = softmax(xi),   D_i = L_i - b + eps,        w_i = (z_i / D_i) / sum_k z_k / D_k

After the step the same batch is evaluated again (`observe`) and xi learns which task fell least:

    delta_i = log D_i(before) - log D_i(after),   xi <- Adam(xi, (diag(z) - z z^T) delta + gamma xi)

One more forward pass, no second backward. Losses must stay above b; losses of about eps = 1e-8 are seen as constant.
Cost: one backward pass and one forward pass. State: xi and its moments.
Source: Liu, Feng, Stone, Liu (2023), FAMO: Fast Adaptive Multitask Optimization, arXiv:2306.03792, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..arrays import Array
from ..descent import adam_state, adam_step
from ..method import AbstractMethod, Direction, Options, State, loss_values, option, weighted
from ..problem import Problem
from .stch import softmax


@dataclass(frozen=True)
class FAMOOptions(Options):
    lr: float = option(0.025, "step of Adam on xi; the paper's 0.025", low=0.0)
    gamma: float = option(1e-3, "decay of xi; the paper's 1e-3 (its code has 1e-2 and 1e-5 elsewhere)", low=0.0)
    floor: float = option(0.0, "b, a lower bound of the losses")
    eps: float = option(1e-8, "added to L - b; the original's", low=1e-300)


def excess(losses: Tensor | None, options: Any) -> Array:
    D: Array = loss_values(losses, "famo") - options.floor + options.eps
    if (D <= 0.0).any():
        bad = int(np.flatnonzero(D <= 0.0)[0])
        raise ValueError(f"famo needs losses above floor = {options.floor}; loss {bad} is {D[bad] + options.floor:.6g}")
    return np.asarray(D, dtype=np.float64)


@final
class Method(AbstractMethod):
    title = "FAMO"
    needs = "losses"
    observes = True
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "linear_under_scaling", "deterministic"})
    Options = FAMOOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return adam_state(m)

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        w = softmax(state["x"].numpy()) / excess(losses, options)
        return weighted(w / w.sum()), state

    @classmethod
    def observe(cls, losses_before: Tensor, losses_after: Tensor, state: State, options: Any) -> State:
        delta = np.log(excess(losses_before, options)) - np.log(excess(losses_after, options))
        xi = state["x"].numpy()
        z = softmax(xi)
        return adam_step(state, z * (delta - z @ delta) + options.gamma * xi, options.lr)
