"""What formulations of slab transport share: which lift a case has, and points on its open ends."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from .lift import Lift

#: one in so many points lends its (t, eps) to a point on every open end
SHARE = 8
#: a row on an open end weighs this much: the values there fix everything else
WALL = 3.0

Array = NDArray[np.float64]


def full_range(nodes: int) -> tuple[Array, Array]:
    """Gauss points on [-1, 1] and weights of sum one."""
    z, w = np.polynomial.legendre.leggauss(nodes)
    return z, 0.5 * w


def half_range(nodes: int) -> tuple[Array, Array]:
    """Gauss points on [-1, 0] and on [0, 1], weights of sum one: f may jump at v = 0."""
    if nodes % 2:
        raise BadInput(f"train.velocities = {nodes}: in-flow ends need an even number, half of it on each side of 0")
    z, w = np.polynomial.legendre.leggauss(nodes // 2)
    half = 0.5 * (z + 1.0)
    return np.concatenate([-half[::-1], half]), 0.25 * np.concatenate([w[::-1], w])


def product(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Value and derivatives of a b from those of a and b along `axis`."""
    value, *slopes = a.unbind(axis)
    other, *others = b.unbind(axis)
    pairs = zip(slopes, others, strict=True)
    return torch.stack([value * other, *(s * other + value * o for s, o in pairs)], dim=axis)


def make_lift(case: Case, velocities: int, device: str) -> Lift:
    """The lift of a case; BadInput for ends that no lift handles."""
    kinds = {case.boundary.left.kind, case.boundary.right.kind}
    if kinds == {"periodic"}:
        from .periodic import Lift as Periodic

        return Periodic(case, velocities, device)
    if kinds == {"inflow"}:
        from .inflow import Lift as Inflow

        return Inflow(case, velocities, device)
    raise BadInput(
        f"train.formulation: transport trains with periodic or in-flow ends, not {' and '.join(sorted(kinds))}"
    )


@dataclass
class Walls:
    """Points on the open ends, behind the others along B: per end its slice, entering nodes and open value of f."""

    ends: dict[str, tuple[slice, Tensor, Tensor]] = field(default_factory=dict)

    @classmethod
    def add(cls, lift: Lift, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, "Walls"]:
        """eps, t, x with the points on the open ends appended."""
        walls = cls()
        count = max(1, x.shape[-1] // SHARE)
        eps_, t_ = eps[..., :count], t[..., :count]
        for side in lift.open_ends:
            here = slice(x.shape[-1], x.shape[-1] + count)
            end = torch.full_like(t_, lift.low if side == "left" else lift.high)
            eps, t, x = (torch.cat(pair, dim=-1) for pair in ((eps, eps_), (t, t_), (x, end)))
            walls.ends[side] = (here, *lift.wall(side, eps_, t_))
        return eps, t, x, walls

    def misfit(self, f: Tensor) -> dict[str, Tensor]:
        """f - f_open by end, from f on all points (..., B, v)."""
        return {side: f[..., here, :][..., nodes] - value for side, (here, nodes, value) in self.ends.items()}
