r"""Linear transport, plain physics-informed network: one head f, the equation as it stands.  NOT asymptotic-preserving.

$$ R_{\rm transport} = \varepsilon^2\partial_tf + \varepsilon v\,\partial_xf - \sigma_S\langle f\rangle + \sigma f - \varepsilon^2Q,
   \quad R_{\rm initial} = f(0,x,v) - f_0, \quad R_{\rm left,\,right} = f - F\ \text{on what enters} . $$

Here to show why it fails: for eps -> 0 the first residual becomes $\sigma_S(f - \langle f\rangle)$, which every function
f = rho(t, x) solves, whether rho obeys the diffusion equation or not; the equation that decides rho has the weight eps^2
(problems.md 4; training.md 2.3).  Periodicity is exact, everything else soft.

Reference: Raissi, Perdikaris, Karniadakis (2019), J. Comput. Phys. 378, 686, DOI 10.1016/j.jcp.2018.10.045; its failure: Jin,
Ma, Wu (2021), arXiv:2111.02541.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.problem.case import Case

from ..expression import evaluate
from ..features import harmonics, with_tangents
from ..quadrature import full_range, half_range
from ..slab import SHARE

HARMONICS = 2


@dataclass
class Batch:
    """Points (..., B): the interior ones, then those at t = 0, then those on each in-flow end."""

    inputs: Tensor  # (..., 3, B, features)
    t: Tensor
    eps: Tensor
    x: Tensor
    inside: slice
    start: slice
    walls: dict[str, tuple[slice, Tensor, Tensor]]  # points, entering nodes, F on them


@dataclass
class Solution:
    """f with derivatives, (..., 3, B, v)."""

    f: Tensor


class Formulation:
    """`formulation = "transport_pinn"`; periodic or in-flow ends."""

    equations = ("transport",)
    asymptotic_preserving = False
    float32 = True
    fields = ("rho", "J")

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        self.case = case
        self.low, self.high = case.domain.x
        self.t_end = case.domain.t_end
        sides = {"left": case.boundary.left, "right": case.boundary.right}
        self.open = [name for name, side in sides.items() if side.kind == "inflow"]
        self.periodic = case.boundary.left.kind == "periodic"
        v, w = (full_range if self.periodic else half_range)(velocities)
        self.v, self.w = (torch.as_tensor(a, dtype=torch.float64, device=device) for a in (v, w))
        self.places, self.basis = (2 * HARMONICS if self.periodic else 1), None
        self.inputs, self.outputs = self.places + 2, velocities
        self.residual_names = ("transport", "initial", *self.open)

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs (..., B, features): x, t and the logarithm of eps, nothing else."""
        place = (
            harmonics(x, (self.low, self.high), HARMONICS)
            if self.periodic
            else [2.0 * (x - self.low) / (self.high - self.low) - 1.0]
        )
        return torch.stack([*place, 2.0 * t / self.t_end - 1.0, eps.log10() / 2.0 + 1.0], dim=-1)

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor) -> Batch:
        """The theta-independent part at points (..., B)."""
        inside, count = slice(0, x.shape[-1]), max(1, x.shape[-1] // SHARE)
        some = (eps[..., :count], t[..., :count], x[..., :count])
        parts = [(eps, t, x), (some[0], torch.zeros_like(some[1]), some[2])]
        walls = {}
        for number, side in enumerate(self.open):
            at, ahead = (self.low, self.v > 0) if side == "left" else (self.high, self.v < 0)
            begin = x.shape[-1] + (1 + number) * count
            parts.append((some[0], some[1], torch.full_like(some[2], at)))
            F = evaluate(
                getattr(self.case.boundary, side).f,
                t=some[1].unsqueeze(-1),
                v=self.v[ahead].abs(),
                eps=some[0].unsqueeze(-1),
            )
            walls[side] = (slice(begin, begin + count), torch.nonzero(ahead)[:, 0], F)
        start = slice(x.shape[-1], x.shape[-1] + count)
        eps, t, x = (torch.cat(columns, dim=-1) for columns in zip(*parts, strict=True))
        return Batch(with_tangents(self.features, eps, t, x), t, eps, x, inside, start, walls)

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """f itself."""
        return Solution(outputs)

    def solution_of(self, f: Tensor, batch: Batch) -> Solution:
        """The unknowns of a given f on the nodes with d_t, d_x, (..., 3, B, v)."""
        return Solution(f)

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name, each (..., points, v)."""
        f, f_t, f_x = (part[..., batch.inside, :] for part in solution.f.unbind(-3))
        eps, t, x = (value[..., batch.inside] for value in (batch.eps, batch.t, batch.x))
        equation = self.case.equation
        sigma_s, sigma_a = (evaluate(s, x=x).unsqueeze(-1) for s in (equation.sigma_s, equation.sigma_a))
        Q = evaluate(equation.source, x=x, t=t).unsqueeze(-1)
        mean, eps = (f @ self.w).unsqueeze(-1), eps.unsqueeze(-1)
        gain = sigma_s * mean + eps**2 * Q
        rows = {"transport": eps**2 * f_t + eps * self.v * f_x + (sigma_s + eps**2 * sigma_a) * f - gain}
        first = solution.f[..., 0, :, :]
        place, number = batch.x[..., batch.start].unsqueeze(-1), batch.eps[..., batch.start].unsqueeze(-1)
        rows["initial"] = first[..., batch.start, :] - evaluate(self.case.initial.f, x=place, v=self.v, eps=number)
        for side, (points, nodes, F) in batch.walls.items():
            rows[side] = first[..., points, :][..., nodes] - F
        return rows

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """rho and J = <v f>/eps at points (..., B) from the network's values (..., 1, B, v)."""
        f = outputs[..., 0, :, :]
        return {"rho": f @ self.w, "J": (f @ (self.w * self.v)) / eps}
