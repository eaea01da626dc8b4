r"""GradDrop: every coordinate keeps one sign, drawn by its purity.

    p = 1/2 (1 + sum_i g_i / sum_i |g_i|)   element-wise,   U uniform in [0, 1)
    M = (g_i > 0 where p > U,  g_i < 0 where p < U),        u = sum_i (l + (1 - l) M) g_i

With the positive part S+ = sum max(g_i, 0) and the negative part S- = sum g_i - S+, p = S+ / (S+ - S-) and the kept sum is S+
where p > U, else S-: two reductions over J, no m x P mask. Coordinates where all gradients vanish stay zero. The original acts
on activations (times their sign); this is its form on parameters.
Cost: two passes over J. State: none; draws P numbers.
Source: Chen, Ngiam, Huang, Luong, Kretzschmar, Chai, Anguelov (2020), Just Pick a Sign, arXiv:2010.06808, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ..method import AbstractMethod, Direction, Options, State, option
from ..problem import Problem

CHUNK = 1 << 15


@dataclass(frozen=True)
class GradDropOptions(Options):
    leak: float = option(0.0, "share of every gradient that is never dropped; the original's 0", low=0.0, high=1.0)


def drop(J: Tensor, U: Tensor, leak: Tensor | float = 0.0) -> Tensor:
    """The update (P,) for the draws U (P,); `leak` one number or one per loss. Chunks of columns stay in the cache."""
    update = torch.empty(J.shape[1], dtype=J.dtype, device=J.device)
    for start in range(0, J.shape[1], CHUNK):
        part, draw = J[:, start : start + CHUNK], U[start : start + CHUNK]
        plus, total = part.clamp_min(0.0).sum(0), part.sum(0)
        minus = total - plus
        positive = plus > draw * (plus - minus)
        if isinstance(leak, Tensor):
            share = leak.to(part)[:, None]
            kept = ((1.0 - share) * torch.where(positive, part.clamp_min(0.0), part.clamp_max(0.0))).sum(0)
            update[start : start + CHUNK] = kept + (share * part).sum(0)
        else:
            kept = torch.where(positive, plus, minus)
            update[start : start + CHUNK] = kept if leak == 0.0 else leak * total + (1.0 - leak) * kept
    return update


@final
class Method(AbstractMethod):
    title = "GradDrop"
    needs = "jacobian"
    properties = frozenset({"scale_equivariant"})
    Options = GradDropOptions

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        J = problem.finite("graddrop")
        device = generator.device if generator is not None else J.device
        U = torch.rand(J.shape[1], generator=generator, dtype=J.dtype, device=device).to(J.device)
        return Direction(vector=drop(J, U, options.leak)), state
