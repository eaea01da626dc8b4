r"""Free transport, the BGK equation as eps -> infinity: every distribution is carried along straight lines.

$$ f(t,x,v) = f_0(x-vt,\,v), \qquad f_0 = M(\rho_0(x), 0, T_0(x)) . $$

Periodic waves of density and temperature; with three velocity dimensions Chu's second distribution $2T_0f_0$ is carried, too.
In one step or many, `fourier_exponential` is exact up to the Fourier modes that the cells hold.

Reference: Cercignani (1988), The Boltzmann Equation and Its Applications, DOI 10.1007/978-1-4612-1039-9.
"""

from collections.abc import Iterator

import numpy as np

from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.maxwellian import maxwellian
from ._gas import WAVES, centres, distance, make_case, march, order

EPS = 1e12
END = 0.1
#: scheme, cells of two grids, tolerance on the finer one, least order
RUNS = (("fourier_exponential", (24, 42), 1e-8, 8.0), ("imex", (50, 150), 5e-7, 3.0), ("dugks", (50, 150), 1e-3, 1.5))


class Check(AbstractCheck):
    """All BGK schemes, one and three velocity dimensions."""

    verifies = ("fourier_exponential", "imex", "dugks")
    seconds = 4.0

    def run(self) -> Iterator[Outcome]:
        for dimension in (1, 3):
            case = make_case({"kind": "bgk", "velocity_dimension": dimension}, WAVES, (END,))
            v, _ = case.velocity.nodes_and_weights()
            for name, grids, tolerance, least in RUNS:
                errors = []
                for cells in grids:
                    x = centres(name, case, cells=cells)
                    back = x[:, None] - END * v
                    rho, T = case.initial.rho(x=back, eps=1.0), case.initial.T(x=back, eps=1.0)
                    exact = maxwellian(rho, 0.0, T, v)[None]
                    if dimension == 3:
                        exact = np.concatenate([exact, 2.0 * T * exact])
                    last = march(name, case, EPS, cells=cells)[-1]
                    errors.append(distance(last.state["f"], exact))
                k = int(np.argmin(np.abs(v - 2.0)))
                yield Outcome(
                    f"{name}, {dimension}V: f at v = {v[k]:.3g}",
                    errors[-1], tolerance, "x", x, last.state["f"][0, :, k], exact[0, :, k],
                )  # fmt: skip
                yield order(f"{name}, {dimension}V", grids, errors, least)
