r"""BGK equation in one space and one velocity dimension (or three, reduced).

$$ \partial_t f + v\,\partial_x f = \frac1\varepsilon\big(M[\rho,u,T] - f\big), \qquad
   M = \frac{\rho}{\sqrt{2\pi T}}\,e^{-(v-u)^2/2T}, $$
$$ (\rho,\ \rho u,\ E) = \langle (1, v, \tfrac12 v^2) f\rangle, \quad E = \tfrac12\rho u^2 + \tfrac12\rho T, \quad
   \langle h\rangle = \int h\,dv . $$

Limit eps -> 0: compressible Euler equations of a gas with gamma = 3 (one velocity dimension) or 5/3 (three).
With `velocity_dimension = 3` the distribution is reduced by Chu's moments f1 = int f dv_y dv_z and
f2 = int (v_y^2 + v_z^2) f dv_y dv_z, and E = rho u^2/2 + 3 rho T/2.

References: Bhatnagar, Gross, Krook (1954), Phys. Rev. 94, 511, DOI 10.1103/PhysRev.94.511; Chu (1965), Phys. Fluids 8,
12, DOI 10.1063/1.1761077; problems.md (1), (2), (42).
"""

from collections.abc import Iterator
from math import erf
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from ..equation import EquationTable, SideTable, Table, side_problems
from ..expression import Expression, In

if TYPE_CHECKING:
    from ..case import Case

#: largest share of mass or energy of a state that may lie outside the velocity interval
VELOCITY_LOSS = 1e-4


def tail_loss(u: float, T: float, low: float, high: float) -> tuple[float, float]:
    """Shares of the mass and of the thermal energy of M(1, u, T) that lie outside [low, high] (dimensionless)."""
    mass = energy = 0.0
    for z in ((high - u) / np.sqrt(T), (u - low) / np.sqrt(T)):
        tail = 0.5 * (1.0 - erf(z / np.sqrt(2.0)))
        mass += tail
        energy += tail + z * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return mass, energy


class Initial(Table):
    """Macroscopic state at t = 0; f starts as its Maxwellian, problems.md (44)."""

    rho: Annotated[Expression, In("x", "eps")]
    u: Annotated[Expression, In("x", "eps")]
    T: Annotated[Expression, In("x", "eps")]


class Side(SideTable):
    """An end: `free` (zero gradient), `periodic`, `specular`, `diffuse` (wall temperature T), `inflow` (rho, u, T)."""

    kind: Literal["free", "periodic", "specular", "diffuse", "inflow"]
    rho: Annotated[Expression, In("t", "eps")] | None = None
    u: Annotated[Expression, In("t", "eps")] | None = None
    T: Annotated[Expression, In("t", "eps")] | None = None


class Boundary(Table):
    left: Side
    right: Side


class Equation(EquationTable):
    """`kind = "bgk"`; `velocity_dimension` is 1 (gamma = 3) or 3 (gamma = 5/3, Chu's reduction)."""

    kind: Literal["bgk"]
    velocity_dimension: Literal[1, 3] = 1

    fields = {
        "rho": ("1", "density"),
        "u": ("1", "mean velocity"),
        "T": ("1", "temperature"),
        "q": ("1", "heat flux"),
        "f": ("1", "distribution function"),
    }
    invariants = ("mass", "momentum", "energy")
    positive = ("rho", "T")
    limit = "euler"
    correction = "navier_stokes"
    velocity = ("trapezoid", "gauss_legendre")
    latex = r"\partial_t f + v\,\partial_x f = \frac{1}{\varepsilon}\left(M[\rho,u,T]-f\right)"
    references = ("bhatnagar1954model", "chu1965kinetic")
    Initial = Initial
    Boundary = Boundary

    @property
    def gamma(self) -> float:
        """Adiabatic exponent of the limit, (d + 2)/d."""
        return (self.velocity_dimension + 2.0) / self.velocity_dimension

    def problems(self, case: "Case") -> Iterator[tuple[tuple[str, ...], str]]:
        x = case.sample_x()
        low, high = case.velocity.interval
        for eps in case.knudsen.evaluate:
            state = {name: getattr(case.initial, name)(x=x, eps=eps) for name in ("rho", "u", "T")}
            bad = [name for name, value in state.items() if not np.isfinite(value).all()]
            for name in bad:
                at = x[~np.isfinite(state[name])][0]
                yield ("initial", name), f"is not finite at x = {at:.6g}"
            for name in ("rho", "T"):
                if name not in bad and (value := state[name]).min() <= 0.0:
                    yield (
                        ("initial", name),
                        f"must be positive, but is {value.min():.6g} at x = {x[value.argmin()]:.6g}",
                    )
                    bad.append(name)
            if not bad:
                losses = [tail_loss(u, T, low, high) for u, T in zip(state["u"], state["T"], strict=True)]
                worst = int(np.argmax([energy for _, energy in losses]))
                mass, energy = losses[worst]
                if energy > VELOCITY_LOSS:
                    yield (
                        ("velocity", "range"),
                        f"[{low:g}, {high:g}] is too narrow: the state u = {state['u'][worst]:.4g}, "
                        f"T = {state['T'][worst]:.4g} at x = {x[worst]:.4g} loses {mass:.2%} of its mass and "
                        f"{energy:.2%} of its energy (at most {VELOCITY_LOSS:.2%} allowed); widen the interval",
                    )
            if bad or not any("eps" in getattr(case.initial, name).names for name in state):
                break
        yield from side_problems(case.boundary, {"diffuse": ("T",), "inflow": ("rho", "u", "T")})
