r"""Transport in the plane: a growing wave between in-flow sides, exact for every eps, and the order of both schemes.

The source of a case does not depend on the direction.  With $\sigma_S = 1$, $s = 1+\varepsilon^2$, k = (2, 1), $\theta = k\cdot x$,
$\kappa = k\cdot\omega$ and any amplitude A,

$$ f = 1 + A e^t\,\frac{s\cos\theta + \varepsilon\kappa\sin\theta}{s^2+\varepsilon^2\kappa^2}, \qquad
   \rho = 1 + A e^t\,\frac{\cos\theta}{\sqrt{s^2+\varepsilon^2|k|^2}}, \qquad
   Q = A e^t\cos\theta\,\frac{1 - (s^2+\varepsilon^2|k|^2)^{-1/2}}{\varepsilon^2} $$

solves the equation exactly and keeps its size as eps -> 0; what enters is f at the sides, which depends on t, place and
direction.  Two resolutions, two times apart in x, y and t, give the order.
Reference: Roache (2002), J. Fluids Eng. 124, 4, DOI 10.1115/1.1436090 (the method of manufactured solutions).
"""

from collections.abc import Iterator

import numpy as np

from ..problem.case import Case
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.read import case_from_data
from ..schemes import circular_harmonics, discrete_ordinates_2d

A, T_END = 0.3, 0.2


def damping(eps: float) -> float:
    """ln sqrt(s^2 + eps^2 |k|^2)."""
    return 0.5 * float(np.log1p(7.0 * eps**2 + eps**4))


def make_case(eps: float) -> Case:
    """The case whose solution is above."""
    s, wave, kappa = repr(1.0 + eps**2), "(2*x + y)", "(2*v1 + v2)"
    part = f"({s}*cos{wave} + eps*{kappa}*sin{wave})/({s}**2 + eps**2*{kappa}**2)"
    side = {"kind": "inflow", "f": f"1 + {A}*exp(t)*{part}"}
    return case_from_data(
        {
            "name": "manufactured",
            "title": "Manufactured solution",
            "equation": {
                "kind": "transport_2d",
                "source": f"{A * -float(np.expm1(-damping(eps))) / eps**2!r}*exp(t)*cos{wave}",
            },
            "domain": {"x": [-1.0, 1.0], "y": [-1.0, 1.0], "t_end": T_END},
            "velocity": {"kind": "circle_gauss", "nodes": 24},
            "knudsen": {"evaluate": [eps]},
            "initial": {"f": f"1 + {A}*{part}"},
            "boundary": dict.fromkeys(("left", "right", "bottom", "top"), side),
        }
    )


class Check(CheckBase):
    """The error on the finer of two resolutions, and how far the observed order falls short of the claimed one."""

    verifies = ("discrete_ordinates_2d", "circular_harmonics")
    seconds = 8.0

    def run(self) -> Iterator[Outcome]:
        runs = (
            (discrete_ordinates_2d, {"cells": 9, "elements": 12, "steps": 6}, 1e-4),
            (circular_harmonics, {"cells": 9, "elements": 10, "steps": 16, "harmonics": 9}, 3e-4),
        )
        for module, settings, tolerance in runs:
            scheme, fine = module.Scheme(), module.Options(**settings)
            for eps in (1.0, 0.05, 1e-8):
                case, errors = make_case(eps), []
                for options in (scheme.coarser(fine), fine):
                    x = scheme.coordinates(case, options)["x"]
                    rho = list(scheme.march(case, eps, options))[-1].fields["rho"]
                    exact = 1.0 + A * np.exp(T_END - damping(eps)) * np.cos(2.0 * x[:, None] + x)
                    errors.append(float(np.linalg.norm(rho - exact) / np.linalg.norm(exact)))
                name = f"{options.scheme}: rho, eps = {eps:g}"
                yield Outcome(name, errors[1], tolerance, "x", x, rho[:, 4], exact[:, 4])
                short = max(0.0, min(scheme.order) - float(np.log2(errors[0] / errors[1])))
                yield Outcome(f"{options.scheme}: order short of {min(scheme.order)}, eps = {eps:g}", short, 0.6)
