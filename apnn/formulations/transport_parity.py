r"""Linear transport by even and odd parities and the density, on top of a lift (`apnn/lift.py`): the residuals (8).

For the remainder f of the lift and v > 0: $r = \tfrac12(f(v)+f(-v))$, $j = \tfrac1{2\varepsilon}(f(v)-f(-v))$,

$$ R_1 = \varepsilon^2(\partial_tr + v\,\partial_xj) - \sigma_S(\rho - r) + \varepsilon^2(\sigma_Ar - S) - \varepsilon M_{\rm even},
   \qquad R_2 = \varepsilon^2\partial_tj + v\,\partial_xr + \sigma j - M_{\rm odd}, $$
$$ R_3 = \partial_t\rho + \partial_x\langle vj\rangle + \sigma_A\rho - S, \qquad R_4 = \rho - \langle r\rangle, \qquad
   R_{\rm left} = r + \varepsilon j - f_{\rm open}, \quad R_{\rm right} = r - \varepsilon j - f_{\rm open} . $$

For eps -> 0: r = rho, j = -v d_x rho/sigma_S and the diffusion equation, asymptotic-preserving.  rho, r and j are three heads,
r and j on the nodes v > 0, so both parities are exact; R_4 ties rho to r and is essential.  Initial data and periodicity are
exact: $\rho = \rho_b + AR$, $r = \rho_b + A\hat r$, $j = G\hat\jmath$; in rho - r and R_4 rho_b cancels, and is left out.

References: Jin, Pareschi, Toscani (2000), SIAM J. Numer. Anal. 38, 913, DOI 10.1137/S0036142998347978 (parities); Jin, Ma, Wu
(2023), arXiv:2306.15381 (APNN).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from ..crowding import thinned
from ..features import product, with_tangents
from ..lift import Known
from ..slab import WALL, Walls, make_lift


@dataclass
class Batch:
    """Everything that does not depend on the parameters, at points of shape (..., B)."""

    inputs: Tensor  # (..., 3, B, features)
    t: Tensor
    eps: Tensor
    x: Tensor
    known: Known
    walls: Walls


@dataclass
class Solution:
    """rho - rho_b (..., 3, B); r - rho_b and j on the nodes v > 0, (..., 3, B, v); with derivatives, of the lift's remainder."""

    rho: Tensor
    r: Tensor
    j: Tensor


class Formulation:
    """`formulation = "transport_parity"`; periodic or in-flow ends, sigma_s(x), sigma_a(x), source Q(x, t)."""

    equations = ("transport",)
    asymptotic_preserving = True
    float32 = True
    fields = ("rho", "J")

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        if velocities % 2:
            raise BadInput(f"train.velocities = {velocities}: parities need an even number, v and -v in pairs")
        self.lift = make_lift(case, velocities, device)
        self.n = velocities // 2
        self.v, self.w = self.lift.v, self.lift.w
        self.speeds, self.halves = self.v[self.n :], 2.0 * self.w[self.n :]
        self.places, self.basis = self.lift.places, None
        self.inputs = self.lift.places + self.lift.scales
        self.outputs = 1 + 2 * self.n
        self.residual_names = ("R1", "R2", "R3", "R4", *self.lift.open_ends)
        self.features, self.stratify = self.lift.features, self.lift.stratify

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor) -> Batch:
        """The theta-independent part at points (..., B), points on the open ends added."""
        eps, t, x, walls = Walls.add(self.lift, eps, t, x)
        inputs = with_tangents(self.features, eps, t, x)
        return Batch(inputs, t, eps, x, self.lift.known(eps, t, x), walls)

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """Physical unknowns from the network's outputs (..., 3, B, 1 + 2 n)."""
        known = batch.known
        density = product(known.A.unsqueeze(-1), outputs[..., : 1 + self.n] * self.lift.size_R, -3)
        j = product(known.G[..., :1], outputs[..., 1 + self.n :] * self.lift.size_g, -3)
        return Solution(density[..., 0], density[..., 1:], j)

    def solution_of(self, f: Tensor, batch: Batch) -> Solution:
        """The unknowns of a given f on the lift's nodes with d_t, d_x, (..., 3, B, v)."""
        rest = self.lift.remainder(f, batch.eps, batch.t, batch.x)
        ahead, behind = rest[..., self.n :], rest[..., : self.n].flip(-1)
        r = 0.5 * (ahead + behind) - batch.known.rho.unsqueeze(-1)
        return Solution(r @ self.halves, r, 0.5 * (ahead - behind) / batch.eps.unsqueeze(-1))

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name: (..., B), (..., B, v) and (..., wall points, v)."""
        known, eps = batch.known, batch.eps.unsqueeze(-1)
        rho, rho_t, _ = (known.rho + solution.rho).unbind(-2)
        r, r_t, r_x = (known.rho.unsqueeze(-1) + solution.r).unbind(-3)
        lack = solution.rho[..., 0, :].unsqueeze(-1) - solution.r[..., 0, :, :]  # rho - r
        j, j_t, j_x = solution.j.unbind(-3)
        sigma_s, sigma_a, S = (value.unsqueeze(-1) for value in (known.sigma_s, known.sigma_a, known.S))
        vj_x = self.speeds * j_x
        R1 = eps**2 * (r_t + vj_x) - sigma_s * lack + eps**2 * (sigma_a * r - S)
        R2 = eps**2 * j_t + self.speeds * r_x + (sigma_s + eps**2 * sigma_a) * j
        if known.M is not None:
            ahead, behind = known.M[..., self.n :], known.M[..., : self.n].flip(-1)
            R1 = R1 - 0.5 * eps * (ahead + behind)
            R2 = R2 - 0.5 * (ahead - behind)
        R3 = rho_t - known.S + vj_x @ self.halves + known.sigma_a * rho
        R4 = lack @ self.halves
        density = known.macro_weight / (batch.t + batch.eps**2)
        rows = {
            "R1": R1 * density.unsqueeze(-1),
            "R2": R2 * known.micro_weight.unsqueeze(-1),
            "R3": R3 * known.macro_weight,
            "R4": R4 * density,
        }
        rows = thinned(rows, known.crowded)
        if batch.walls.ends:
            f = torch.cat([(r - eps * j).flip(-1), r + eps * j], dim=-1)
            rows |= {side: WALL * row for side, row in batch.walls.misfit(f).items()}
        return rows

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """rho and J = <v f>/eps at points (..., B) from the network's values (..., 1, B, 1 + 2 n)."""
        base, A, G = self.lift.base(eps, t, x)
        density, flux = self.lift.lifted(eps, t, x)
        j = G[..., :1] * outputs[..., 0, :, 1 + self.n :] * self.lift.size_g
        rho = base + A * outputs[..., 0, :, 0] * self.lift.size_R + density
        return {"rho": rho, "J": j @ (self.halves * self.speeds) + flux}
