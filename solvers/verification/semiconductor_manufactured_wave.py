r"""Electrons that slosh in a field which swings: a manufactured solution of the semiconductor equation in time, for every eps.

For any potential $\Phi = s(t)\,\phi(x)$ and doping d that are flat enough at the contacts ($\phi = \sin^6\pi x$,
$d = 1+\sin^4\pi x$, $s = \tfrac15(1+\sin20t)$), let

$$ E = -s\,\phi', \qquad \rho = d + \beta s\,\phi'', \qquad S = \partial_x\rho + \frac{\rho E}\theta, \qquad
   r = \theta\,\partial_xS + ES, \qquad H = \frac{v^2}\theta - 1 . $$

Then $f = \rho M + \varepsilon g$ with the first two terms of Chapman and Enskog, $g = -vMS + \varepsilon rHM$, solves the system
with the sources

$$ G = \partial_t\rho - \theta\,\partial_xS , \qquad
   Z = \partial_tg + v\,\partial_xr\,HM - E\,r\,\frac v\theta\Big(3-\frac{v^2}\theta\Big)M $$

of the density and of g, which keep their size as eps -> 0, and with what enters at the contacts: there S = r = 0.  Derivatives
of g and r are complex steps, exact to round-off.  Two grids, three times apart in x, with the steps that stability allows, give
the order in x; the distances between three step sizes on one grid that in t.
References: Roache (2002), J. Fluids Eng. 124, 4, DOI 10.1115/1.1436090 (the method of manufactured solutions); Squire, Trapp (1998),
SIAM Rev. 40, 110, DOI 10.1137/S003614459631241X (complex steps).
"""

from collections.abc import Iterator

import numpy as np

from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.distance import relative_l2
from ..problem.scheme import Array
from ..schemes.imex_micro_macro import GAMMA, Options, Scheme, poisson
from .semiconductor_equilibrium import make_case

THETA, BETA, T_END = 0.8, 0.05, 0.05
DOPING = "1 + sin(pi*x)**4"
#: coefficients of cos(2 pi k x)
PHI = np.array([10.0, -15.0, 6.0, -1.0]) / 32.0
D = np.array([11.0, -4.0, 1.0, 0.0]) / 8.0
STEP = 1e-30  # of a complex step


def wave(coefficients: Array, x: Array, n: int) -> Array:
    """The n-th derivative of a series of cosines."""
    k = 2.0 * np.pi * np.arange(coefficients.size)
    return (coefficients * k**n * np.cos(k * x[..., None] + 0.5 * n * np.pi)).sum(-1)


def swing(t: complex) -> complex:
    """s(t)."""
    return 0.2 * (1.0 + np.sin(20.0 * t))


def macroscopic(t: complex, x: Array) -> tuple[Array, Array, Array, Array, Array]:
    """rho, E, S, S_x and r."""
    s = swing(t)
    rho, rho1, rho2 = (wave(D, x, n) + BETA * s * wave(PHI, x, n + 2) for n in range(3))
    E, E1 = -s * wave(PHI, x, 1), -s * wave(PHI, x, 2)
    S = rho1 + rho * E / THETA
    S1 = rho2 + (rho1 * E + rho * E1) / THETA
    return rho, E, S, S1, THETA * S1 + E * S


def microscopic(t: complex, x: Array, v: Array, M: Array, eps: float) -> Array:
    """g, shape (x, v)."""
    _, _, S, _, r = macroscopic(t, x)
    return -np.outer(S, v * M) + eps * np.outer(r, (v**2 / THETA - 1.0) * M)


def sources(t: float, x: Array, faces: Array, v: Array, M: Array, eps: float) -> tuple[Array, Array]:
    """G at x and Z at the faces."""
    later = t + 1j * STEP
    G = macroscopic(later, x)[0].imag / STEP - THETA * macroscopic(t, x)[3]
    _, E, _, _, r = macroscopic(t, faces)
    r1 = macroscopic(t, faces + 1j * STEP)[4].imag / STEP
    Z = microscopic(later, faces, v, M, eps).imag / STEP
    Z += np.outer(r1, v * (v**2 / THETA - 1.0) * M) - np.outer(E * r, v / THETA * (3.0 - v**2 / THETA) * M)
    return G, Z


