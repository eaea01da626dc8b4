r"""Aligned-MTL: the gradient matrix with all its singular values made equal.

    Q = V Lambda V^T,   B = sigma V Lambda^{-1/2} V^T,   w = B 1/m,        sigma^2 = min, median or mean of Lambda

The directions of the singular vectors stay, the conditioning becomes one. The length goes to zero with the
conflict; Q^{1/2} 1 may have negative entries, so a gradient can still be opposed.
Eigenvalues below `rank` times the largest count as zero and decide, through sigma, the length.
Cost: one Gramian, one eigen-decomposition, one weighted sum. State: none.
Source: Senushkin, Patakin, Kuznetsov, Konushin (2023), Independent Component Alignment for Multi-Task Learning,
arXiv:2305.19000, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from ..arrays import Array
from ..method import AbstractMethod, Direction, Options, State, option, weighted
from ..problem import Problem


@dataclass(frozen=True)
class AlignedMTLOptions(Options):
    scale: str = option("min", "sigma^2 (min: the paper)", choices=("min", "median", "rmse"))
    preference: str = option("mean", "1/m (torchjd) or ones (LibMTL: m times longer)", choices=("mean", "ones"))
    rank: float = option(1e-12, "relative eigenvalue that counts as zero", low=0.0, high=1.0)


def alignedmtl_weights(Q: Array, options: Any) -> Array:
    m = len(Q)
    value, vector = np.linalg.eigh(Q)
    if value[-1] <= 0.0:
        return np.zeros(m)
    rank = int(np.searchsorted(value, options.rank * value[-1], side="right"))
    value, vector = value[rank:], vector[:, rank:]
    match options.scale:
        case "min":
            square = value[0]
        case "median":
            square = value[(len(value) - 1) // 2]
        case _:
            square = value.mean()
    root = np.sqrt(value / square)
    w: Array = vector @ (np.ones(m) @ vector / root)
    return w / m if options.preference == "mean" else w


@final
class Method(AbstractMethod):
    title = "AlignedMTL"
    needs = "gramian"
    properties = frozenset({"scale_equivariant", "permutation_equivariant", "pareto_convergent", "deterministic"})
    Options = AlignedMTLOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        return weighted(alignedmtl_weights(problem.gramian, options)), state
