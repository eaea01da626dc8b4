r"""Transport in the plane against exact statements.

* Free transport: sigma -> 0, eps = 1, nothing enters: $f(t,x,\omega) = t_*Q$, t_* the time since the wall or since t = 0; at the
  centre of the square and t < 1 nothing has come from the walls, so rho = Q t there.
* A Fourier wave between periodic sides, $\rho = \cos(\pi(x+y))$, obeys the ordinary equations
  $\varepsilon^2\dot f = -i\pi\varepsilon(v_1+v_2) f + \langle f\rangle - f$, one per direction (matrix exponential).
* The half-space slip: for eps -> 0 the density between cold walls is that of diffusion with
  $\rho = (\tfrac12+\tfrac1\pi)\varepsilon\,\partial_n\rho$; at eps = 0: the double sine series of problems.md 4.5.

References: Lewis, Miller (1993), Computational Methods of Neutron Transport, ISBN 0-89448-452-4; problems.md section 4.5.
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import expm

from ..limits.diffusion_2d import Limit
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.read import case_from_data
from ..schemes.discrete_ordinates_2d import Scheme

SIDES = ("left", "right", "bottom", "top")


def plane(side: object, f: str, source: float, sigma: float, t_end: float) -> object:
    """A case on [-1, 1]^2 with the same data on every side."""
    return case_from_data(
        {
            "name": "plane",
            "title": "plane",
            "equation": {"kind": "transport_2d", "source": source, "sigma_s": sigma},
            "domain": {"x": [-1.0, 1.0], "y": [-1.0, 1.0], "t_end": t_end},
            "velocity": {"kind": "circle", "nodes": 8},
            "knudsen": {"evaluate": [1.0]},
            "initial": {"f": f},
            "boundary": dict.fromkeys(SIDES, side),
        }
    )


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


class Check(CheckBase):
    """Free transport, a periodic wave at every regime, and the limit."""

    verifies = ("discrete_ordinates_2d", "diffusion_2d")
    seconds = 3.0

    def run(self) -> Iterator[Outcome]:
        scheme = Scheme()
        cold = {"kind": "inflow", "f": "0"}
        options = scheme.Options(cells=9, elements=9, steps=8)
        case = plane(cold, "0", 1.0, 1e-9, 0.5)
        rho = list(scheme.march(case, 1.0, options))[-1].fields["rho"]
        yield Outcome("free transport: density at the centre is Q t", abs(float(rho[4, 4]) / 0.5 - 1.0), 1e-8)
        for eps, tolerance in ((1.0, 1e-3), (0.1, 1e-3), (1e-4, 1e-3)):
            case = plane("periodic", "1 + 0.5*cos(pi*(x + y))", 0.0, 1.0, 0.1)
            x = scheme.coordinates(case, options)["x"]
            rho = list(scheme.march(case, eps, options))[-1].fields["rho"]
            theta, w = case.velocity.nodes_and_weights()
            v = np.cos(theta) + np.sin(theta)
            A = (np.outer(np.ones(v.size), w) - np.eye(v.size) - 1j * np.pi * eps * np.diag(v)) / eps**2
            decay = (w @ expm(0.1 * A) @ np.ones(v.size)).real
            exact = 1.0 + 0.5 * decay * np.cos(np.pi * (x[:, None] + x))
            error = distance(rho, exact)
            yield Outcome(f"periodic wave, eps = {eps:g}", error, tolerance, "x", x, rho[:, 0], exact[:, 0])
        case = plane(cold, "0", 1.0, 1.0, 0.5)
        axes = scheme.coordinates(case, options)
        rho = list(scheme.march(case, 1e-8, options))[-1].fields["rho"]
        limit = Limit().solve(case, axes, np.array([0.5]))["rho"][0]
        yield Outcome("limit at a fixed step, eps = 1e-8", distance(rho, limit), 5e-4, "x", axes["x"], rho[4], limit[4])
        k = np.arange(1, 801, 2)
        sine, decay = np.sin(np.outer(axes["x"] + 1.0, k) * np.pi / 2), np.pi**2 / 8 * (k[:, None] ** 2 + k**2)
        series = sine @ (16.0 / np.pi**2 / np.outer(k, k) * -np.expm1(-0.5 * decay) / decay) @ sine.T
        yield Outcome("the limit solver and the double sine series", distance(limit, series), 1e-6)
