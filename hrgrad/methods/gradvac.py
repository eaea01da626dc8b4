r"""GradVac: pull the cosine of every pair up to its own running mean.

    phi = cos(g_i', g_j);   if phi < phi_ij:   g_i' <- g_i' + |g_i'| (phi_ij s - phi s_ij) / (|g_j| s_ij) g_j
    s = sqrt(1 - phi^2),  s_ij = sqrt(1 - phi_ij^2);      then  phi_ij <- (1 - beta) phi_ij + beta phi

for j != i in random order, on the ORIGINAL g_j, phi taken before the correction; u = sum_i g_i'. PCGrad is phi_ij = 0. As there,
step s of all m inner loops is one vectorised operation in Gram space, with |g_i'|^2 carried along.
Cost: one Gramian, m - 1 vectorised steps of O(m^2), one weighted sum. State: phi (m, m); draws the orders.
Source: Wang, Tsvetkov, Firat, Cao (2021), Gradient Vaccine, arXiv:2010.05874, algorithm 1.
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
from .pcgrad import random_orders

LIMIT = 1.0 - 1e-10


@dataclass(frozen=True)
class GradVacOptions(Options):
    beta: float = option(
        0.5, "weight of the new cosine (torchjd, LibMTL; the paper's own is smaller)", low=0.0, high=1.0
    )


def gradvac_weights(Q: Array, phi_target: Array, orders: NDArray[np.int64], beta: float) -> tuple[Array, Array]:
    """Column sums of the coefficient rows and the renewed targets."""
    m = len(Q)
    each = np.arange(m)
    n = np.sqrt(Q.diagonal())
    safe = np.where(n > 0.0, n, 1.0)
    place = (orders + m * each[:, None]).T  # of (i, j) in a flattened matrix; row s: the s-th partner of every i
    old = phi_target.reshape(-1)[place]
    goal = np.minimum(np.maximum(old, -LIMIT), LIMIT)
    spread = np.sqrt(1.0 - goal * goal)
    other, rows = safe[orders.T], Q[orders.T]
    goal[n[orders.T] == 0.0] = -2.0  # no cosine is below: a gradient of length zero pulls at nobody
    V, own = Q.copy(), n * n
    change, seen = np.zeros((m - 1, m)), np.zeros((m - 1, m))
    for s, where in enumerate(place):
        dot, length = V.reshape(-1)[where], np.sqrt(own)
        phi = dot / (np.where(length > 0.0, length, 1.0) * other[s])
        seen[s] = phi = np.minimum(np.maximum(phi, -1.0), 1.0)
        low = phi < goal[s]
        if low.any():
            c = length * (goal[s] * np.sqrt(1.0 - phi * phi) - phi * spread[s]) / (other[s] * spread[s])
            change[s] = c = np.where(low, c, 0.0)
            V += c[:, None] * rows[s]
            own = np.maximum(own + c * (2.0 * dot + c * other[s] ** 2), 0.0)
    weights = np.asarray(1.0 + np.bincount(orders.T.reshape(-1), change.reshape(-1), m), dtype=np.float64)
    renewed = phi_target.copy()
    renewed.reshape(-1)[place] = (1.0 - beta) * old + beta * seen
    return weights, renewed


@final
class Method(AbstractMethod):
    title = "GradVac"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "pareto_convergent"})
    Options = GradVacOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return {"phi": torch.zeros(m, m, dtype=torch.float64)}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        orders = random_orders(problem.m, generator)
        w, phi = gradvac_weights(problem.gramian, state["phi"].numpy(), orders, options.beta)
        return weighted(w), {"phi": torch.from_numpy(phi)}
