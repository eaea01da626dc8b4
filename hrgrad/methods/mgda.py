r"""MGDA: the shortest vector in the convex hull of the gradients.

    w = argmin { |sum_i w_i g_i|^2 : w >= 0, sum_i w_i = 1 },        u = sum_i w_i g_i,   g_i . u >= |u|^2

u vanishes exactly on the Pareto set. The quadratic program is solved exactly by an active set (Frank-Wolfe stops at 1e-3).
It favours the smallest gradient; `normalization = "l2"` takes the hull of the unit gradients instead. Gradients that are
exactly zero are left out: one solved task does not stop the others.
Cost: one Gramian, a few m x m solves, one weighted sum. State: none.
Source: Desideri (2012), Multiple-gradient descent algorithm (MGDA), doi:10.1016/j.crma.2012.03.014; normalisation: Sener, Koltun
(2018), arXiv:1810.04650.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..arrays import Array
from ..method import AbstractMethod, Direction, Options, State, loss_values, option, weighted
from ..problem import Problem
from ..quadratic import min_norm, vanishes


@dataclass(frozen=True)
class MGDAOptions(Options):
    normalization: str = option(
        "none", "hull of g_i (none), g_i / |g_i| (l2), g_i / L_i (loss), g_i / (L_i |g_i|) (loss+)",
        choices=("none", "l2", "loss", "loss+"),
    )  # fmt: skip


def mgda_weights(C: Array, n: Array, size: Array) -> tuple[Array, float]:
    """Weights on the gradients for the hull of g_i / size_i, and the length of the min-norm point."""
    live = n > 0.0
    w = np.zeros(len(n))
    if not live.any():
        return w, 0.0
    length = n[live] / size[live]
    part = C[np.ix_(live, live)]
    y, _ = min_norm(part, length.min() / length)
    if vanishes(part, y):
        return w, 0.0
    share = y / length
    w[live] = share / share.sum() / size[live]
    y = y / share.sum()
    return w, float(np.sqrt(y @ part @ y))


@final
class Method(AbstractMethod):
    title = "MGDA"
    needs = "gramian"
    properties = frozenset(
        {"non_conflicting", "scale_equivariant", "permutation_equivariant", "pareto_convergent", "deterministic"}
    )
    Options = MGDAOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        C, n = problem.cosines, problem.norms
        size = np.ones(len(n))
        if options.normalization in ("l2", "loss+"):
            size = np.where(n > 0.0, n, 1.0)
        if options.normalization in ("loss", "loss+"):
            size = size * np.maximum(np.abs(loss_values(losses, "mgda")), 1e-300)
        w, length = mgda_weights(C, n, size)
        return weighted(w, "ok" if length > 0.0 else "stationary", lambda: {"min_norm": length}), state
