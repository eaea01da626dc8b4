r"""Electrons in a constant field: the exact stationary distribution, far from the contacts of a uniform device.

$$ -E\,f' = \frac1\varepsilon(\rho M - f) \;\Rightarrow\; f(v) = \rho\int_0^\infty e^{-s}M(v-us)\,ds
   = \frac{\rho}{2u}\,e^{-v^2/2\theta}\,\mathrm{erfcx}\Big(\frac{\theta/u - v}{\sqrt{2\theta}}\Big), \qquad u = -\varepsilon E , $$

so <v f> = u rho, hence J = -rho E exactly, and <v^2 f> = (theta + 2 u^2) rho.  The device is doped uniformly and biased, so
that E is constant but for the kinetic layers of its contacts, a few mean free paths wide; everything is compared in the
middle, with the E found there.

Reference: Trugman, Taylor (1986), Phys. Rev. B 33, 5575, DOI 10.1103/PhysRevB.33.5575 (the BGK model in a uniform field).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import erfcx

from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.scheme import Array
from ..schemes import hermite_parity, imex_micro_macro
from .semiconductor_equilibrium import make_case

EPS = 0.02


def stationary(v: Array, u: float, theta: float) -> Array:
    """f/rho of mean velocity u > 0."""
    return np.exp(-(v**2) / (2.0 * theta)) * erfcx((theta / u - v) / np.sqrt(2.0 * theta)) / (2.0 * u)


class Check(CheckBase):
    """Uniform doping under bias, both schemes."""

    verifies = ("hermite_parity", "imex_micro_macro")
    seconds = 5.0

    def run(self) -> Iterator[Outcome]:
        case = make_case("1", 0.5, beta=0.001, potential=10.0, nodes=32)
        theta = case.equation.theta
        v, w = case.velocity.nodes_and_weights()
        grid = imex_micro_macro.Options(cells=81, velocities=96, distribution=True)
        runs: tuple[tuple[str, Any, Any, Array, Array, float], ...] = (
            (
                "hermite_parity",
                hermite_parity.Scheme(),
                hermite_parity.Options(cells=81, steps=36, distribution=True),
                v,
                w,
                1e-4,
            ),
            ("imex_micro_macro", imex_micro_macro.Scheme(), grid, *self._uniform(grid), 1e-3),
        )
        for name, scheme, options, v, w, tolerance in runs:
            fields = list(scheme.march(case, EPS, options))[-1].fields
            middle = options.cells // 2
            rho, E, f = (fields[field][middle] for field in ("rho", "E", "f"))
            u = -EPS * E
            gap = abs(fields["J"][middle] / (-rho * E) - 1.0)
            yield Outcome(f"{name}: J = -rho E", float(gap), tolerance)
            gap = abs((w * v**2) @ f / rho / (theta + 2.0 * u**2) - 1.0)
            yield Outcome(f"{name}: <v^2 f> = (theta + 2 u^2) rho", float(gap), tolerance)
            exact = rho * stationary(v, u, theta)
            gap = np.sqrt(w @ (f - exact) ** 2 / (w @ exact**2))
            yield Outcome(f"{name}: f in the middle of the device", float(gap), tolerance, "v", v, f, exact)

    @staticmethod
    def _uniform(options: Any) -> tuple[Array, Array]:
        edges = np.linspace(-options.v_max, options.v_max, options.velocities + 1)
        return 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
