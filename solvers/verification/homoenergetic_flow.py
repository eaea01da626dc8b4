r"""A gas that expands like its distance from a plane: an exact solution of BGK and ES-BGK in space and time for every eps.

With $A(t) = A_0/(1+A_0t)$ the distribution depends on space through the peculiar velocity alone, $f = g(t, c)$, $c = v-A x$:

$$ \partial_tg - A\,c\,\partial_cg = r\,(G[g]-g), \quad r = \tau/\varepsilon, \qquad
   \dot\rho = -A\rho, \quad \dot\theta = -2A\theta-(1-\nu)\,r\,(\theta-T), \quad
   \dot\theta_\perp = -(1-\nu)\,r\,(\theta_\perp-T), $$

$\theta,\theta_\perp$ the temperatures along and across x, $T$ their mean over the d velocity dimensions.  These are ordinary
equations, so the equilibrium G (BGK: the Maxwellian, nu = 0) is known at all times, and along $c\propto1/(1+A_0t)$

$$ g(t,c) = e^{-S(t)}g_0\big(c\,(1+A_0t)\big)
   + \int_0^t r\,e^{S(s)-S(t)}\,G\Big(s,\,c\,\frac{1+A_0t}{1+A_0s}\Big)ds, \qquad \dot S = r . $$

Stress, heat flux and temperature all follow: transport, collisions and their coupling in one solution without any source, from
free flight (eps = 1) to viscous flow.  The flow leaves the box at six times the thermal speed: the free ends are not felt.

References: Truesdell, Muncaster (1980), Fundamentals of Maxwell's Kinetic Theory of a Simple Monatomic Gas, chapter XIV, ISBN
0-12-701350-4 (homoenergetic affine flows); Andries, Le Tallec, Perlat, Perthame (2000), DOI 10.1016/S0997-7546(00)01103-1.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from ..problem.case import Case
from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.maxwellian import maxwellian
from ..problem.scheme import Array
from ._gas import UNIFORM, centres, distance, make_case, march, order

RATE = 6.0  # A_0
END = 0.1
INSIDE = 0.75  # of the box is compared
#: beams of g_0: density, velocity, temperature
BEAMS = ((0.6, 0.3, 0.7), (0.4, -0.45, 1.2))
BGK1, BGK3 = ({"kind": "bgk", "velocity_dimension": d} for d in (1, 3))
TIGHT, DENSE = ({"kind": "esbgk", "nu": nu, "tau": tau} for nu, tau in ((-0.5, "one"), (0.5, "filbet_jin")))
#: equation, scheme, eps, cells of two grids, tolerance, least order
RUNS: tuple[tuple[dict[str, Any], str, float, tuple[int, int], float, float], ...] = (
    (BGK1, "imex", 1.0, (40, 80), 1e-4, 4.0),
    (BGK3, "imex", 0.1, (40, 80), 1e-4, 4.0),
    (BGK3, "imex", 0.01, (40, 80), 1e-4, 4.0),
    (BGK1, "dugks", 1.0, (40, 80), 1e-2, 1.5),
    (BGK3, "dugks", 0.01, (40, 80), 1e-2, 1.5),
    (TIGHT, "imex_esbgk", 1.0, (40, 80), 1e-4, 4.0),
    (TIGHT, "imex_esbgk", 0.1, (40, 80), 1e-4, 4.0),
    (DENSE, "imex_esbgk", 0.01, (40, 80), 1e-4, 4.0),
    (TIGHT, "dugks", 1.0, (40, 80), 1e-2, 1.5),
    (DENSE, "dugks", 0.01, (40, 80), 1e-2, 1.5),
)


class Expansion:
    """The exact solution of one case at one Knudsen number."""

    def __init__(self, case: Case, eps: float) -> None:
        equation = case.equation
        self.dimension = equation.velocity_dimension
        self.nu, self.eps = getattr(equation, "nu", 0.0), eps
        self.rate = getattr(equation, "rate", lambda rho: 1.0)
        self.start = sum(n * (T + u * u) for n, u, T in BEAMS)  # temperature, the same along and across
        self.moments = solve_ivp(
            self._derivative, (0.0, END), [1.0, self.start, self.start, 0.0],
            method="Radau", rtol=1e-11, atol=1e-12, dense_output=True,
        ).sol  # fmt: skip

    def mean(self, theta: Any, across: Any) -> Any:
        """T."""
        return (theta + (self.dimension - 1) * across) / self.dimension

    def _derivative(self, t: float, y: Array) -> list[float]:
        rho, theta, across, _ = y
        A, r = RATE / (1.0 + RATE * t), self.rate(rho) / self.eps
        T, share = self.mean(theta, across), (1.0 - self.nu) * r
        return [-A * rho, -2.0 * A * theta - share * (theta - T), -share * (across - T), r]

    def gaussian(self, s: float, c: Array) -> Array:
        """G and its second reduced distribution."""
        rho, theta, across, _ = self.moments(s)
        T = self.mean(theta, across)
        G = maxwellian(rho, 0.0, (1.0 - self.nu) * T + self.nu * theta, c)
        # of the d - 1 directions across: f_2 = int v_perp^2 f, with two velocity dimensions twice that
        return np.array([G, 2.0 * ((1.0 - self.nu) * T + self.nu * across) * G])

    def beams(self, c: Array) -> Array:
        """g_0 and its second reduced distribution."""
        g = sum(maxwellian(n, u, T, c) for n, u, T in BEAMS)
        return np.array([g, 2.0 * self.start * g])

    def __call__(self, t: float, x: Array, v: Array) -> Array:
        """f, shape (component, x, v)."""
        c = v - RATE / (1.0 + RATE * t) * x[:, None]
        stretch, S = 1.0 + RATE * t, float(self.moments(t)[3])
        f = np.exp(-S) * self.beams(c * stretch)
        ages = np.unique(np.minimum(t, self.eps * np.array([0.0, 0.5, 1, 2, 4, 8, 16, 40])))
        node, weight = np.polynomial.legendre.leggauss(10)
        for a, b in pairwise(ages):
            for age, w in zip(0.5 * (a + b + (b - a) * node), 0.5 * (b - a) * weight, strict=True):
                rho, _, _, past = self.moments(t - age)
                share = w * self.rate(rho) / self.eps * np.exp(past - S)
                f += share * self.gaussian(t - age, c * stretch / (stretch - RATE * age))
        return f[: 1 if self.dimension == 1 else 2]


class Check(AbstractCheck):
    """The schemes that know free ends, with BGK and ES-BGK."""

    verifies = ("imex", "dugks", "imex_esbgk")
    seconds = 5.0

    def run(self) -> Iterator[Outcome]:
        for equation, name, eps, grids, tolerance, least in RUNS:
            case = make_case(equation, UNIFORM, (END,), ends="free", x=(-1.0, 1.0), v=(-13.0, 13.0), nodes=80)
            v, _ = case.velocity.nodes_and_weights()
            exact, errors = Expansion(case, eps), []
            for cells in grids:
                x = centres(name, case, cells=cells)
                inside = np.abs(x) < INSIDE
                last = march(name, case, eps, exact(0.0, x, v), cells=cells)[-1]
                f, truth = last.state["f"][:, inside], exact(END, x[inside], v)
                errors.append(distance(f, truth))
            label = f"{name}, {equation['kind']} {case.equation.velocity_dimension}V, eps = {eps:g}"
            k = int(np.argmin(np.abs(v - 1.0)))
            yield Outcome(f"{label}: f", errors[-1], tolerance, "x", x[inside], f[0, :, k], truth[0, :, k])
            T = exact.mean(*exact.moments(END)[1:3])
            yield Outcome(f"{label}: T", distance(last.fields["T"][inside], np.full(inside.sum(), T)), tolerance)
            yield order(label, grids, errors, least)
