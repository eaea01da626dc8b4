r"""The diode as eps -> 0: the scheme at a fixed step against drift-diffusion, and drift-diffusion against collocation.

$$ \partial_xJ = 0, \quad J = -(\theta\,\partial_x\rho + \rho E), \quad \beta\,\partial_{xx}\Phi = \rho - c $$

in the stationary state, solved by scipy's collocation with error control, which shares nothing with Scharfetter-Gummel.  The
distance of rho(eps) to the limit falls like eps, not eps^2: what enters at a contact is c M and not c M - eps v M (...), so
that rho at the contact slips by an amount of the order of eps J.  Both orders of magnitude are held.

References: Jin, Pareschi (2000), J. Comput. Phys. 161, 312, DOI 10.1006/jcph.2000.6506; Kierzenka, Shampine (2001), ACM
Trans. Math. Softw. 27, 299, DOI 10.1145/502800.502801 (collocation).
"""

from collections.abc import Iterator

import numpy as np
from scipy.integrate import solve_bvp

from ..limits.drift_diffusion import Limit, steady
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.scheme import Array
from ..schemes.hermite_parity import Options, Scheme
from .semiconductor_equilibrium import make_case

DOPING = "1 - 0.5*(1 - 0.001)*(tanh((x - 0.3)/0.02) - tanh((x - 0.7)/0.02))"


def distance(a: Array, b: Array) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


class Check(CheckBase):
    """The diode of problems.md (80)-(83)."""

    verifies = ("hermite_parity", "drift_diffusion")
    seconds = 8.0

    def run(self) -> Iterator[Outcome]:
        case = make_case(DOPING, 0.05, beta=0.002, potential=5.0, times=[0.005, 0.05])
        c, beta = case.equation.doping, case.equation.beta
        points = np.linspace(0.0, 1.0, 201)
        ours = steady(case, points, cells=2400)
        theirs = solve_bvp(
            lambda x, y: np.array([-y[3] - y[0] * y[2], -y[2], -(y[0] - c(x=x)) / beta, 0.0 * x]),
            lambda a, b: np.array([a[0] - c(x=0.0), b[0] - c(x=1.0), a[1], b[1] - 5.0]),
            points,
            np.array([np.interp(points, points[::10], ours[name][::10]) for name in ("rho", "Phi", "E", "J")]),
            tol=1e-8,
            max_nodes=20_000,
        ).sol(points)
        inner = slice(1, -1)
        for field, exact in zip(("rho", "Phi", "E", "J"), theirs, strict=True):
            gap = distance(ours[field][inner], exact[inner])
            yield Outcome(f"drift_diffusion: stationary {field}", gap, 1e-5, "x", points, ours[field], exact)
        scheme, options = Scheme(), Options(cells=405, steps=54)
        x = scheme.coordinates(case, options)["x"]
        times = np.array(case.domain.output_times)
        limit = Limit().solve(case, {"x": x}, times)
        apart = {}
        for eps in (1e-2, 1e-3, 1e-8):
            filled = [s.fields for s in scheme.march(case, eps, options) if s.fields]
            apart[eps] = distance(filled[-1]["rho"], limit["rho"][-1])
        for i, t in enumerate(times):
            for field, tolerance in (("rho", 1e-4), ("Phi", 1e-4), ("J", 3e-4), ("E", 5e-4)):
                found, exact = filled[i][field], limit[field][i]
                quantity = f"hermite_parity, eps = 1e-8: {field} at t = {t:g}"
                yield Outcome(quantity, distance(found, exact), tolerance, "x", x, found, exact)
        order = float(np.log10(apart[1e-2] / apart[1e-3]))
        yield Outcome("hermite_parity: distance to the limit falls like eps^1 (order, absolute)", abs(order - 1.0), 0.1)
