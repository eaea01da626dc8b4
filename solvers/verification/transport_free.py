r"""Slab transport without collisions: exact along the rays x - v t/eps.

Periodic, $f_0 = 1 + \cos kx$:  $\rho = 1 + \cos kx\;\frac{\sin(kt/\varepsilon)}{kt/\varepsilon}$, the damping by free streaming
(phase mixing).  In-flow F_L = v into vacuum, with $v_0 = \min(\varepsilon x/t, 1)$:

$$ \rho = \tfrac14(1-v_0^2), \qquad J = \frac{1}{6\varepsilon}(1-v_0^3) . $$

The scattering is 1e-10, since it must be positive; eps is 1, because collisionless transport knows eps only as a unit of time.
References: Lewis, Miller (1984), Computational Methods of Neutron Transport, section 1.2; Landau (1946), J. Phys. USSR 10, 25.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..problem.case import Case
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.distance import cell_widths, relative_l2
from ..problem.read import case_from_data
from ..schemes import discrete_ordinates, fourier_legendre, micro_macro

TIMES = [0.1, 0.5]


def make_case(left: Any, right: Any, initial: str, velocity: str) -> Case:
    """A slab that hardly scatters."""
    return case_from_data(
        {
            "name": "free",
            "schema": 1,
            "title": "Free transport",
            "equation": {"kind": "transport", "sigma_s": 1e-10},
            "domain": {"x": [0.0, 1.0], "t_end": TIMES[-1], "output_times": TIMES},
            "velocity": {"kind": velocity, "nodes": 16},
            "knudsen": {"evaluate": [1.0]},
            "initial": {"f": initial},
            "boundary": {"left": left, "right": right},
        }
    )


class Check(CheckBase):
    """All three schemes; the in-flow problem is what the two with a first-collision split take out exactly."""

    verifies = ("fourier_legendre", "discrete_ordinates", "micro_macro")
    seconds = 2.0

    def run(self) -> Iterator[Outcome]:
        ordinates, parities = discrete_ordinates, micro_macro
        wave = make_case("periodic", "periodic", "1 + cos(4*pi*x)", "slab_gauss")
        beam = make_case({"kind": "inflow", "f": "v"}, {"kind": "inflow", "f": "0"}, "0", "slab_double_gauss")
        runs = (
            (wave, fourier_legendre, fourier_legendre.Options(), 1e-11),
            (wave, ordinates, ordinates.Options(cells=63, graded=1, steps=81), 3e-5),
            (wave, parities, parities.Options(cells=243), 1e-4),
            (beam, ordinates, ordinates.Options(), 1e-9),
            (beam, parities, parities.Options(), 1e-9),
        )
        for case, module, options, tolerance in runs:
            scheme = module.Scheme()
            x = scheme.coordinates(case, options)["x"]
            for snapshot in scheme.march(case, 1.0, options):
                if not snapshot.fields:
                    continue
                t = snapshot.t
                if case is wave:
                    exact = {"rho": 1.0 + np.cos(4.0 * np.pi * x) * np.sinc(4.0 * t)}
                else:
                    slowest = np.minimum(x / t, 1.0)
                    exact = {"rho": (1.0 - slowest**2) / 4.0, "J": (1.0 - slowest**3) / 6.0}
                for field, truth in exact.items():
                    computed = snapshot.fields[field]
                    error = relative_l2(computed, truth, cell_widths(x))
                    name = f"{options.scheme}: {'wave' if case is wave else 'in-flow'}, {field}, t = {t:g}"
                    yield Outcome(name, error, tolerance, "x", x, computed, truth)
