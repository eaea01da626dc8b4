r"""Lift of periodic transport: the uncollided flight of what is off equilibrium, and the initial layer it leaves.

$$ f_{\rm lift} = e^{-\sigma t/\varepsilon^2}\varphi(x - \tfrac{vt}{\varepsilon}, v),\quad \varphi = f_0 - \langle f_0\rangle,
   \qquad \rho_b = \langle f_0\rangle + t\,\big(Q(x,0) - \sigma_A\langle f_0\rangle\big)
   + \int_0^t \frac{\sigma_S}{\varepsilon^2}e^{-\sigma\tau/\varepsilon^2}
     \langle\varphi(x-\tfrac{v\tau}{\varepsilon}, v)\rangle\,d\tau , $$
$$ h = 1 - e^{-\bar\sigma t/\varepsilon^2}, \quad G = \frac{h}{\bar\sigma}, \quad
   A = \int_0^t h = t - \frac{\varepsilon^2}{\bar\sigma}h . $$

The flight solves the equation without gain exactly; its density is the last source of rho_b.  With A and G the residuals have
no initial layer left (training.md 2.2).  An anisotropic datum needs constant coefficients, an isotropic one (varphi = 0)
does not.

g is expanded in orthonormal Legendre polynomials of degree l = 1, 2, ...: no mean, and degree l has its own amplitude
$G_l = G\,q^{l-1}$, $q = kh\varepsilon/(\bar\sigma + kh\varepsilon)$, k the largest wave number: the size it has in the
solution.  With constant coefficients the wave numbers of the datum do not mix: they are the places of the network and a
complete basis in x.  If moreover f_0 is even in v and each wave has one phase, $\cos(kx+\phi_k)$, then R and the even
degrees are multiples of that cosine and the odd ones of the sine.

Reference: Case, Zweifel (1967), Linear Transport Theory, chapter 4; problems.md 4.1.
"""

import math

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from .expression import evaluate
from .features import scales
from .kept import Kept
from .lift import Known
from .lift import Lift as LiftBase
from .quadrature import full_range, unit_range

LAYER = 36.0  # exp(-36) is round-off
LAYER_NODES = 24
MODES = 8
HARMONICS = 2  # of a problem whose wave numbers mix


