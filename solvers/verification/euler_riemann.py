r"""The Riemann problem of the Euler equations: its exact solution is reached as eps -> 0, at fixed steps and with its L1 order.

$$ \partial_tU+\partial_xF(U) = 0, \qquad U(0,x) = U_L\ (x<0),\ U_R\ (x\ge0), \qquad U = U(x/t), \qquad
   \|U_\Delta-U\|_{L^1} = O(\Delta x^{5/6}\ldots\Delta x) , $$

order one at a shock, r/(r+1) at a contact for a scheme of order r.  Sod's states with gamma = 3 (one velocity dimension) and 5/3
(three), the Mach 2.5 states of Filbet and Jin with gamma = 2, and the finite differences of the limit solver itself.  The rate
in eps is a matter of smooth data (`navier_stokes_limit`).

References: Sod (1978), J. Comput. Phys. 27, 1, DOI 10.1016/0021-9991(78)90023-2; Toro (2009), Riemann Solvers and Numerical
Methods for Fluid Dynamics, chapter 4, DOI 10.1007/b79761; Filbet, Jin (2011), J. Sci. Comput. 46, 204, DOI
10.1007/s10915-010-9394-x; problems.md 2.2 and (55).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..limits.euler import State, finite_differences, riemann
from ..problem.case import Case
from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.scheme import Array
from ._gas import centres, make_case, march, order

EPS = 1e-7
END = 0.1
SOD = (State(1.0, 0.0, 1.0), State(0.125, 0.0, 0.8))
FAST = (State(1.0, 2.5 * np.sqrt(2.0), 1.0), State(0.125, 0.0, 0.25))
BGK1, BGK3 = ({"kind": "bgk", "velocity_dimension": d} for d in (1, 3))
ELLIPSOIDAL = {"kind": "esbgk", "nu": -0.5}
GRIDS = (60, 120, 240)
#: equation, states, velocities, nodes, scheme, tolerance, least order
RUNS: tuple[tuple[dict[str, Any], tuple[State, State], tuple[float, float], int, str, float, float], ...] = (
    (BGK1, SOD, (-9.0, 9.0), 64, "imex", 1e-2, 0.75),
    (BGK3, SOD, (-9.0, 9.0), 64, "imex", 1e-2, 0.75),
    (BGK1, SOD, (-9.0, 9.0), 64, "dugks", 1e-2, 0.7),
    (ELLIPSOIDAL, FAST, (-10.0, 16.0), 192, "imex_esbgk", 1e-2, 0.75),
)


def tube(equation: dict[str, Any], states: tuple[State, State], v: tuple[float, float], nodes: int) -> Case:
    """Two states that meet at x = 0."""
    left, right = states
    initial = {key: f"piecewise(x < 0, {getattr(left, key)!r}, {getattr(right, key)!r})" for key in ("rho", "u", "T")}
    initial = {key: text.replace("np.float64", "") for key, text in initial.items()}
    half = 1.0 if equation["kind"] == "esbgk" else 0.5
    return make_case(equation, initial, (END,), ends="free", x=(-half, half), v=v, nodes=nodes)


def l1(computed: Array, exact: Array) -> float:
    """Relative L1 distance."""
    return float(np.abs(computed - exact).sum() / np.abs(exact).sum())


class Check(AbstractCheck):
    """The schemes that know free ends, and the limit solver."""

    verifies = ("imex", "dugks", "imex_esbgk", "euler")
    seconds = 6.0

    def run(self) -> Iterator[Outcome]:
        for equation, states, v, nodes, name, tolerance, least in RUNS:
            case = tube(equation, states, v, nodes)
            gamma, errors = case.equation.gamma, []
            for cells in GRIDS:
                x = centres(name, case, cells=cells)
                rho = march(name, case, EPS, cells=cells)[-1].fields["rho"]
                exact = riemann(*states, gamma, x / END)[0]
                errors.append(l1(rho, exact))
            label = f"{name}, gamma = {gamma:.3g}"
            yield Outcome(f"{label}: density at eps = {EPS:g}, L1", errors[-1], tolerance, "x", x, rho, exact)
            yield order(f"{label}, L1", GRIDS, errors, least)
        case, errors = tube(BGK1, SOD, (-9.0, 9.0), 64), []
        for cells in GRIDS:
            x, values = finite_differences(case, cells, np.array([END]))
            exact = riemann(*SOD, 3.0, x / END)[0]
            errors.append(l1(values[0, 0], exact))
        what = "finite differences of the limit: density, L1"
        yield Outcome(what, errors[-1], 1e-2, "x", x, values[0, 0], exact)
        yield order("finite differences of the limit, L1", GRIDS, errors, 0.75)
