r"""M-ConFIG: ConFIG on moving averages of the gradients inside Adam; one new gradient per step is enough.

    mhat_i = m_i / (1 - b_1^{t_i}),   u = ConFIG(mhat_1, ..., mhat_m),        step = u / (sqrt(v / (1 - b_2^t)) + eps)

with v the moving average of the squared pseudo-gradient (`hrgrad.momentum` has the formulas). The step is already Adam's:
follow it with plain gradient descent. Zero until every task has been seen.
Cost: m x P moving averages, one Gramian (one row of it with one new gradient), one m x m solve. State: momenta, their Gramian, v.
Source: Liu, Chu, Thuerey (2024), ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks, arXiv:2408.11104,
algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from ..arrays import Array
from ..method import AbstractMethod, Direction, Measure, Options, State, option
from ..momentum import momentum_direction, momentum_state
from ..problem import Problem
from .config import config_weights


@dataclass(frozen=True)
class MConFIGOptions(Options):
    beta1: float = option(0.9, "memory of the gradients; the original's", low=0.0, high=0.999999)
    beta2: float = option(0.999, "memory of the squares; the original's", low=0.0, high=0.99999999)
    eps: float = option(1e-8, "added to the root; the original's", low=0.0)


def inner(C: Array, norms: Array) -> tuple[Array, str, Measure]:
    w, cosine, status = config_weights(C, norms)
    return w, status, lambda: {"c_alpha": cosine}


@final
class Method(AbstractMethod):
    title = "MConFIG"
    needs = "jacobian"
    properties = frozenset({"permutation_equivariant", "deterministic"})
    Options = MConFIGOptions

    @classmethod
    def is_step(cls, options: Any) -> bool:
        return True

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        return momentum_state(m)

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        return momentum_direction(problem, state, options, "mconfig", inner)
