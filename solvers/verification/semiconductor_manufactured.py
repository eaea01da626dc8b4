r"""Electrons in a field that varies: a manufactured stationary solution of the semiconductor equation for every eps.

In Hermite modes $f = \sum a_n\psi_n$ (`hermite_parity`) the stationary equation with a generation G M of electrons has, for ANY
potential $\Phi(x)$, solutions of three modes,

$$ a_2 = \varepsilon^2c_2\,e^{\Phi/\theta}, \qquad
   a_1 = \varepsilon\Big(c_1 - \frac{c_2x}{\sqrt{2\theta}}\Big)e^{\Phi/\theta}, \qquad
   a_0 = \Big(c_0 - \frac{c_1x}{\sqrt\theta} + \frac{c_2x^2}{2\sqrt2\,\theta} - \sqrt2\,\varepsilon^2c_2\frac\Phi\theta\Big)
   e^{\Phi/\theta} , $$

with $G = \partial_xJ$, $J = \sqrt\theta\,a_1/\varepsilon$, and Poisson's equation gives the doping $c = a_0 - \beta\Phi''$: no term of
the equation vanishes.  What enters at the contacts is f.  The start is rho M alone, and the time is long enough for the stationary
state.  Two grids, three times apart, give the order: 2, and 1 at the contacts of thin gas (`hermite_parity`).
Reference: Roache (2002), J. Fluids Eng. 124, 4, DOI 10.1115/1.1436090 (the method of manufactured solutions).
"""

from collections.abc import Iterator

import numpy as np

from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.distance import relative_l2
from ..problem.scheme import Array
from ..schemes.hermite_parity import Device, Options, hermite, schedule
from .semiconductor_equilibrium import make_case

THETA, BETA = 0.8, 0.05
C0, C1, C2 = 2.0, 0.7, 1.5
BIAS, BUMP = 0.6, 0.3
DOPING = "1"  # the case needs one; the device gets its own


def potential(x: Array) -> tuple[Array, Array, Array]:
    """Phi, its slope and its curvature."""
    s, c = np.sin(2.0 * np.pi * x), np.cos(2.0 * np.pi * x)
    return BIAS * x + BUMP * s, BIAS + 2.0 * np.pi * BUMP * c, -4.0 * np.pi**2 * BUMP * s


def modes(x: Array, eps: float) -> tuple[Array, Array, Array]:
    """a_0, a_1/eps, a_2."""
    phi, _, _ = potential(x)
    grown, root = np.exp(phi / THETA), np.sqrt(THETA)
    a0 = C0 - C1 * x / root + 0.5 * C2 * x**2 / (np.sqrt(2.0) * THETA) - np.sqrt(2.0) * eps**2 * C2 * phi / THETA
    return a0 * grown, (C1 - C2 * x / np.sqrt(2.0 * THETA)) * grown, eps**2 * C2 * grown


def generation(x: Array) -> Array:
    """G = J'."""
    phi, slope, _ = potential(x)
    current = C1 - C2 * x / np.sqrt(2.0 * THETA)
    return np.sqrt(THETA) * (current * slope / THETA - C2 / np.sqrt(2.0 * THETA)) * np.exp(phi / THETA)


def entering(v: Array, x: float, sign: float, eps: float) -> Array:
    """The even modes whose values at the nodes that enter, sign v > 0, are those of f/M."""
    ahead = sign * v > 0
    h = hermite(v[ahead] / np.sqrt(THETA), v.size)
    a0, a1, a2 = (float(a[0]) for a in modes(np.array([x]), eps))
    return np.linalg.solve(h[0::2].T, a0 * h[0] + eps * a1 * h[1] + a2 * h[2])


class Check(CheckBase):
    """rho, J, E and Phi of the stationary state, and the order."""

    verifies = ("hermite_parity",)
    seconds = 4.0

    def run(self) -> Iterator[Outcome]:
        tolerance = {"rho": 5e-4, "J": 3e-3, "E": 1e-3, "Phi": 1e-3}
        for eps, claim in ((0.3, 1), (0.02, 2), (1e-8, 2)):
            errors = {}
            for cells in (27, 81):
                axes, found, exact = stationary(cells, eps)
                errors[cells] = {name: relative_l2(found[name], exact[name], np.array(1.0)) for name in exact}
            for name, error in errors[81].items():
                quantity = f"hermite_parity: {name}, eps = {eps:g}"
                yield Outcome(quantity, error, tolerance[name], "x", axes[name], found[name], exact[name])
            order = float(np.log(errors[27]["rho"] / errors[81]["rho"]) / np.log(3.0))
            yield Outcome(f"hermite_parity: order of rho short of {claim}, eps = {eps:g}", max(0.0, claim - order), 0.3)


def stationary(cells: int, eps: float) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """Points of the fields, fields of the scheme's stationary state, exact fields."""
    case = make_case(DOPING, 4.0, theta=THETA, beta=BETA, potential=BIAS, nodes=24)
    v, w = case.velocity.nodes_and_weights()
    device = Device(case, eps, cells, v, w)
    x = device.x
    faces = np.linspace(0.0, 1.0, cells + 1)[1:-1]  # without the contacts, where E is one-sided
    rho, _, _ = modes(x, eps)
    phi, _, curvature = potential(x)
    device.doping = rho - BETA * curvature
    device.generation = generation(x)
    device.ends = np.array([entering(v, 0.0, 1.0, eps), entering(v, 1.0, -1.0, eps)])
    device.e[:, 0] = rho
    device.phi = device.potential(rho)
    for size in schedule(case, Options(cells=cells, steps=36))[0]:
        device.step(size)
    found = {"rho": device.e[:, 0], "J": device.flux[1:-1], "E": device.field[1:-1], "Phi": device.phi}
    exact = {"rho": rho, "J": np.sqrt(THETA) * modes(faces, eps)[1], "E": -potential(faces)[1], "Phi": phi}
    return {"rho": x, "J": faces, "E": faces, "Phi": x}, found, exact
