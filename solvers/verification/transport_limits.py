r"""Slab transport at eps = 1e-8: the diffusion limit, the Milne value behind a boundary layer, the wall value, mass.

$$ \rho(0^+) = \int_0^1\tfrac{\sqrt3}2\,vH(v)F_L(v)\,dv = 0.710446\;(F_L = v),\quad 3.188932\;(F_L = 5\sin v), \qquad
   \rho(0) = \tfrac1{\sqrt3}\;(F_L = v), $$

H the function of Chandrasekhar; the heat equation with that end value is the limit outside the layer.  The wall value is
met at the centre of the first cell, which is half a cell, about 0.01 eps, away; it is extrapolated
by a polynomial, because with discrete ordinates rho is smooth below the slowest of them.
References: Chandrasekhar (1950), Radiative Transfer, sections 26, 38; problems.md section 4.4.
"""

from collections.abc import Iterator

import numpy as np

from ..limits.diffusion import Limit
from ..problem.case import Case
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.distance import cell_widths
from ..problem.read import case_from_data
from ..problem.scheme import Scheme, SchemeOptions
from ..schemes import discrete_ordinates, micro_macro

EPS = 1e-8


def make_case(left: object, right: object, initial: str, velocity: str) -> Case:
    """A slab of scattering one."""
    return case_from_data(
        {
            "name": "limits",
            "schema": 1,
            "title": "Slab at eps = 1e-8",
            "equation": {"kind": "transport"},
            "domain": {"x": [0.0, 1.0], "t_end": 0.1},
            "velocity": {"kind": velocity, "nodes": 16},
            "knudsen": {"evaluate": [EPS], "unseen": []},
            "initial": {"f": initial},
            "boundary": {"left": left, "right": right},
        }
    )


class Check(CheckBase):
    """Both slab schemes at default settings."""

    verifies = ("discrete_ordinates", "micro_macro", "diffusion")
    seconds = 3.0

    def run(self) -> Iterator[Outcome]:
        yield from self._hold(discrete_ordinates.Scheme(), discrete_ordinates.Options(), 1e-5)
        yield from self._hold(micro_macro.Scheme(), micro_macro.Options(), 1e-4)

    @staticmethod
    def _hold(scheme: Scheme, options: SchemeOptions, tolerance: float) -> Iterator[Outcome]:
        name = options.scheme
        vacuum = {"kind": "inflow", "f": "0"}
        for F, milne in (("v", 0.710446), ("5*sin(v)", 3.188932)):
            case = make_case({"kind": "inflow", "f": F}, vacuum, "0", "slab_double_gauss")
            x = scheme.coordinates(case, options)["x"]
            h = cell_widths(x)
            rho = next(s.fields["rho"] for s in scheme.march(case, EPS, options) if s.fields)
            limit = Limit().solve(case, {"x": x}, np.array([0.1]))["rho"][0]
            outside = (x > 100 * EPS) & (x < 1.0 - 100 * EPS)
            error = np.sqrt((h * (rho - limit) ** 2)[outside].sum() / (h * limit**2)[outside].sum())
            yield Outcome(
                f"{name}: density outside the layer, F = {F}",
                float(error),
                tolerance,
                "x",
                x[outside],
                rho[outside],
                limit[outside],
            )
            plateau = float(rho[(x > 100 * EPS) & (x < 1e-4)][0])
            yield Outcome(f"{name}: Milne value, F = {F}", abs(plateau / milne - 1.0), tolerance)
            if F == "v":
                wall = np.polynomial.Polynomial.fit(x[:5] / EPS, rho[:5], 4)(0.0)
                yield Outcome(f"{name}: wall value, F = v", abs(float(wall) * np.sqrt(3.0) - 1.0), 1e-3)
        case = make_case("periodic", "periodic", "(1 + cos(4*pi*x))*exp(-v**2/2)", "slab_gauss")
        last = list(scheme.march(case, EPS, options))[-1]
        yield Outcome(f"{name}: mass, periodic", last.scalars["drift_mass"], 1e-12)
