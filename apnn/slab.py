"""What formulations of slab transport share: which lift a case has, and points on its open ends."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from .inflow import Lift as Inflow
from .lift import Lift
from .periodic import Lift as Periodic

#: one in so many points lends its (t, eps) to a point on every open end
SHARE = 8
#: a row on an open end weighs this much: the values there fix everything else
WALL = 3.0


def make_lift(case: Case, velocities: int, device: str) -> Lift:
    """The lift of a case; BadInput for ends that no lift handles."""
    kinds = {case.boundary.left.kind, case.boundary.right.kind}
    if kinds == {"periodic"}:
        return Periodic(case, velocities, device)
    if kinds == {"inflow"}:
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
