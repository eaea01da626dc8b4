r"""Slab transport with variable scattering and absorption: a manufactured solution for every eps, and the order.

The source of a case does not depend on v.  With $\sigma = \sigma_S+\varepsilon^2\sigma_A$, $S' = \sigma$ and any
$\beta(t)$,

$$ f = a(t,x) - \varepsilon\beta(t)\,v, \qquad a = \beta\,(2 + S(x)) + \varepsilon^2\dot\beta\,x, \qquad
   Q = \partial_ta + \sigma_Aa, \qquad \rho = a, \quad J = -\tfrac13\beta $$

solves the equation exactly, and keeps its size as eps -> 0; the in-flow data are its values at the ends and depend on t and v.
Here $\sigma_S = 2+\cos3x$, $\sigma_A = 1+x$, $\beta = \sin^2 2t$.  Two resolutions, three times apart in x and t, give the order.
At eps = 1, where the schemes split off the uncollided part, which is no polynomial in v, the ordinates bound the error, so
that only the error is held there.
Reference: Roache (2002), J. Fluids Eng. 124, 4, DOI 10.1115/1.1436090 (the method of manufactured solutions).
"""

from collections.abc import Iterator

import numpy as np

from ..problem.case import Case
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.distance import cell_widths, relative_l2
from ..problem.read import case_from_data
from ..schemes import discrete_ordinates, micro_macro

T_END = 0.5
TOLERANCE = {"rho": 1e-4, "J": 3e-3}
BETA, BETA1, BETA2 = "sin(2*t)**2", "(2*sin(4*t))", "(8*cos(4*t))"


def make_case(eps: float) -> Case:
    """The case whose solution is above."""
    e2 = repr(eps**2)

    def S(x: str) -> str:
        return f"(2*({x}) + sin(3*({x}))/3 + {e2}*(({x}) + ({x})**2/2))"

    def a(x: str) -> str:
        return f"({BETA}*(2 + {S(x)}) + {e2}*{BETA1}*({x}))"

    return case_from_data(
        {
            "name": "manufactured",
            "schema": 1,
            "title": "Manufactured solution",
            "equation": {
                "kind": "transport",
                "sigma_s": "2 + cos(3*x)",
                "sigma_a": "1 + x",
                "source": f"{BETA1}*(2 + {S('x')}) + {e2}*{BETA2}*x + (1 + x)*{a('x')}",
            },
            "domain": {"x": [0.0, 1.0], "t_end": T_END},
            "velocity": {"kind": "slab_double_gauss", "nodes": 16 if eps > 0.1 else 8},
            "knudsen": {"evaluate": [eps]},
            "initial": {"f": "0"},
            "boundary": {
                "left": {"kind": "inflow", "f": f"{a('0')} - eps*{BETA}*v"},
                "right": {"kind": "inflow", "f": f"{a('1')} + eps*{BETA}*v"},
            },
        }
    )


class Check(CheckBase):
    """The error on the finer of two resolutions, and how far the observed order falls short of the claimed one."""

    verifies = ("discrete_ordinates", "micro_macro")
    seconds = 2.0

    def run(self) -> Iterator[Outcome]:
        runs = (
            (discrete_ordinates, {"cells": 27, "graded": 9, "steps": 15}),
            (micro_macro, {"cells": 243, "steps": 27}),
        )
        for module, settings in runs:
            scheme, fine = module.Scheme(), module.Options(**settings)
            for eps in (1.0, 0.02, 1e-4, 1e-8):
                case, errors = make_case(eps), []
                for options in (scheme.coarser(fine), fine):
                    x = scheme.coordinates(case, options)["x"]
                    last = list(scheme.march(case, eps, options))[-1]
                    beta, slope = np.sin(2.0 * T_END) ** 2, 2.0 * np.sin(4.0 * T_END)
                    S = 2.0 * x + np.sin(3.0 * x) / 3.0 + eps**2 * (x + 0.5 * x**2)
                    exact = {"rho": beta * (2.0 + S) + eps**2 * slope * x, "J": np.full(x.size, -beta / 3.0)}
                    errors.append({k: relative_l2(last.fields[k], exact[k], cell_widths(x)) for k in exact})
                for field, tolerance in TOLERANCE.items():
                    computed, name = last.fields[field], f"{options.scheme}: {field}, eps = {eps:g}"
                    yield Outcome(name, errors[1][field], tolerance, "x", x, computed, exact[field])
                if eps > 0.1:
                    continue
                order = np.log(errors[0]["rho"] / max(errors[1]["rho"], 1e-14)) / np.log(3.0)
                short = max(0.0, min(scheme.order) - float(order))
                yield Outcome(f"{options.scheme}: order of rho short of {min(scheme.order)}, eps = {eps:g}", short, 0.3)
