r"""Linear transport in the plane, micro-macro: density and a mean-free correction on directions, on top of `apnn/plane.py`.

$$ f = f_{\rm lift} + \rho + \varepsilon g, \qquad \rho = A\,R, \quad g = G\,\hat g, \quad \langle\hat g\rangle = 0 , $$
$$ R_{\rm macro} = \partial_t\rho + \nabla\cdot\langle\omega g\rangle + \sigma_A\rho - S, \qquad
   R_{\rm micro} = \varepsilon^2\partial_tg + \varepsilon(\omega\cdot\nabla g - \langle\omega\cdot\nabla g\rangle)
   + \omega\cdot\nabla\rho + \sigma g , $$
$$ R_{\rm left,\,right,\,bottom,\,top} = \rho + \varepsilon g - f_{\rm open},\quad n\cdot\omega<0 . $$

Each row is divided by its own size, O(1) for every eps.  For eps -> 0 the micro residual gives g = -omega.grad rho/sigma_S
and the macro one the diffusion equation with 1/(2 sigma_S): asymptotic-preserving.  Initial data, symmetries of the data and
<g> = 0 are exact.  The directions are a Gauss rule on each quadrant, so f may jump at walls parallel to the axes.

References: Jin, Ma, Wu (2021), arXiv:2111.02541 (micro-macro APNN); Lemou, Mieussens (2008), SIAM J. Sci. Comput. 31, 334,
DOI 10.1137/07069479X.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from solvers.problem.case import Case

from ..crowding import thinned
from ..features import product, with_tangents
from ..lift import Known
from ..plane import SIDES, Plane
from ..slab import SHARE, WALL


@dataclass
class Batch:
    """Everything that does not depend on the parameters, at points (..., B), those on the sides last."""

    inputs: Tensor  # (..., 4, B, features): value, d_t, d_x, d_y
    t: Tensor
    eps: Tensor
    x: Tensor
    y: Tensor
    known: Known
    sides: dict[str, tuple[slice, Tensor, Tensor]] = field(default_factory=dict)  # points, entering directions, f_open


@dataclass
class Solution:
    """rho and g, the remainder of the lift, with derivatives: (..., 4, B) and (..., 4, B, v)."""

    rho: Tensor
    g: Tensor


class Formulation:
    """`formulation = "transport_2d_micro_macro"`; isotropic in-flow or absorbing sides, sigma_s, sigma_a, Q of x, y (t)."""

    equations = ("transport_2d",)
    asymptotic_preserving = True
    float32 = True
    fields = ("rho", "J1", "J2")

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        self.lift = Plane(case, velocities, device)
        self.v1, self.v2, self.w = self.lift.v1, self.lift.v2, self.lift.w
        self.v = self.v1, self.v2
        self.places, self.basis = self.lift.places, None
        self.inputs = self.lift.places + self.lift.scales
        self.outputs = 1 + velocities
        self.residual_names = ("macro", "micro", *self.lift.open_sides)
        self.features, self.stratify = self.lift.features, self.lift.stratify

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> Batch:
        """The theta-independent part at points (..., B), points on the open sides added."""
        count, columns, sides = max(1, x.shape[-1] // SHARE), [(eps, t, x, y)], {}
        for number, side in enumerate(self.lift.open_sides):
            axis, end = SIDES[side]
            some = [value[..., :count] for value in (eps, t, x, y)]
            some[2 + axis] = torch.full_like(some[1], self.lift.box[axis][end])
            start = x.shape[-1] + number * count
            sides[side] = (slice(start, start + count), *self.lift.wall(side, *some))
            columns.append(tuple(some))
        eps, t, x, y = (torch.cat(parts, dim=-1) for parts in zip(*columns, strict=True))
        return Batch(with_tangents(self.features, eps, t, x, y), t, eps, x, y, self.lift.known(eps, t, x, y), sides)

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """Physical unknowns from the network's outputs (..., 4, B, 1 + directions)."""
        rho = product(batch.known.A, outputs[..., 0], -2)
        return Solution(rho, product(batch.known.G, outputs[..., 1:], -3) @ self.lift.head)

    def solution_of(self, f: Tensor, batch: Batch) -> Solution:
        """The unknowns of a given f on the directions with d_t, d_x, d_y, (..., 4, B, v)."""
        rest = f - with_tangents(self.lift.flight, batch.eps, batch.t, batch.x, batch.y)
        rho = rest @ self.w
        return Solution(rho, (rest - rho.unsqueeze(-1)) / batch.eps.unsqueeze(-1))

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name: (..., B), (..., B, v) and (..., points on a side, entering directions)."""
        known, eps = batch.known, batch.eps.unsqueeze(-1)
        rho, rho_t, rho_x, rho_y = solution.rho.unbind(-2)
        g, g_t, g_x, g_y = solution.g.unbind(-3)
        streamed = self.v1 * g_x + self.v2 * g_y
        mean = streamed @ self.w
        macro = rho_t + mean + known.sigma_a * rho - known.S
        sigma = (known.sigma_s + batch.eps**2 * known.sigma_a).unsqueeze(-1)
        slope = self.v1 * rho_x.unsqueeze(-1) + self.v2 * rho_y.unsqueeze(-1)
        micro = eps**2 * g_t + eps * (streamed - mean.unsqueeze(-1)) + slope + sigma * g
        rows = {"macro": macro * known.macro_weight, "micro": micro * known.micro_weight.unsqueeze(-1)}
        rows = thinned(rows, known.crowded)
        f, size = rho.unsqueeze(-1) + eps * g, known.macro_weight / (batch.t + batch.eps**2)
        for side, (points, entering, value) in batch.sides.items():
            misfit = f[..., points, :][..., entering] - value.unsqueeze(-1)
            rows[side] = WALL * misfit * size[..., points].unsqueeze(-1)
        return rows

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """rho and J = <omega f>/eps at points (..., B) from the network's values (..., 1, B, 1 + directions)."""
        both = self.lift.amplitudes(eps, t, x, y)
        A, G = both[..., 0], both[..., 1:]
        rho, J1, J2 = self.lift.lifted(eps, t, x, y)
        g = (G * outputs[..., 0, :, 1:]) @ self.lift.head
        return {
            "rho": rho + A * outputs[..., 0, :, 0],
            "J1": J1 + g @ (self.w * self.v1),
            "J2": J2 + g @ (self.w * self.v2),
        }
