r"""Uncollided part of an in-flow problem (first-collision split), exact along the rays.

$$ f_u(t,x,v) = F\big(t-\varepsilon s/v, v\big)\,e^{-\tau(x)/(\varepsilon v)}\,1[v > \varepsilon s/t], \qquad
   \tau = \int (\sigma_S+\varepsilon^2\sigma_A)\,dx , $$

s the distance from the wall and v > 0 the speed into the domain.  It carries the jumps that move with x = v t/eps, so the
collided rest is continuous and is fed by the isotropic source $\sigma_S\langle f_u\rangle/\varepsilon^2$.

Without absorption a source Q(t) that does not depend on x adds $q(t) = \int_0^tQ$ everywhere, less what it would have sent in from
beyond the walls: f - q has the in-flow F - q and no source, and f_u carries the kinks that start from the walls.  (With absorption
q would outgrow f.)  With F = a + bt and
$v_0 = \min(\varepsilon s/t, 1)$ the slowest ray that has arrived, the moments are exponential integrals,

$$ \langle v^nf_u\rangle = \tfrac12\big(F(t)\,I_n - b\,\varepsilon s\,I_{n-1}\big) , \qquad
   I_n = \int_{v_0}^1v^ne^{-\tau/(\varepsilon v)}\,dv = E_{n+2}\big(\tfrac\tau\varepsilon\big)
   - v_0^{n+1}E_{n+2}\big(\tfrac\tau{\varepsilon v_0}\big) , $$

otherwise they use Gauss points in ln v between v_0 and 1.
References: Alcouffe (1985), Nucl. Sci. Eng. 90, 85, DOI 10.13182/NSE85-1 (first-collision source); Chandrasekhar (1950),
Radiative Transfer, appendix I (exponential integrals).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import expn

from ..problem.scheme import Array

if TYPE_CHECKING:
    from ..problem.case import Case


class Uncollided:
    """f_u of one end: `inflow` F(t, v), `total` the total cross-section of x, `wall` and the `far` end.

    line    a and b if F = a + b t
    """

    def __init__(
        self,
        inflow: Callable[[Array, Array], Array],
        total: Callable[[Array], Array],
        wall: float,
        far: float,
        eps: float,
        line: tuple[float, float] | None = None,
    ) -> None:
        self.line = line
        self.inflow, self.eps, self.wall, self.direction = inflow, eps, wall, np.sign(far - wall)
        s = np.linspace(0.0, abs(far - wall), 2001)
        self.depth = CubicSpline(s, total(wall + self.direction * s)).antiderivative()
        z, w = np.polynomial.legendre.leggauss(48)
        self.z, self.w = 0.5 * (z + 1.0), 0.5 * w

    def f(self, t: float, x: Array, v: Array) -> Array:
        """f_u, shapes of x and v broadcast; v is the signed velocity."""
        s = np.abs(x - self.wall)
        speed = v * self.direction
        arrived = speed * t > self.eps * s
        safe = np.where(arrived, speed, 1.0)
        exponent = np.minimum(self.depth(s) / (self.eps * safe), 700.0)
        value = self.inflow(np.maximum(t - self.eps * s / safe, 0.0), safe) * np.exp(-exponent)
        return np.where(arrived, value, 0.0)

    def moment(self, n: int, t: float, x: Array) -> Array:
        r"""$\langle v^nf_u\rangle/\varepsilon^n$ at x, n = 0 (density) or 1 (flux)."""
        if t <= 0.0:
            return np.zeros_like(x)
        everywhere = np.abs(x - self.wall)
        arrived = self.eps * everywhere < t
        value, s = np.zeros_like(everywhere), everywhere[arrived]
        slowest = self.eps * s / t
        scale = 0.5 * (self.direction / self.eps) ** n
        if self.line is not None:
            a, b = self.line
            depth = np.maximum(self.depth(s) / self.eps, 1e-300)  # E_1(0) is infinite
            late = depth / np.maximum(slowest, 1e-300)

            def integral(k: int) -> Array:
                return expn(k + 2, depth) - slowest ** (k + 1) * expn(k + 2, late)

            value[arrived] = (a + b * t) * integral(n) - (b * self.eps * s * integral(n - 1) if b else 0.0)
            return scale * value
        span = -np.log(np.maximum(slowest, 1e-300))[..., None]
        v = np.exp(-span * (1.0 - self.z))
        # the factor keeps the first node's v above the slowest ray in floating point
        f = self.f(t, x[arrived][..., None], self.direction * v * (1.0 + 1e-14))
        value[arrived] = (self.w * span * v ** (n + 1) * f).sum(-1)
        return scale * value


class Split:
    """f = collided rest + q + sum of f_u over the ends; the rest starts from f_0 and nothing enters it.

    rays     f_u of the ends, in-flow F - q
    growth   q(t)
    """

    def __init__(self, case: "Case", eps: float) -> None:
        equation = case.equation
        self.case, self.eps = case, eps
        self.growth: Callable[[Array | float], Array] = np.zeros_like
        # such a source stays with the rest
        self.spread = "x" in equation.source.names or equation.sigma_a.constant != 0.0
        grows = not self.spread and equation.source.constant != 0.0
        rate = equation.source.constant
        if grows and rate is not None:
            self.growth = lambda t: rate * np.asarray(t, dtype=float)
        elif grows:
            times = np.linspace(0.0, case.domain.t_end, 2001)
            self.growth = CubicSpline(times, equation.source(t=times)).antiderivative()

        def total(x: Array) -> Array:
            return equation.sigma_s(x=x) + eps**2 * equation.sigma_a(x=x)

        self.rays = []
        sides = (case.boundary.left, case.boundary.right)
        for side, way in zip(sides, (case.domain.x, case.domain.x[::-1]), strict=True):
            F = side.f
            if F is None or (F.constant == 0.0 and not grows):
                continue
            line = None
            if not {"t", "v"} & set(F.names) and (not grows or rate is not None):
                line = float(F(t=0.0, v=1.0, eps=eps)), -rate if grows else 0.0
            inflow = lambda t, v, F=F: F(t=t, v=v, eps=eps) - self.growth(t)  # noqa: E731
            self.rays.append(Uncollided(inflow, total, *way, eps, line))

    def moment(self, n: int, t: float, x: Array) -> Array:
        """What rho (n = 0) or J (n = 1) of the rest lacks."""
        rays = sum((ray.moment(n, t, x) for ray in self.rays), np.zeros_like(x))
        return rays if n else rays + self.growth(t)

    def f(self, t: float, x: Array, v: Array) -> Array:
        """What f of the rest lacks."""
        return sum(
            (ray.f(t, x, v) for ray in self.rays), np.zeros(np.broadcast_shapes(x.shape, v.shape))
        ) + self.growth(t)

    def source(self, t: float, x: Array) -> Array:
        """What feeds the rest, in the units of Q."""
        equation = self.case.equation
        collided = sum((ray.moment(0, t, x) for ray in self.rays), np.zeros_like(x))
        own = equation.source(x=x, t=t) if self.spread else 0.0
        return own + equation.sigma_s(x=x) / self.eps**2 * collided


def make_split(case: "Case", eps: float) -> Split | None:
    """The split; None unless both ends are in-flow and something flies in, or would."""
    if any(side.kind != "inflow" for side in (case.boundary.left, case.boundary.right)):
        return None
    split = Split(case, eps)
    return split if split.rays else None
