r"""Uncollided part of a problem with constant data in a rectangle (first-collision split), exact along the rays.

With total cross-section $\sigma$, $\tau = \sigma/\varepsilon^2$, and d the distance back along omega to the wall, where F enters,

$$ f_u(t,x,\omega) = \frac{Q}{\tau}\big(1-e^{-\tau s}\big) + \begin{cases} F e^{-\tau\varepsilon d} & \varepsilon d < t \\
   f_0 e^{-\tau t} & \varepsilon d \ge t\end{cases}, \qquad s = \min(t, \varepsilon d) . $$

It carries the kinks (and jumps) along the rays from the corners.  Where no wall has been reached it is a constant c, so

$$ \langle f_u\rangle = c + \sum_{\rm walls}\frac1{2\pi}\int \big(f_u - c\big)\,d\varphi, \qquad
   \cos\varphi = 1/\cosh z, \quad d = \delta\cosh z, \quad d\varphi = dz/\cosh z, $$

phi the angle from the wall's normal, delta its distance, over the part of the wall that is nearer than t/eps.  In z the
integrand is smooth however near the wall is; NODES Gauss points on each side of the normal (z = 0) do.
Reference: Alcouffe (1985), Nucl. Sci. Eng. 90, 85, DOI 10.13182/NSE85-1 (first-collision source).
"""

from typing import TYPE_CHECKING

import numpy as np

from ..compile import njit, prange
from ..problem.scheme import Array

if TYPE_CHECKING:
    from ..problem.case import Case

NODES = 16
SIDES = ("left", "right", "bottom", "top")


def applies(case: "Case") -> bool:
    """True if all data are constants and all sides are in-flow."""
    equation = case.equation
    formulas = [equation.sigma_s, equation.sigma_a, equation.source, case.initial.f]
    formulas += [getattr(case.boundary, side).f for side in SIDES]
    return all(formula is not None and formula.constant is not None for formula in formulas)


@njit(cache=True, error_model="numpy", parallel=True)
def moments(x, y, box, inflow, eps, tau, source, initial, t, z, w, out):
    """<f_u>, <v1 f_u>/eps, <v2 f_u>/eps at the points (x, y) into out (3, points)."""
    flown = np.exp(-tau * t)
    c = -source / tau * np.expm1(-tau * t) + initial * flown
    reach = t / eps
    for k in prange(x.size):
        rho, j1, j2 = c, 0.0, 0.0
        for side in range(4):
            across = x[k] if side < 2 else y[k]
            along = y[k] if side < 2 else x[k]
            delta = across - box[0 if side < 2 else 2] if side % 2 == 0 else box[1 if side < 2 else 3] - across
            delta = max(delta, 1e-300)
            if delta >= reach:
                continue
            low, high = (box[2], box[3]) if side < 2 else (box[0], box[1])
            most = np.arccosh(reach / delta)
            a = max(-most, np.arcsinh((along - high) / delta))
            b = min(most, np.arcsinh((along - low) / delta))
            if b <= a:
                continue
            total, normal, tangent = 0.0, 0.0, 0.0
            for half in range(2):
                lower, upper = (a, min(b, 0.0)) if half == 0 else (max(a, 0.0), b)
                length = 0.5 * (upper - lower)
                if length <= 0.0:
                    continue
                for m in range(z.size):
                    grown = np.exp(0.5 * (lower + upper) + length * z[m])
                    cosh = 0.5 * (grown + 1.0 / grown)
                    sinh = 0.5 * (grown - 1.0 / grown)
                    gone = -np.expm1(-tau * eps * delta * cosh)
                    part = length * w[m] * (source / tau * gone + inflow[side] * (1.0 - gone) - c) / cosh
                    total += part
                    normal += part / cosh
                    tangent += part * sinh / cosh
            factor = 1.0 / (2.0 * np.pi)
            rho += factor * total
            sign = 1.0 if side % 2 == 0 else -1.0
            if side < 2:
                j1 += sign * factor * normal / eps
                j2 += factor * tangent / eps
            else:
                j2 += sign * factor * normal / eps
                j1 += factor * tangent / eps
        out[0, k], out[1, k], out[2, k] = rho, j1, j2


class Uncollided:
    """f_u of a case at one Knudsen number."""

    def __init__(self, case: "Case", eps: float) -> None:
        equation = case.equation
        self.eps, self.box = eps, np.array([*case.domain.x, *case.domain.y])
        self.tau = equation.sigma_s.constant / eps**2 + equation.sigma_a.constant
        self.source, self.initial = equation.source.constant, case.initial.f.constant
        self.inflow = np.array([getattr(case.boundary, side).f.constant for side in SIDES])
        self.z, self.w = np.polynomial.legendre.leggauss(NODES)

    def moments(self, t: float, x: Array, y: Array) -> Array:
        """rho, J1, J2 of f_u at the broadcast points, shape (3, ...)."""
        x, y = np.broadcast_arrays(x, y)
        out = np.empty((3, x.size))
        data = (self.box, self.inflow, self.eps, self.tau, self.source, self.initial, t)
        moments(np.ascontiguousarray(x).ravel(), np.ascontiguousarray(y).ravel(), *data, self.z, self.w, out)
        return out.reshape(3, *x.shape)

    def f(self, t: float, x: Array, y: Array, v1: Array, v2: Array) -> Array:
        """f_u at the broadcast points and directions."""
        x, y, v1, v2 = np.broadcast_arrays(x, y, v1, v2)
        x0, x1, y0, y1 = self.box
        d = np.stack(
            [
                np.where(v > 0, gap, np.inf) / np.where(v > 0, v, 1.0)
                for v, gap in ((v1, x - x0), (-v1, x1 - x), (v2, y - y0), (-v2, y1 - y))
            ]
        )
        nearest = d.min(axis=0)
        s = np.minimum(t, self.eps * nearest)
        entered = np.where(self.eps * nearest < t, self.inflow[d.argmin(axis=0)], self.initial)
        return self.source / self.tau * -np.expm1(-self.tau * s) + entered * np.exp(-self.tau * s)