def solve(
    eps: float, cells: int, velocities: int, shorter: int = 1
) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Fields at T_END, the exact ones, and x; steps `shorter` times shorter than stability allows."""
    case, scheme = make_case(DOPING, T_END, theta=THETA, beta=BETA), Scheme()
    options = Options(cells=cells, velocities=velocities, v_max=7.0)
    ((dt, count),) = scheme.schedule(case, eps, options)
    dt, count = dt / shorter, count * shorter
    v, M, dv = scheme.velocities(case, options)
    x, h = scheme.coordinates(case, options)["x"], 1.0 / cells
    faces = np.linspace(0.0, 1.0, cells + 1)
    rho, g = macroscopic(0.0, x)[0], microscopic(0.0, faces, v, M, eps)
    doping, ends, potentials = wave(D, x, 0), np.ones(2), np.zeros(2)
    phi, E, traces, z = np.zeros(cells), np.zeros(cells + 1), np.ones(2), np.zeros(2)
    poisson(rho, doping, BETA, h, potentials, phi, E, np.zeros(cells))
    flat, wide = np.zeros(cells + 1), np.zeros_like(g)
    work = (np.zeros(cells), wide, flat, flat.copy(), wide.copy(), wide.copy(), flat.copy(), np.zeros(cells))
    march = scheme.stepper(case, eps, options)
    for step in range(count):
        stages = [sources((step + c) * dt, x, faces, v, M, eps) for c in (0.0, GAMMA)]
        source = tuple(np.array(part) for part in zip(*stages, strict=True))
        known = (h, v, M, dv, doping, ends, potentials, THETA, BETA, eps)
        march(rho, g, traces, z, phi, E, work, 1, dt, *known, source)
    _, field, S, _, _ = macroscopic(T_END, faces)
    exact = {"rho": macroscopic(T_END, x)[0], "J": -THETA * S, "E": field, "Phi": swing(T_END) * wave(PHI, x, 0)}
    return {"rho": rho, "J": g @ (v * dv), "E": E, "Phi": phi}, exact, x


class Check(CheckBase):
    """Fields on the finer of two grids, and how far the orders in x and in t fall short of the claimed ones."""

    verifies = ("imex_micro_macro",)
    seconds = 5.0

    def run(self) -> Iterator[Outcome]:
        for eps, coarse, in_time in ((0.3, 30, 2), (0.05, 18, 2), (1e-6, 18, 1)):
            errors = []
            for cells, velocities in ((coarse, 36), (3 * coarse, 72)):
                found, exact, x = solve(eps, cells, velocities)
                errors.append({name: relative_l2(found[name], exact[name], np.array(1.0)) for name in exact})
            faces = np.linspace(0.0, 1.0, x.size + 1)
            for name, tolerance in (("rho", 5e-3), ("J", 5e-3), ("E", 1e-2), ("Phi", 1e-2)):
                axis, quantity = x if found[name].size == x.size else faces, f"{name}, eps = {eps:g}"
                yield Outcome(quantity, errors[1][name], tolerance, "x", axis, found[name], exact[name])
            order = float(np.log(errors[0]["rho"] / errors[1]["rho"]) / np.log(3.0))
            yield Outcome(f"order of rho in x short of 2, eps = {eps:g}", max(0.0, 2.0 - order), 0.3)
            runs = [solve(eps, 18, 36, shorter)[0]["Phi"] for shorter in (1, 2, 4)]
            order = float(np.log2(np.linalg.norm(runs[0] - runs[1]) / np.linalg.norm(runs[1] - runs[2])))
            yield Outcome(f"order of Phi in t short of {in_time}, eps = {eps:g}", max(0.0, in_time - order), 0.3)
