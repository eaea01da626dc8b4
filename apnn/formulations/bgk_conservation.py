r"""BGK with a free-streaming lift, a Maxwellian and a moment-free correction: exact in both limits, no loss at t = 0.

$$ f = E\,F + h\,G, \quad E = e^{-t/\varepsilon},\ h = 1 - E, \quad F(t,x,v) = f_0(x - vt, v), \quad
   G = M[W] + \varepsilon\,\hat g, \quad \langle m\hat g\rangle = 0 . $$

F is transported exactly, so the BGK equation becomes $G + \varepsilon h\,DG = M[U]$ with $D = \partial_t + v\partial_x$ and
$U = E\,U_F + h\,U_W$ (conserved moments).  Residuals, all O(1) for every eps (training.md 2.2; problems.md (43)):

$$ R_{\rm kinetic} = \hat g + h\,D M[W] + \varepsilon h\,D\hat g + \frac{M[W]-M[U]}{\varepsilon}, $$
$$ R_{\rm mass,\,momentum,\,energy} = \partial_t U_W + \partial_x\big(F_{\rm Euler}(W) + \varepsilon\langle v m\hat g\rangle\big)
   + \frac{E}{\varepsilon h}(U_W - U_F) . $$

For eps -> 0 the second line is the Euler system: asymptotic-preserving.  The network gives $N$ and $\hat g$ on velocity
nodes: $(\ln\rho, u, \ln T)_W = (\ln\rho_0, u_0, \ln T_0) + \tfrac{t}{t_{end}}N$, and the moments of $\hat g$ are removed by
one fixed matrix.  The kinetic rows carry the weight $1+v^2/4+|v|^3/10$.

References: Jin, Ma, Wu (2023), arXiv:2306.15381 (the conservation-law formulation that this one changes); Bhatnagar, Gross,
Krook (1954), DOI 10.1103/PhysRev.94.511.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.maxwellian import make_maxwellian
from solvers.problem.moments import moments
from solvers.problem.status import BadInput

from ..expression import evaluate
from ..features import harmonics, scales, with_tangents

maxwellian = make_maxwellian(torch.exp, torch.sqrt)
RESIDUALS = ("mass", "momentum", "energy", "kinetic")
HARMONICS = 2


@dataclass
class Batch:
    """Everything that does not depend on the parameters, at points of shape (..., B)."""

    inputs: Tensor  # (..., 3, B, features): value, d_t, d_x
    t: Tensor
    eps: Tensor
    start: Tensor  # (..., 3, 3, B): (ln rho, u, ln T)_0, first axis value, d_t, d_x
    streamed: Tensor  # (..., 3, B): conserved moments U_F


@dataclass
class Solution:
    """W = (ln rho, u, ln T) and ghat with their derivatives: (..., 3, B, 3) and (..., 3, B, v)."""

    W: Tensor
    g: Tensor


class Formulation:
    """`formulation = "bgk_conservation"`; ends periodic or free, one velocity dimension."""

    equations = ("bgk",)
    fields = ("rho", "u", "T", "q")
    residual_names = RESIDUALS

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        kinds = {case.boundary.left.kind, case.boundary.right.kind}
        if not kinds <= {"periodic", "free"} or case.equation.velocity_dimension != 1:
            raise BadInput(
                "train.formulation: bgk_conservation handles periodic and free ends in one velocity dimension, "
                f"not boundary {', '.join(sorted(kinds))} with velocity_dimension = {case.equation.velocity_dimension}"
            )
        self.case, self.device = case, device
        self.periodic = "periodic" in kinds
        self.low, self.high = case.domain.x
        self.t_end = case.domain.t_end
        x = torch.linspace(self.low, self.high, 401, dtype=torch.float64)
        rho, u, T = (evaluate(getattr(case.initial, n), x=x, eps=torch.ones_like(x)) for n in ("rho", "u", "T"))
        hot, fast = float(T.max()), float(u.abs().max())
        reach = fast + 1.5 + 5.5 * math.sqrt(hot)
        self.v = torch.linspace(-reach, reach, velocities, dtype=torch.float64, device=device)
        self.w = torch.full_like(self.v, float(self.v[1] - self.v[0]))
        powers = torch.stack([torch.ones_like(self.v), self.v, 0.5 * self.v**2], dim=-1)
        self.envelope = torch.exp(-(self.v**2) / (2.5 * hot))
        basis = self.envelope[:, None] * powers
        weighted = self.w[:, None] * powers
        # ghat = (envelope * N) P has no mass, momentum, energy for any N
        remove = basis @ torch.linalg.solve(weighted.T @ basis, weighted.T)
        self.project = self.envelope[:, None] * (torch.eye(velocities, dtype=torch.float64, device=device) - remove.T)
        self.flux = self.w[:, None] * self.v[:, None] * powers  # <v m ghat> = ghat @ flux
        self.row_weight = (1.0 + self.v**2 / 4.0 + self.v.abs() ** 3 / 10.0) / (1.0 + hot)
        fine_v, fine_w = case.velocity.nodes_and_weights()
        self.fine_v = torch.as_tensor(fine_v, dtype=torch.float64, device=device)
        self.fine_w = torch.as_tensor(fine_w, dtype=torch.float64, device=device)
        self.offset = torch.stack([rho.log().mean(), u.mean(), T.log().mean()]).to(device)
        self.inputs = (2 * HARMONICS if self.periodic else 2) + 3 + 4
        self.outputs = 3 + velocities

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """rho0, u0, T0 at x; beyond a free end the end's own state goes on."""
        x = (
            self.low + torch.remainder(x - self.low, self.high - self.low)
            if self.periodic
            else x.clamp(self.low, self.high)
        )
        one = torch.ones_like(x)
        rho, u, T = (evaluate(getattr(self.case.initial, n), x=x, eps=one) for n in ("rho", "u", "T"))
        return rho, u, T

    def streamed(self, t: Tensor, x: Tensor) -> Tensor:
        """F on the case's own nodes, shape (..., B, v)."""
        back = x.unsqueeze(-1) - self.fine_v * t.unsqueeze(-1)
        rho, u, T = self.initial_state(back)
        result: Tensor = maxwellian(rho, u, T, self.fine_v)
        return result

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs (..., B, features)."""
        if self.periodic:
            place = harmonics(x, (self.low, self.high), HARMONICS)
        else:
            s = 2.0 * (x - self.low) / (self.high - self.low) - 1.0
            place = [s, torch.tanh(8.0 * s)]
        rho, u, T = self.initial_state(x)
        data = [rho.log() - self.offset[0], u - self.offset[1], T.log() - self.offset[2]]
        return torch.stack([*place, *data, *scales(eps, t, eps, self.t_end)], dim=-1)

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor) -> Batch:
        """The theta-independent part at points (..., B)."""

        def state(place: Tensor) -> Tensor:
            rho, u, T = self.initial_state(place)
            return torch.stack([rho.log(), u, T.log()], dim=-2)

        start, start_x = torch.func.jvp(state, (x,), (torch.ones_like(x),))
        f = self.streamed(t, x)
        powers = torch.stack([self.fine_w, self.fine_w * self.fine_v, 0.5 * self.fine_w * self.fine_v**2], dim=-1)
        streamed = (f @ powers).transpose(-1, -2)
        tangents = torch.stack([start, torch.zeros_like(start), start_x], dim=-3)
        return Batch(with_tangents(self.features, eps, t, x), t, eps, tangents.detach(), streamed.detach())

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """Physical unknowns from the network's outputs (..., 3, B, 3 + v)."""
        N = outputs[..., :3]
        tau = (batch.t / self.t_end).unsqueeze(-1)
        value = tau * N[..., 0, :, :]
        by_t = tau * N[..., 1, :, :] + N[..., 0, :, :] / self.t_end
        by_x = tau * N[..., 2, :, :]
        W = batch.start.transpose(-1, -2) + torch.stack([value, by_t, by_x], dim=-3)
        return Solution(W, outputs[..., 3:] @ self.project)

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name, each (..., B) or (..., B, v)."""
        eps = batch.eps
        E = torch.exp(-batch.t / eps)
        h = -torch.expm1(-batch.t / eps)
        W, g = solution.W, solution.g
        ln_rho, u, ln_T = W[..., 0, :, :].unbind(-1)
        rho, T = ln_rho.exp(), ln_T.exp()
        conserved = torch.stack([rho, rho * u, 0.5 * rho * (u**2 + T)], dim=-1)

        rt, ut, Tt = W[..., 1, :, :].unbind(-1)
        rx, ux, Tx = W[..., 2, :, :].unbind(-1)
        mass_t = rho * rt
        momentum_t = rho * (rt * u + ut)
        energy_t = 0.5 * rho * (rt * (u**2 + T) + 2.0 * u * ut + T * Tt)
        flux_mass = rho * (rx * u + ux)
        flux_momentum = rho * (rx * (u**2 + T) + 2.0 * u * ux + T * Tx)
        # rho u (u^2 + 3 T)/2
        flux_energy = 0.5 * rho * (rx * u * (u**2 + 3.0 * T) + ux * (3.0 * u**2 + 3.0 * T) + 3.0 * u * T * Tx)
        correction = (g[..., 2, :, :] @ self.flux) * eps.unsqueeze(-1)
        relax = (E / (eps * h)).unsqueeze(-1) * (conserved - batch.streamed.transpose(-1, -2))
        times = torch.stack([mass_t, momentum_t, energy_t], dim=-1)
        fluxes = torch.stack([flux_mass, flux_momentum, flux_energy], dim=-1)
        rows = times + fluxes + correction + relax

        M = maxwellian(rho.unsqueeze(-1), u.unsqueeze(-1), T.unsqueeze(-1), self.v)
        c = self.v - u.unsqueeze(-1)
        z = c / T.unsqueeze(-1)
        s = 0.5 * (c * z - 1.0)

        def slope(a: Tensor, b: Tensor, d: Tensor) -> Tensor:
            return a.unsqueeze(-1) + z * b.unsqueeze(-1) + s * d.unsqueeze(-1)

        DM = M * (slope(rt, ut, Tt) + self.v * slope(rx, ux, Tx))
        U = E.unsqueeze(-1) * batch.streamed.transpose(-1, -2) + h.unsqueeze(-1) * conserved
        Urho, Uu = U[..., 0], U[..., 1] / U[..., 0]
        UT = (2.0 * U[..., 2] / Urho - Uu**2).clamp_min(1e-3)
        mixed = maxwellian(Urho.unsqueeze(-1), Uu.unsqueeze(-1), UT.unsqueeze(-1), self.v)
        Dg = g[..., 1, :, :] + self.v * g[..., 2, :, :]
        eps_, h_ = eps.unsqueeze(-1), h.unsqueeze(-1)
        kinetic = g[..., 0, :, :] + h_ * DM + eps_ * h_ * Dg + (M - mixed) / eps_
        named = dict(zip(RESIDUALS, rows.unbind(-1), strict=False))
        return {**named, "kinetic": kinetic * self.row_weight}

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """rho, u, T, q at points (..., B) from the network's values (..., 1, B, 3 + v)."""
        rho0, u0, T0 = self.initial_state(x)
        tau = t / self.t_end
        N = outputs[..., 0, :, :3]
        rho = (rho0.log() + tau * N[..., 0]).exp()
        u = u0 + tau * N[..., 1]
        T = (T0.log() + tau * N[..., 2]).exp()
        g = outputs[..., 0, :, 3:] @ self.project
        E, h = torch.exp(-t / eps), -torch.expm1(-t / eps)
        # moments up to the third add up: f = E F + h (M[W] + eps ghat)
        r, v, s, q = moments(self.streamed(t, x), self.fine_v, self.fine_w)
        third = (g * self.v**3) @ self.w * eps
        total_rho = E * r + h * rho
        total_u = (E * r * v + h * rho * u) / total_rho
        second = (E * r * (v**2 + s) + h * rho * (u**2 + T)) / total_rho
        total_T = second - total_u**2
        cubes = E * (2.0 * q + r * (3.0 * v * s + v**3)) + h * (rho * (3.0 * u * T + u**3) + third)
        total_q = 0.5 * (cubes - total_rho * (3.0 * total_u * total_T + total_u**3))
        return {"rho": total_rho, "u": total_u, "T": total_T, "q": total_q}
