r"""ConFIG: the direction with the same cosine to every gradient, as long as the gradients' projections on it together.

    d = N(A^+ 1),   A = (a_1, ..., a_m)^T,   a_i = g_i / |g_i|,        u = (sum_i g_i . d) d

In Gram space: C y = 1 gives d = sum_i y_i a_i / sqrt(y'Cy), all cosines equal c = 1 / sqrt(1' C^-1 1). Nothing is truncated
while C is regular: for nearly opposed gradients the wanted direction is the SMALLEST singular one, which a default cut-off
removes (the P-dimensional implementations then turn 90 degrees away). Where 1 is not in the range of C (dependent gradients)
the cosines cannot be equal: the direction of the best worst cosine, the min-norm point of conv{a_i}, takes its place.

Cost: one Gramian, one m x m solve, one weighted sum. State: none.
Source: Liu, Chu, Thuerey (2024), ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks,
arXiv:2408.11104, equations (2)-(4).
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from torch import Tensor

from ..arrays import Array
from ..method import AbstractMethod, Direction, State, weighted
from ..problem import Problem
from ..quadratic import equal_projections, min_norm, vanishes

EQUAL = 1e-6


def config_weights(C: Array, norms: Array) -> tuple[Array, float, str]:
    """Weights on the gradients, the smallest cosine with them, and the status; zero gradients get no weight."""
    live = norms > 0.0
    if not live.any():
        return np.zeros(len(norms)), 0.0, "stationary"
    all_live = bool(live.all())
    part = C if all_live else C[np.ix_(live, live)]
    y, residual = equal_projections(part)
    image, status = part @ y, "ok"
    square = float(y @ image)
    if residual > EQUAL or square <= 0.0:
        y, tau = min_norm(part)
        image, square, status = part @ y, tau * tau, "min-norm"
    if vanishes(part, y):
        return np.zeros(len(norms)), 0.0, "stationary"
    length = square**0.5
    y, image = y / length, image / length
    n = norms if all_live else norms[live]
    w = (
        float(n @ np.maximum(image, 0.0)) * y / n
    )  # below zero by rounding alone; a long gradient would turn the update round
    if not all_live:
        full = np.zeros(len(norms))
        full[live] = w
        w = full
    return w, float(image.min()), status


@final
class Method(AbstractMethod):
    title = "ConFIG"
    needs = "gramian"
    properties = frozenset(
        {
            "non_conflicting",
            "scale_equivariant",
            "scale_invariant",
            "permutation_equivariant",
            "norm_preserving",
            "equal_cosine",
            "reduces_to_config",
            "pareto_convergent",
            "deterministic",
        }
    )

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        w, cosine, status = config_weights(problem.cosines, problem.norms)
        return weighted(w, status, lambda: {"c_alpha": cosine}), state
