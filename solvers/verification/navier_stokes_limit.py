r"""From kinetic to fluid: smooth flow is O(eps) from Euler and O(eps^2) from Navier-Stokes.

$$ \|U_\varepsilon-U_{\rm Euler}\| = O(\varepsilon), \qquad \|U_\varepsilon-U_{\rm NS}\| = O(\varepsilon^2), \qquad
   \frac{\|q_\varepsilon-q_{\rm NS}\|}{\|q_{\rm NS}\|} = O(\varepsilon) , $$

the last for the stress of ES-BGK as well.  With a wrong viscosity, conductivity or Prandtl number (in the limit solver or in the
kinetic one) the second and third would be O(eps) and O(1).  One and three velocity dimensions, Prandtl numbers 1, 2/3 and 2.
The dispersion relation of the linear equations, $\det(s I + A(k)) = 0$, is the oracle of the limit solver's own test.

References: Chapman, Cowling (1970), The Mathematical Theory of Non-uniform Gases, chapter 7; Grad (1963), Asymptotic theory of
the Boltzmann equation, Phys. Fluids 6, 147, DOI 10.1063/1.1706716.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..limits.euler import Limit as Euler
from ..limits.navier_stokes import Limit as NavierStokes
from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ._gas import WAVES, centres, distance, make_case, march, order

END = 0.1
KNUDSENS = (4e-3, 2e-3, 1e-3)
SPECTRAL = {"cells": 90, "steps": 80}
BGK1, BGK3 = ({"kind": "bgk", "velocity_dimension": d} for d in (1, 3))
TIGHT, DENSE = ({"kind": "esbgk", "nu": nu, "tau": tau} for nu, tau in ((-0.5, "one"), (0.5, "filbet_jin")))
RUNS: tuple[tuple[dict[str, Any], str, dict[str, int]], ...] = (
    (BGK1, "fourier_exponential", SPECTRAL),
    (BGK3, "fourier_exponential", SPECTRAL),
    (TIGHT, "imex_esbgk", {"cells": 120}),
    (DENSE, "imex_esbgk", {"cells": 120}),
)


class Check(AbstractCheck):
    """Smooth waves in a periodic box, BGK and ES-BGK."""

    verifies = ("fourier_exponential", "imex_esbgk", "euler", "navier_stokes")
    seconds = 5.0

    def run(self) -> Iterator[Outcome]:
        times = np.array([END])
        inverse = tuple(1.0 / eps for eps in KNUDSENS)
        for equation, name, settings in RUNS:
            case = make_case(equation, WAVES, (END,))
            x = {"x": centres(name, case, **settings)}
            euler = Euler().solve(case, x, times)
            fluxes = ("q", "sigma") if "sigma" in case.equation.fields else ("q",)
            far: dict[str, list[float]] = {key: [] for key in ("Euler", "rho", "T", *fluxes)}
            for eps in KNUDSENS:
                kinetic = march(name, case, eps, **settings)[-1].fields
                fluid = NavierStokes(eps).solve(case, x, times)
                far["Euler"].append(distance(kinetic["T"], euler["T"][0]))
                for key in ("rho", "T", *fluxes):
                    far[key].append(distance(kinetic[key], fluid[key][0]))
            label = f"{equation['kind']} {case.equation.velocity_dimension}V"
            label += f", Pr = {case.equation.prandtl:.3g}" if "nu" in equation else ""
            yield order(f"{label}: T to Euler, in eps", inverse, far["Euler"], 0.9, "1/eps")
            for key in ("rho", "T"):
                yield order(f"{label}: {key} to Navier-Stokes, in eps", inverse, far[key], 1.8, "1/eps")
            for key in fluxes:
                yield order(f"{label}: {key} to Navier-Stokes, in eps", inverse, far[key], 0.8, "1/eps")
            q, exact = kinetic["q"], fluid["q"][0]
            yield Outcome(f"{label}: heat flux, eps = {eps:g}", distance(q, exact), 0.06, "x", x["x"], q, exact)
