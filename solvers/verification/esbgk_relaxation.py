r"""Homogeneous relaxation of ES-BGK: the decay rates of stress and heat flux, hence the Prandtl number.

$$ \sigma = \sigma_0\,e^{-(1-\nu)\tau t/\varepsilon}, \qquad q = q_0\,e^{-\tau t/\varepsilon}, \qquad
   \mathrm{Pr} = \frac{\textrm{rate of } q}{\textrm{rate of } \sigma} = \frac1{1-\nu}, $$
$$ f(t) = e^{-s}f_0 + \int_0^s e^{-(s-r)}\,\mathcal G[\rho,u,\mathcal T(r)]\,dr, \quad s = \tau t/\varepsilon, \quad
   \mathcal T_{11} = T + \tfrac\nu2\,\sigma_0\,e^{-(1-\nu)r}, \quad \mathcal T_{11}+\mathcal T_{22} = 2T, $$

the integral by a Gauss rule.  For every nu from its least value -1 on, and for tau = 0.9 pi rho/2.

References: Holway (1966), Phys. Fluids 9, 1658, DOI 10.1063/1.1761920; Andries, Le Tallec, Perlat, Perthame (2000), Eur. J.
Mech. B 19, 813, DOI 10.1016/S0997-7546(00)01103-1; problems.md (50)-(54).
"""

from collections.abc import Iterator

import numpy as np

from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.maxwellian import maxwellian
from ..problem.scheme import Array
from ..schemes.imex import macroscopic
from ._gas import UNIFORM, distance, make_case, march, order

EPS = 0.1
TIMES = (0.02, 0.05, 0.1)
CELLS = 8
QUADRATURE = 24  # nodes of the integral over time
#: scheme, two step sizes, tolerance on f and on the rates, least order in t
RUNS = (("imex_esbgk", (0.8, 0.4), 5e-5, 2.9), ("dugks", (0.4, 0.2), 1e-3, 1.9))


def beams(v: Array) -> Array:
    """Reduced f_0 of two beams of unlike mass, temperature and spread across, shape (component, cell, v)."""
    first, second = maxwellian(0.7, 0.6, 0.6, v), maxwellian(0.3, -1.4, 1.8, v)
    return np.repeat(np.array([first + second, 2.0 * (0.5 * first + 1.1 * second)])[:, None], CELLS, axis=1)


def exact(f0: Array, first: dict[str, float], nu: float, s: float, v: Array) -> Array:
    """The distribution after s = tau t/eps, `first` the fields of f0."""
    node, weight = np.polynomial.legendre.leggauss(QUADRATURE)
    r, weight = 0.5 * s * (node + 1.0), 0.5 * s * weight
    half = 0.5 * nu * first["sigma"] * np.exp(-(1.0 - nu) * r)
    G = maxwellian(first["rho"], first["u"], (first["T"] + half)[:, None], v)
    G = np.array([G, 2.0 * (first["T"] - half)[:, None] * G])
    return np.exp(-s) * f0 + np.einsum("r,crv->cv", weight * np.exp(r - s), G)[:, None]


class Check(AbstractCheck):
    """All ES-BGK schemes."""

    verifies = ("imex_esbgk", "dugks")
    seconds = 3.0

    def run(self) -> Iterator[Outcome]:
        for name, steps, tolerance, least in RUNS:
            for nu, tau in ((-1.0, "one"), (-0.5, "one"), (0.0, "one"), (0.6, "one"), (-0.5, "filbet_jin")):
                case = make_case({"kind": "esbgk", "nu": nu, "tau": tau}, UNIFORM, TIMES, nodes=96)
                v, w = case.velocity.nodes_and_weights()
                f0 = beams(v)
                first = {key: float(value[0]) for key, value in macroscopic(f0, v, w, 1).items()}
                speed = float(case.equation.rate(first["rho"])) / EPS
                errors, label = [], f"{name}, nu = {nu:g}" + (", tau = 0.9 pi rho/2" if tau != "one" else "")
                for cfl in steps:
                    filled = march(name, case, EPS, f0, cells=CELLS, cfl=cfl)
                    pairs = [(s.state["f"], exact(f0, first, nu, speed * s.t, v)) for s in filled]
                    errors.append(max(distance(*pair) for pair in pairs))
                f, truth = pairs[-1]
                yield Outcome(f"{label}: f", errors[-1], tolerance, "v", v, f[0, 0], truth[0, 0])
                last, elapsed = filled[-1].fields, speed * TIMES[-1]
                rates = {key: -np.log(float(last[key][0]) / first[key]) / elapsed for key in ("sigma", "q")}
                for key, word, rate in (("sigma", "stress", 1.0 - nu), ("q", "heat flux", 1.0)):
                    yield Outcome(f"{label}: decay rate of the {word}", abs(rates[key] / rate - 1.0), tolerance)
                found = rates["q"] / rates["sigma"]
                what = f"{label}: Prandtl number {found:.5f}"
                yield Outcome(what, abs(found / case.equation.prandtl - 1.0), 2.0 * tolerance)
            yield order(f"{label}, in t", (1, 2), errors, least)
