r"""Lift of semiconductor transport: the first spreading of the carriers, and the field of their charge.

$$ \rho_b(t,x) = \frac1{\sqrt{2\pi}}\int\rho_0(x+\varsigma z)\,e^{-z^2/2}\,dz, \qquad
   \varsigma^2 = \frac{s}{1+s/s_\infty}, \quad s = 2\theta\big(t-\varepsilon^2(1-e^{-t/\varepsilon^2})\big), \quad
   s_\infty = 4\beta\theta : $$

s is the mean square way of a particle that starts in equilibrium and is scattered at the rate 1/eps^2: free flight for
t << eps^2, diffusion afterwards, for every eps; beyond some Debye lengths (s_infinity) the field decides and the lift stops.
With it come the flux and the field that are its own,

$$ J_b = -\tfrac12\,\partial_t\varsigma^2\,\partial_x\rho_b, \quad \partial_t\rho_b + \partial_xJ_b = 0, \qquad
   \beta\,\partial_xE_b = c - \rho_b, \quad E_b = \frac1\beta\Big(\int^x c\,dx' - \int^x\rho_b\,dx'\Big) , $$

so that neither a steep start nor a steep doping is left to the network.  rho_0 and c are continued by their values at the
contacts; antiderivatives are cubic Hermite interpolants on a fine grid, of order 4.

References: Uhlenbeck, Ornstein (1930), Phys. Rev. 36, 823, DOI 10.1103/PhysRev.36.823 (the mean square way); problems.md 5.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.expression import Expression

from .expression import evaluate
from .features import scales, tangents
from .sampling import EARLIEST, TIME_POWER

CELLS = 4000
REACH, NODES = 5.0, 64  # trapezoidal rule in z
DEBYE = 4.0
EARLY = 1e-3  # share of t_end where the logarithmic part of the time points begins


class Carriers:
    """The lift of one case; every function takes points (..., B)."""

    places, scales = 8, 5

    def __init__(self, case: Case, device: str) -> None:
        equation, domain = case.equation, case.domain
        self.theta, self.beta, self.t_end = equation.theta, equation.beta, domain.t_end
        self.low, self.high = domain.x
        self.floor = case.knudsen.train[0]
        self.potentials = (case.boundary.left.potential, case.boundary.right.potential)
        self.doping, self.start = equation.doping, case.initial.rho
        self.z = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64, device=device)
        gauss = torch.exp(-0.5 * self.z**2)
        self.wz = gauss / gauss.sum()
        x = torch.linspace(self.low, self.high, CELLS + 1, dtype=torch.float64, device=device)
        c, rho = self.clamped(self.doping, x), self.clamped(self.start, x)
        self.neutral = bool(torch.allclose(c, rho, rtol=1e-9, atol=1e-12))
        self.largest = float(torch.maximum(c, rho).max())
        self.bias = (self.potentials[0] - self.potentials[1]) / (self.high - self.low)
        self.integrals = {"doping": self.antiderivative(self.doping), "start": self.antiderivative(self.start)}

    def clamped(self, formula: Expression, x: Tensor) -> Tensor:
        """A formula of x, continued by its values at the ends."""
        inside = x.clamp(self.low, self.high)
        return evaluate(formula, **{"x": inside, "eps": torch.ones_like(x)})

    def antiderivative(self, formula: Expression) -> Callable[[Tensor], Tensor]:
        """The integral from the left end."""
        points, weights = (torch.as_tensor(a, device=self.z.device) for a in np.polynomial.legendre.leggauss(6))
        edges = torch.linspace(self.low, self.high, CELLS + 1, dtype=torch.float64, device=self.z.device)
        h = (self.high - self.low) / CELLS
        inner = edges[:-1, None] + 0.5 * h * (points + 1.0)
        steps = 0.5 * h * self.clamped(formula, inner) @ weights
        values = torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
        slopes = h * self.clamped(formula, edges)

        def integral(x: Tensor) -> Tensor:
            place = (x - self.low) / h
            k = place.detach().floor().clamp(0, CELLS - 1).long()
            u = (place - k).clamp(0.0, 1.0)
            cubic = values[k] * (1 - u) ** 2 * (1 + 2 * u) + values[k + 1] * u**2 * (3 - 2 * u)
            beyond = (place - k - u) * torch.where(place > 0.5 * CELLS, slopes[-1], slopes[0])
            return cubic + u * (1 - u) * ((1 - u) * slopes[k] - u * slopes[k + 1]) + beyond

        return integral

    def way(self, eps: Tensor, t: Tensor) -> Tensor:
        """t - eps^2 (1 - e^{-t/eps^2}), without cancellation."""
        y = t / eps**2
        series = 0.5 * y**2 * (1.0 - y / 3.0 * (1.0 - y / 4.0 * (1.0 - y / 5.0)))
        return eps**2 * torch.where(y < 1e-2, series, y + torch.expm1(-y))

    def width(self, eps: Tensor, t: Tensor) -> Tensor:
        """varsigma."""
        s = 2.0 * self.theta * self.way(eps, t)
        return torch.sqrt(s / (1.0 + s / (DEBYE * self.beta * self.theta)))

    def spread(self, function: Callable[[Tensor], Tensor], eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """A function of x, smoothed over the width."""
        return function(x.unsqueeze(-1) + self.width(eps, t).unsqueeze(-1) * self.z) @ self.wz

    def density(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """rho_b."""
        return self.spread(lambda place: self.clamped(self.start, place), eps, t, x)

    def flux(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """J_b; half the rate of varsigma^2 is theta (1 - e^{-t/eps^2})/(1 + s/s_infinity)^2."""
        _, slope = torch.func.jvp(lambda place: self.density(eps, t, place), (x,), (torch.ones_like(x),))
        s = 2.0 * self.way(eps, t) / (DEBYE * self.beta)
        return self.theta * torch.expm1(-t / eps**2) / (1.0 + s) ** 2 * slope

    def field(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """E_b and the mean field of the applied voltage."""
        charge = self.integrals["doping"](x) - self.spread(self.integrals["start"], eps, t, x)
        return self.bias + charge / self.beta

    def potential(self, x: Tensor) -> Tensor:
        """What the applied voltage alone would make."""
        return self.potentials[0] - self.bias * (x - self.low)

    def grown(self, eps: Tensor, t: Tensor) -> Tensor:
        """A: zero at t = 0, one after the time beta in which the field reacts."""
        way = self.way(eps, t)
        return way / (way + self.beta)

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs (..., B, places + scales)."""
        s = (x - self.low) / (self.high - self.low)
        rho, c = self.density(eps, t, x), self.clamped(self.doping, x)
        strength = self.field(eps, t, x) * (self.high - self.low) / 10.0
        left, right = (self.high - self.low) * s, (self.high - self.low) * (1.0 - s)
        thin = eps * self.theta**0.5
        place = [2.0 * s - 1.0, 4.0 * s * (1.0 - s) - 0.5, rho, rho.log() / 4.0, c, strength]
        layer = 10.0 * thin / (1.0 + 10.0 * thin)  # a layer at a contact is as small as it is thin
        place += [layer * left / (left + thin), layer * right / (right + thin)]
        late = torch.log10(t + 0.02 * self.beta) / 3.0 + 1.0
        early = t / (t + 2.0 * self.beta)
        return torch.stack([*place, *scales(eps, t, eps**2, self.t_end, self.floor)[:3], late, early], dim=-1)

    def with_slopes(self, name: str, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """density, flux or field with d_t, d_x, (..., 3, B)."""
        return torch.stack(tangents(lambda *place: getattr(self, name)(eps, *place), t, x), dim=-2).detach()

    def stratify(self, eps: Tensor, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Four of five times as ever, one logarithmic; four of five places uniform, one logarithmic to a contact."""
        late = self.t_end * (EARLIEST + (1.0 - EARLIEST) * (s / 0.8).clamp_max(1.0) ** TIME_POWER)
        t = torch.where(s < 0.8, late, self.t_end * EARLY ** (1.0 - (s - 0.8) / 0.2))
        span = self.high - self.low
        u = torch.remainder((y - 0.8).clamp_min(0.0) * 10.0, 1.0)
        smallest = 0.1 * eps / (1.0 + eps)
        away = 0.5 * span * smallest ** (1.0 - u)
        wall = torch.where(y < 0.9, self.low + away, self.high - away)
        return t, torch.where(y < 0.8, self.low + span * y / 0.8, wall)
