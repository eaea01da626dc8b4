r"""Linear transport, micro-macro: density and a mean-free correction, on top of a lift (`apnn/lift.py`).

$$ f = f_{\rm lift} + \rho + \varepsilon g, \qquad \rho = \rho_b + A\,R, \quad g = G\,\hat g, \quad \langle\hat g\rangle = 0 , $$
$$ R_{\rm macro} = \partial_t\rho + \partial_x\langle vg\rangle + \sigma_A\rho - S, \qquad
   R_{\rm micro} = \varepsilon^2\partial_tg + \varepsilon(v\partial_xg - \langle v\partial_xg\rangle) + v\,\partial_x\rho
   + \sigma g - M , $$
$$ R_{\rm left} = \rho + \varepsilon g - f_{\rm open},\ v>0, \qquad R_{\rm right}\ \text{likewise},\ v<0 . $$

Each row is divided by its own size, O(1) for every eps.  For eps -> 0 the micro residual gives g = -v d_x rho/sigma_S and
the macro one the diffusion equation: asymptotic-preserving.  Initial data, periodicity and <g> = 0 are exact; periodic ends
have no residual, in-flow ends theirs.

References: Jin, Ma, Wu (2021), arXiv:2111.02541 (micro-macro APNN); Lemou, Mieussens (2008), SIAM J. Sci. Comput. 31, 334,
DOI 10.1137/07069479X.
"""

from dataclasses import dataclass

from torch import Tensor

from solvers.problem.case import Case

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
    """rho and g, the remainder of the lift, with derivatives: (..., 3, B) and (..., 3, B, v)."""

    rho: Tensor
    g: Tensor


class Formulation:
    """`formulation = "transport_micro_macro"`; periodic or in-flow ends, sigma_s(x), sigma_a(x), source Q(x, t)."""

    equations = ("transport",)
    asymptotic_preserving = True
    float32 = True
    fields = ("rho", "J")

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        self.lift = make_lift(case, velocities, device)
        self.v, self.w = self.lift.v, self.lift.w
        self.head = self.lift.head() * self.lift.size_g
        self.places, self.basis = self.lift.places, self.lift.columns
        self.inputs = self.lift.places + self.lift.scales
        self.outputs = 1 + self.head.shape[0]
        self.residual_names = ("macro", "micro", *self.lift.open_ends)
        self.features, self.stratify = self.lift.features, self.lift.stratify

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor) -> Batch:
        """The theta-independent part at points (..., B), points on the open ends added."""
        eps, t, x, walls = Walls.add(self.lift, eps, t, x)
        inputs = with_tangents(self.features, eps, t, x)
        return Batch(inputs, t, eps, x, self.lift.known(eps, t, x), walls)

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """Physical unknowns from the network's outputs (..., 3, B, 1 + head)."""
        R, g = outputs[..., 0] * self.lift.size_R, product(batch.known.G, outputs[..., 1:], -3)
        return Solution(batch.known.rho + product(batch.known.A, R, -2), g @ self.head)

    def solution_of(self, f: Tensor, batch: Batch) -> Solution:
        """The unknowns of a given f on the nodes with d_t, d_x, (..., 3, B, v)."""
        rest = self.lift.remainder(f, batch.eps, batch.t, batch.x)
        rho = rest @ self.w
        return Solution(rho, (rest - rho.unsqueeze(-1)) / batch.eps.unsqueeze(-1))

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name: (..., B), (..., B, v) and (..., wall points, entering nodes)."""
        known, eps = batch.known, batch.eps
        rho, rho_t, rho_x = solution.rho.unbind(-2)
        g, g_t, g_x = solution.g.unbind(-3)
        vg_x = g_x * self.v
        mean = vg_x @ self.w
        macro = rho_t - known.S + mean + known.sigma_a * rho
        sigma = (known.sigma_s + eps**2 * known.sigma_a).unsqueeze(-1)
        eps_ = eps.unsqueeze(-1)
        micro = eps_**2 * g_t + eps_ * (vg_x - mean.unsqueeze(-1)) + self.v * rho_x.unsqueeze(-1) + sigma * g
        if known.M is not None:
            micro = micro - known.M
        rows = {"macro": macro * known.macro_weight, "micro": micro * known.micro_weight.unsqueeze(-1)}
        rows = thinned(rows, known.crowded)
        if batch.walls.ends:
            f = rho.unsqueeze(-1) + eps_ * g
            rows |= {side: WALL * row for side, row in batch.walls.misfit(f).items()}
        return rows

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """rho and J = <v f>/eps at points (..., B) from the network's values (..., 1, B, 1 + head)."""
        base, A, G = self.lift.base(eps, t, x)
        density, flux = self.lift.lifted(eps, t, x)
        g = (G * outputs[..., 0, :, 1:]) @ self.head
        rho = base + A * outputs[..., 0, :, 0] * self.lift.size_R + density
        return {"rho": rho, "J": g @ (self.w * self.v) + flux}