class Lift(LiftBase):
    """Periodic ends."""

    scales = 5

    def __init__(self, case: Case, velocities: int, device: str) -> None:
        super().__init__(case, device)
        self.v, self.w = (torch.as_tensor(a, dtype=torch.float64, device=device) for a in full_range(velocities))
        x = torch.linspace(self.low, self.high, 257, dtype=torch.float64, device=device)[:-1]
        sigma_s, sigma_a = self.coefficient("sigma_s", x), self.coefficient("sigma_a", x)
        Q = self.source(torch.zeros_like(x), x)
        self.sigma_s, self.sigma_a = float(sigma_s.mean()), float(sigma_a.mean())
        f0 = self.initial_f(x.unsqueeze(-1), self.v)
        rho0 = f0 @ self.w
        size = float(f0.abs().max()) + 1e-300
        self.isotropic = float((f0 - rho0.unsqueeze(-1)).abs().max()) <= 1e-14 * size
        mixing = max(float(c.max() - c.min()) for c in (sigma_s, sigma_a, Q)) > 1e-12 * max(1.0, self.sigma_s)
        if mixing and not self.isotropic:
            raise BadInput(
                "train.formulation: with periodic ends an initial f that depends on v needs constant sigma_s, sigma_a, source"
            )
        self.kept = Kept(self.carried)
        self.closed = not mixing and self.sigma_a == 0.0 and float(Q.abs().max()) == 0.0
        found, phases = self.modes(f0.cpu().numpy(), mixing)
        complete = 0 < len(found) <= MODES
        self.waves = found if complete else list(range(1, HARMONICS + 1))
        n = len(self.waves)
        self.phases = phases if complete and phases is not None else [0.0] * n
        self.places = 2 * n + (not self.closed)
        if complete:
            every = torch.arange(self.places)[:, None].expand(-1, velocities)
            one_phase = torch.arange(n)[:, None] + n * (torch.arange(velocities) % 2)
            self.columns = (one_phase if phases is not None and self.closed else every).to(device)
        self.k = 2.0 * math.pi * max(self.waves) / (self.high - self.low)
        self.y, self.wy = unit_range(LAYER_NODES, device)
        slope = torch.func.jvp(self.initial_density, (x,), (torch.ones_like(x),))[1]
        curvature = torch.gradient(slope, spacing=(float(x[1] - x[0]),))[0]
        # R is about (rho_x/3 sigma)_x, sigma g about v rho_x; what a source drives has its size over one diffusion length
        driven = float(Q.abs().max()) + self.sigma_a * float(rho0.abs().max())
        self.size_R = float(curvature.abs().max()) / (3.0 * self.sigma_s) + driven
        self.size_g = float(slope.abs().max()) + driven * (self.high - self.low)

    def modes(self, f0: np.ndarray, mixing: bool) -> tuple[list[int], list[float] | None]:
        """Wave numbers of f0 (x, v), and the phase of each where it is the same at every v and f0 is even in v."""
        found = np.fft.rfft(f0, axis=0)
        size = np.abs(found).max(axis=1)
        waves = [int(k) for k in np.flatnonzero(size > 1e-10 * size.max()) if k > 0]
        if mixing or not waves:
            return [], None
        phases = [float(np.angle(found[k, np.argmax(np.abs(found[k]))])) for k in waves]
        turned = found[waves] * np.exp(-1j * np.array(phases))[:, None]
        crooked = max(np.abs(turned.imag).max(), np.abs(turned - turned[:, ::-1]).max())
        return waves, phases if crooked <= 1e-10 * size.max() else None

    def initial_f(self, x: Tensor, v: Tensor) -> Tensor:
        return evaluate(self.case.initial.f, x=x, v=v, eps=torch.ones_like(v))

    def initial_density(self, x: Tensor) -> Tensor:
        """<f0>."""
        return self.initial_f(x.unsqueeze(-1), self.v) @ self.w

    def off_equilibrium(self, x: Tensor) -> Tensor:
        """phi = f0 - <f0> at places x of shape (..., v), one place per velocity."""
        return self.initial_f(x, self.v) - self.initial_density(x)

    def flight(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """f_lift on the nodes, (..., B, v)."""
        back = x.unsqueeze(-1) - self.v * (t / eps).unsqueeze(-1)
        sigma = self.sigma_s + eps**2 * self.sigma_a
        return torch.exp(-sigma * t / eps**2).unsqueeze(-1) * self.off_equilibrium(back)

    def layer(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """The integral in rho_b by Gauss-Legendre in y = sigma tau/eps^2 from 0 to min(sigma t/eps^2, 36), (..., B)."""
        sigma = self.sigma_s + eps**2 * self.sigma_a
        top = torch.clamp(sigma * t / eps**2, max=LAYER)
        y = top.unsqueeze(-1) * self.y  # (..., B, y)
        back = x[..., None, None] - self.v * ((eps / sigma).unsqueeze(-1) * y).unsqueeze(-1)
        mean = self.off_equilibrium(back) @ self.w
        return self.sigma_s / sigma * top * ((mean * torch.exp(-y)) @ self.wy)

    def growth(self, x: Tensor) -> Tensor:
        """Q(x, 0) - sigma_A <f0>."""
        return self.source(torch.zeros_like(x), x) - self.coefficient("sigma_a", x) * self.initial_density(x)

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        s = 2.0 * math.pi * (x - self.low) / (self.high - self.low)
        turns = [k * s + phase for k, phase in zip(self.waves, self.phases, strict=True)]
        place = [trig(turn) for trig in (torch.cos, torch.sin) for turn in turns]
        if not self.closed:
            place.append(torch.ones_like(x))
        reach = self.k * eps / self.sigma_s
        known = scales(eps, t, eps**2 / self.sigma_s, self.t_end, self.floor)
        return torch.stack([*place, *known, reach / (1.0 + reach)], dim=-1)

    def known(self, eps: Tensor, t: Tensor, x: Tensor) -> Known:
        one = torch.ones_like(x)
        zero = torch.zeros_like(x)
        rho, rho_x, collided = self.kept(eps, t, x).squeeze(-3).unbind(-1)
        rho_t = self.growth(x) + collided
        E = torch.exp(-self.sigma_s * t / eps**2)
        h = -torch.expm1(-self.sigma_s * t / eps**2)
        A = torch.stack([t - eps**2 * h / self.sigma_s, h, zero], dim=-2)
        G = self.sizes(eps, h, E)
        sigma_s, sigma_a = self.coefficient("sigma_s", x), self.coefficient("sigma_a", x)
        weights = 1.0 / (h * self.size_R), one / self.size_g, one
        S = self.source(t, x) + collided
        return Known(torch.stack([rho, rho_t, rho_x], dim=-2), A, G, S, None, sigma_s, sigma_a, *weights)

    def carried(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """rho_b, d_x rho_b and what collides out of f_lift, side by side (1, B, 3)."""

        def resting(s: Tensor) -> Tensor:
            rho = self.initial_density(s) + t * self.growth(s)
            return rho if self.isotropic else rho + self.layer(eps, t, s)

        rho, rho_x = torch.func.jvp(resting, (x,), (torch.ones_like(x),))
        flown = torch.zeros_like(x) if self.isotropic else self.flight(eps, t, x) @ self.w
        return torch.stack([rho, rho_x, self.sigma_s / eps**2 * flown], dim=-1)[None]

    def base(self, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = -torch.expm1(-self.sigma_s * t / eps**2)
        rho = self.initial_density(x) + t * self.growth(x)
        if not self.isotropic:
            rho = rho + self.layer(eps, t, x)
        E = torch.exp(-self.sigma_s * t / eps**2)
        return rho, t - eps**2 * h / self.sigma_s, self.sizes(eps, h, E)[..., 0, :, :]

    def sizes(self, eps: Tensor, h: Tensor, E: Tensor) -> Tensor:
        """G of every degree with d_t and d_x, (..., 3, B, degrees)."""
        eps, h, E = eps.unsqueeze(-1), h.unsqueeze(-1), E.unsqueeze(-1)
        order = torch.arange(self.v.numel() - 1, dtype=h.dtype, device=h.device)
        reach = 1.0 + eps * self.k / self.sigma_s * h
        q = (reach - 1.0) / reach
        slope = self.k * E / (eps * reach**2)  # dq/dt
        G = h / self.sigma_s * q**order
        G_t = E / eps**2 * q**order + h / self.sigma_s * order * q ** (order - 1.0).clamp_min(0.0) * slope
        return torch.stack([G, G_t, torch.zeros_like(G)], dim=-3)

    def lifted(self, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.isotropic:
            return torch.zeros_like(x), torch.zeros_like(x)
        f = self.flight(eps, t, x)
        return f @ self.w, (f @ (self.w * self.v)) / eps

    def head(self) -> Tensor:
        degree = np.arange(1, self.v.numel())
        basis = np.polynomial.legendre.legvander(self.v.cpu().numpy(), self.v.numel() - 1).T[1:]
        return torch.as_tensor(basis * np.sqrt(2.0 * degree + 1.0)[:, None], device=self.device)
