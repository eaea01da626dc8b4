r"""PCGrad: every gradient is freed of what opposes the others, one after the other in random order.

    for each i, for j != i in random order:   g_i' <- g_i' - min(0, g_i'.g_j) / |g_j|^2 g_j,        u = sum_i g_i'

The projections act on the ORIGINAL g_j, so the m inner loops are independent: step s treats all i at once, on coefficient
rows W (g_i' = sum_k W_ik g_k) and their inner products V = W Q. For m > 2 the sum may still conflict.

Cost: one Gramian, m - 1 vectorised steps of O(m^2), one weighted sum. State: none; draws the orders.
Source: Yu, Kumar, Gupta, Levine, Hausman, Finn (2020), Gradient Surgery for Multi-Task Learning, arXiv:2001.06782, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import Array
from ..method import AbstractMethod, Direction, Options, State, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class PCGradOptions(Options):
    reduction: str = option("sum", "sum (the paper's algorithm 1, torchjd, LibMTL) or mean", choices=("sum", "mean"))


def random_orders(m: int, generator: torch.Generator | None) -> NDArray[np.int64]:
    """orders[i] = the other tasks in random order, shape (m, m - 1)."""
    draws = torch.rand(m, m - 1, generator=generator, dtype=torch.float64).numpy()
    order = draws.argsort(1)
    return order + (order >= np.arange(m)[:, None])


def pcgrad_weights(Q: Array, orders: NDArray[np.int64]) -> Array:
    """Column sums of the coefficient rows after all projections."""
    m = len(Q)
    square = np.where(Q.diagonal() > 0.0, Q.diagonal(), np.inf)
    place = (
        orders + m * np.arange(m)[:, None]
    ).T  # of (i, j) in a flattened matrix; row s: the s-th partner of every i
    share, rows = square[orders.T], Q[orders.T]
    V, change = Q.copy(), np.zeros((m - 1, m))
    for s, where in enumerate(place):
        dot = V.reshape(-1)[where]
        if dot.min() < 0.0:
            change[s] = c = np.minimum(dot, 0.0) / share[s]
            V -= c[:, None] * rows[s]
    return np.asarray(1.0 - np.bincount(orders.T.reshape(-1), change.reshape(-1), m), dtype=np.float64)


@final
class Method(AbstractMethod):
    title = "PCGrad"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "pareto_convergent"})
    Options = PCGradOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        w = pcgrad_weights(problem.gramian, random_orders(problem.m, generator))
        return weighted(w if options.reduction == "sum" else w / problem.m), state
