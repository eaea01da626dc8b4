r"""Periodic linear transport: uncollided flight + micro-macro, with the initial layer in the ansatz.

$$ f = e^{-t/\varepsilon^2}\,\varphi(x - \tfrac{vt}{\varepsilon}, v) + \rho_c + \varepsilon h\,\hat g, \quad
   \varphi = f_0 - \langle f_0\rangle,\ \ h = 1 - e^{-t/\varepsilon^2},\ \ \langle\hat g\rangle = 0, $$
$$ \rho_c = \langle f_0\rangle + Q + H R, \quad H = t - \varepsilon^2 h, \quad
   Q = \int_0^t \frac{e^{-\tau/\varepsilon^2}}{\varepsilon^2}\langle\varphi(x-\tfrac{v\tau}{\varepsilon}, v)\rangle\,d\tau . $$

The first term is the exact uncollided flight of the part of the datum that is off equilibrium; its density enters rho_c as
the source Q.  Residuals, O(1) for every eps (sigma_S = 1; training.md 2.2):

$$ R_{\rm macro} = R + \frac{H}{h}R_t + \partial_x\langle v\hat g\rangle, \qquad
   R_{\rm micro} = \hat g + \varepsilon^2 h\,\hat g_t + \varepsilon h\,(v\hat g_x - \langle v\hat g_x\rangle) + v\,\partial_x\rho_c . $$

For eps -> 0 the micro residual gives ghat = -v d_x rho and the macro one the diffusion equation: asymptotic-preserving.
The initial data are exact, and <ghat> = 0 by a fixed projection on the velocity nodes.  For sigma_S = 1, sigma_A = 0, no source.

References: Jin, Ma, Wu (2021), arXiv:2111.02541 (micro-macro APNN); Lemou, Mieussens (2008), SIAM J. Sci. Comput. 31, 334,
DOI 10.1137/07069479X.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from ..expression import evaluate
from ..features import harmonics, scales, with_tangents

HARMONICS = 2
LAYER = 36.0  # exp(-36) is round-off
LAYER_NODES = 24


@dataclass
class Batch:
    """Everything that does not depend on the parameters, at points of shape (..., B)."""

    inputs: Tensor  # (..., 3, B, features)
    t: Tensor
    eps: Tensor
    slope: Tensor  # d_x (<f0> + Q), (..., B)


@dataclass
class Solution:
    """R and ghat with derivatives: (..., 3, B) and (..., 3, B, v); slope is d_x rho_c without the part of R."""

    R: Tensor
    g: Tensor


class Formulation:
    """`formulation = "transport_micro_macro"`; periodic ends, constant unit scattering."""

    equations = ("transport",)
    fields = ("rho", "J")
    residual_names = ("macro", "micro")

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        plain = (case.equation.sigma_s.constant, case.equation.sigma_a.constant, case.equation.source.constant)
        if case.boundary.left.kind != "periodic" or plain != (1.0, 0.0, 0.0):
            raise BadInput(
                "train.formulation: transport_micro_macro handles periodic ends with sigma_s = 1, sigma_a = 0 and no source"
            )
        self.case, self.device = case, device
        self.low, self.high = case.domain.x
        self.t_end = case.domain.t_end
        nodes, weights = np.polynomial.legendre.leggauss(velocities)
        self.v = torch.as_tensor(nodes, dtype=torch.float64, device=device)
        self.w = torch.as_tensor(0.5 * weights, dtype=torch.float64, device=device)
        self.inputs = 2 * HARMONICS + 4
        self.outputs = 1 + velocities
        y, wy = np.polynomial.legendre.leggauss(LAYER_NODES)
        self.y = torch.as_tensor(0.5 * (y + 1.0), dtype=torch.float64, device=device)
        self.wy = torch.as_tensor(0.5 * wy, dtype=torch.float64, device=device)
        x = torch.linspace(self.low, self.high, 257, dtype=torch.float64, device=device)
        _, slope = torch.func.jvp(self.initial_density, (x,), (torch.ones_like(x),))
        curvature = torch.gradient(slope, spacing=(float(x[1] - x[0]),))[0]
        # O(1) outputs: R is about rho_xx/3, ghat about v rho_x
        self.scale_R = float(curvature.abs().max()) / 3.0 + 1e-12
        self.scale_g = float(slope.abs().max()) + 1e-12

    def initial_f(self, x: Tensor, v: Tensor) -> Tensor:
        return evaluate(self.case.initial.f, x=x, v=v, eps=torch.ones_like(v))

    def initial_density(self, x: Tensor) -> Tensor:
        """<f0>."""
        return self.initial_f(x.unsqueeze(-1), self.v) @ self.w

    def off_equilibrium(self, x: Tensor) -> Tensor:
        """phi = f0 - <f0> at places x of shape (..., v), one place per velocity."""
        return self.initial_f(x, self.v) - self.initial_density(x)

    def layer_source(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Q by Gauss-Legendre in tau = eps^2 y, y from 0 to min(t/eps^2, 36); shape (..., B)."""
        top = torch.clamp(t / eps**2, max=LAYER)
        y = top.unsqueeze(-1) * self.y  # (..., B, y)
        back = x[..., None, None] - self.v * (eps.unsqueeze(-1) * y).unsqueeze(-1)  # (..., B, y, v)
        mean = self.off_equilibrium(back) @ self.w
        return top * ((mean * torch.exp(-y)) @ self.wy)

    def uncollided(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """exp(-t/eps^2) phi(x - v t/eps, v), (..., B, v)."""
        back = x.unsqueeze(-1) - self.v * (t / eps).unsqueeze(-1)
        return torch.exp(-t / eps**2).unsqueeze(-1) * self.off_equilibrium(back)

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs (..., B, features)."""
        place = harmonics(x, (self.low, self.high), HARMONICS)
        return torch.stack([*place, *scales(eps, t, eps**2, self.t_end)], dim=-1)

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor) -> Batch:
        """The theta-independent part at points (..., B)."""
        _, slope = torch.func.jvp(
            lambda s: self.initial_density(s) + self.layer_source(eps, t, s), (x,), (torch.ones_like(x),)
        )
        return Batch(with_tangents(self.features, eps, t, x), t, eps, slope.detach())

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """Physical unknowns from the network's outputs (..., 3, B, 1 + v)."""
        raw = outputs[..., 1:] * self.scale_g
        return Solution(outputs[..., 0] * self.scale_R, raw - (raw @ self.w).unsqueeze(-1))

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name, divided by the data's own scales: (..., B) and (..., B, v)."""
        eps, t = batch.eps, batch.t
        h = -torch.expm1(-t / eps**2)
        H = t - eps**2 * h
        R, R_t, R_x = solution.R.unbind(-2)
        g, g_t, g_x = solution.g.unbind(-3)
        vg_x = g_x * self.v
        mean = vg_x @ self.w
        macro = R + H / h * R_t + mean
        rho_x = batch.slope + H * R_x
        eps_, h_ = eps.unsqueeze(-1), h.unsqueeze(-1)
        micro = g + eps_**2 * h_ * g_t + eps_ * h_ * (vg_x - mean.unsqueeze(-1)) + self.v * rho_x.unsqueeze(-1)
        return {"macro": macro / self.scale_R, "micro": micro / self.scale_g}

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """rho and J = <v f>/eps at points (..., B) from the network's values (..., 1, B, 1 + v)."""
        h = -torch.expm1(-t / eps**2)
        H = t - eps**2 * h
        R = outputs[..., 0, :, 0] * self.scale_R
        raw = outputs[..., 0, :, 1:] * self.scale_g
        flight = self.uncollided(eps, t, x)
        rho = self.initial_density(x) + self.layer_source(eps, t, x) + H * R + flight @ self.w
        J = h * (raw @ (self.w * self.v)) + (flight @ (self.w * self.v)) / eps
        return {"rho": rho, "J": J}
