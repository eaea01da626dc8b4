r"""In-flow into a cold half-space: the exact solution as a sum over collisions, each self-similar in x/t.

With $\tau = t/\varepsilon^2$, $y = x/\varepsilon$, $\sigma_S = 1$, $F_L = 1$ and $f = e^{-\tau}\sum_n \tau^n\varphi_n(\xi, v)$,
$\xi = y/\tau$, every $R_n = \langle\varphi_n\rangle$ vanishes for $\xi\ge1$ and follows from the one before,

$$ R_0 = \tfrac12(1-\xi), \qquad R_n(\xi) = \frac1{2\,n!}\int_\xi^1\Big(\frac{v-\xi}{v}\Big)^n dv
   + \frac12\int_0^1\frac{\theta^n}{1-\theta}\,\Big[P_{n-1}\Big]_{\max(0,\,(\xi-1+\theta)/\theta)}
     ^{\min(1,\,(\xi+1-\theta)/\theta)}\,d\theta , \qquad P_n' = R_n , $$

$\theta$ the time of the last collision over t.  All terms are positive, so nothing cancels at any $\tau$.  It holds in the
slab until the front reaches the far end, $t\le\varepsilon$.  Chebyshev points in $\xi^{1/3}$; relative error about 1e-8.
References: Ganapol (2008), Analytical Benchmarks for Nuclear Engineering Applications, OECD/NEA 6292, chapter 2 (multiple
collision expansion); problems.md section 4.2.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev

from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.read import case_from_data
from ..problem.scheme import Array
from ..schemes.discrete_ordinates import Options, Scheme

POINTS = 64
TOLERANCE = 1e-4


class CollisionSeries:
    """rho(t, y) at one tau = `thickness`; terms hold tau^n R_n."""

    def __init__(self, thickness: float) -> None:
        self.thickness = thickness
        z = 0.5 * (1.0 - np.cos(np.pi * np.arange(POINTS) / (POINTS - 1)))
        self.to_coefficients = np.linalg.inv(chebyshev.chebvander(2.0 * z - 1.0, POINTS - 1))
        xi = z**3
        s, w = np.polynomial.legendre.leggauss(40)
        s, w = 0.5 * (s + 1.0), 0.5 * w
        # graded to both ends, where the integrands have logarithms
        self.s, self.ds = s**3 * (10.0 - 15.0 * s + 6.0 * s**2), 30.0 * s**2 * (1.0 - s) ** 2 * w
        first, second = np.minimum(0.5 * (1.0 + xi), 1.0 - xi), np.maximum(0.5 * (1.0 + xi), 1.0 - xi)
        ends = (np.zeros(POINTS), first, second, np.ones(POINTS))
        pieces = [self._points(a, b) for a, b in pairwise(ends)]
        v, dv = self._points(xi, np.ones(POINTS))
        ratio = (v - xi[:, None]) / np.where(v > 0.0, v, 1.0)
        ratio[0] = 1.0
        values, share = 0.5 * (1.0 - xi), 1.0
        self.rho = self.to_coefficients @ values
        for n in range(1, int(2.0 * thickness) + 60):
            share *= thickness / n
            primitive = self._primitive(values)
            late = np.zeros(POINTS)
            for theta, dtheta in pieces:
                theta = np.clip(theta, 1e-200, 1.0 - 1e-12)
                high = np.minimum(1.0, (xi[:, None] + 1.0 - theta) / theta)
                low = np.maximum(0.0, (xi[:, None] - 1.0 + theta) / theta)
                gain = self._at(primitive, high) - self._at(primitive, low)
                late += (dtheta * theta**n / (1.0 - theta) * gain).sum(-1)
            values = 0.5 * thickness * late + 0.5 * share * (dv * ratio**n).sum(-1)
            self.rho = self.rho + self.to_coefficients @ values

    def _points(self, a: Array, b: Array) -> tuple[Array, Array]:
        return a[:, None] + (b - a)[:, None] * self.s, (b - a)[:, None] * self.ds

    def _primitive(self, values: Array) -> Array:
        # d xi = 3 z^2 dz = 3/4 (1 + s)^2 ds/2, s = 2 z - 1
        c = chebyshev.chebmul(self.to_coefficients @ values, chebyshev.poly2cheb([0.75, 1.5, 0.75]))
        c = 0.5 * chebyshev.chebint(c)
        c[0] -= chebyshev.chebval(-1.0, c)
        return c

    @staticmethod
    def _at(c: Array, xi: Array) -> Array:
        return chebyshev.chebval(2.0 * np.cbrt(np.clip(xi, 0.0, 1.0)) - 1.0, c)

    def __call__(self, y: Array) -> Array:
        xi = np.minimum(y / self.thickness, 1.0)
        return np.where(xi < 1.0, np.exp(-self.thickness) * self._at(self.rho, xi), 0.0)


class Check(CheckBase):
    """discrete_ordinates at its default settings, from the first output time on."""

    verifies = ("discrete_ordinates",)
    seconds = 9.0

    def run(self) -> Iterator[Outcome]:
        case = case_from_data(
            {
                "name": "half_space",
                "schema": 1,
                "title": "In-flow into a cold half-space",
                "equation": {"kind": "transport"},
                "domain": {"x": [0.0, 1.0], "t_end": 0.1, "output_times": [0.02, 0.1]},
                "velocity": {"kind": "slab_double_gauss", "nodes": 16},
                "knudsen": {"evaluate": [1.0, 0.3, 0.1]},
                "initial": {"f": "0"},
                "boundary": {"left": {"kind": "inflow", "f": "1"}, "right": {"kind": "inflow", "f": "0"}},
            }
        )
        scheme, options = Scheme(), Options()
        x, h = scheme.coordinates(case, options)["x"], np.diff(scheme.edges(case, options))
        for eps in case.knudsen.evaluate:
            for snapshot in scheme.march(case, eps, options):
                if snapshot.fields:
                    rho = CollisionSeries(snapshot.t / eps**2)(x / eps)
                    computed = snapshot.fields["rho"]
                    error = float(np.sqrt((h * (computed - rho) ** 2).sum() / (h * rho**2).sum()))
                    yield Outcome(
                        f"density, eps = {eps:g}, t = {snapshot.t:g}", error, TOLERANCE, "x", x, computed, rho
                    )
