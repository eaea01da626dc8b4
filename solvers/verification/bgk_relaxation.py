r"""Homogeneous relaxation of BGK: without gradients the distance to equilibrium falls exponentially.

$$ f(t) = M + e^{-t/\varepsilon}\,(f_0-M), \qquad \langle m f\rangle = \langle m f_0\rangle , $$

so M, and with it every moment, is known at once: rho, u, T stay and $q = q_0\,e^{-t/\varepsilon}$.  f_0 is two beams of unlike
mass and temperature; with three velocity dimensions the temperature along x differs from that across, and both meet.
`fourier_exponential` holds the exponential itself; `imex` approximates it to its order in t and reaches M also where its step
is a thousand times eps; `dugks` is a trapezoidal rule, of order two, that is not asked for the latter (A-stable only).

Reference: Bhatnagar, Gross, Krook (1954), Phys. Rev. 94, 511, DOI 10.1103/PhysRev.94.511.
"""

from collections.abc import Iterator

import numpy as np

from ..discrete_equilibrium import equilibria
from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.maxwellian import maxwellian
from ..problem.scheme import Array
from ..schemes.imex import conserved_moments
from ._gas import UNIFORM, distance, make_case, march, order

EPS = 0.05
TIMES = (0.02, 0.05, 0.1)
CELLS = 8
#: scheme, settings of two step sizes, whole numbers of steps per unit, tolerance, least order in t
RUNS = (
    ("fourier_exponential", ({"steps": 20},), (20,), 1e-12, 0.0),
    ("imex", ({"cfl": 0.8}, {"cfl": 0.4}), (1, 2), 2e-5, 2.9),
    ("dugks", ({"cfl": 0.8}, {"cfl": 0.4}), (1, 2), 1e-3, 1.9),
)


def beams(dimension: int, v: Array) -> Array:
    """f_0, shape (component, cell, v)."""
    first, second = maxwellian(0.7, 0.6, 0.5, v), maxwellian(0.3, -1.4, 1.5, v)
    f = np.array([first + second, 2.0 * (0.4 * first + 1.2 * second)])[: 2 if dimension == 3 else 1]
    return np.repeat(f[:, None], CELLS, axis=1)


class Check(AbstractCheck):
    """All BGK schemes, one and three velocity dimensions."""

    verifies = ("fourier_exponential", "imex", "dugks")
    seconds = 1.0

    def run(self) -> Iterator[Outcome]:
        for dimension in (1, 3):
            case = make_case({"kind": "bgk", "velocity_dimension": dimension}, UNIFORM, TIMES)
            v, w = case.velocity.nodes_and_weights()
            f0 = beams(dimension, v)
            M = np.empty_like(f0)
            equilibria(*conserved_moments(f0, v, w), v, w, M)
            for name, settings, steps, tolerance, least in RUNS:
                errors = []
                for setting in settings:
                    filled = march(name, case, EPS, f0, cells=CELLS, **setting)
                    pairs = [(s.state["f"], M + np.exp(-s.t / EPS) * (f0 - M)) for s in filled]
                    errors.append(max(distance(f, exact) for f, exact in pairs))
                f, exact = pairs[-1]
                what = f"{name}, {dimension}V: f at t/eps = {TIMES[-1] / EPS:g}"
                yield Outcome(what, errors[-1], tolerance, "v", v, f[0, 0], exact[0, 0])
                if least:
                    yield order(f"{name}, {dimension}V, in t", steps, errors, least)
                if name != "dugks":
                    f = march(name, case, 1e-6, f0, cells=CELLS, **settings[-1])[-1].state["f"]
                    yield Outcome(f"{name}, {dimension}V: f is M at t = 1e5 eps", distance(f, M), 1e-12)
