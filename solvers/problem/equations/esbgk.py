r"""ES-BGK equation in one space and two velocity dimensions, with a Prandtl number of choice.

$$ \partial_t f + v_1\,\partial_x f = \frac\tau\varepsilon\big(\mathcal G[f] - f\big), \qquad
   \mathcal G = \frac{\rho}{\sqrt{\det 2\pi\mathcal T}}\,e^{-\frac12 (v-u)^T\mathcal T^{-1}(v-u)}, \qquad
   \mathcal T = (1-\nu)\,T\,I + \nu\,\Theta, $$
$$ \rho = \langle f\rangle,\ \rho u = \langle vf\rangle,\ \rho\Theta = \langle (v-u)\otimes(v-u) f\rangle,\
   T = \tfrac12\operatorname{tr}\Theta, \qquad \mathrm{Pr} = \frac1{1-\nu},\quad -1\le\nu<1 . $$

u2 = 0 and f even in v2, hence Theta and the Gaussian's tensor are diagonal.  `nu = 0` is BGK; tau = 1, or
tau = 0.9 pi rho/2 with `tau = "filbet_jin"`.  Limit eps -> 0: compressible Euler equations with gamma = 2; first correction:
Navier-Stokes with mu = eps rho T/(tau (1-nu)) and kappa = 2 eps rho T/tau (`navier_stokes`).

Fields: heat flux q = <(v1-u)|v-u|^2 f>/2, stress sigma = Theta11 - Theta22, anisotropy A = sigma/(2T) in [-1, 1].

References: Holway (1966), Phys. Fluids 9, 1658, DOI 10.1063/1.1761920; Andries, Le Tallec, Perlat, Perthame (2000), Eur. J.
Mech. B 19, 813, DOI 10.1016/S0997-7546(00)01103-1; Filbet, Jin (2011), J. Sci. Comput. 46, 204, DOI
10.1007/s10915-010-9394-x; problems.md (49)-(59).
"""

from collections.abc import Iterator
from math import pi
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ..equation import EquationTable, side_problems
from ..riemann_states import middle_states
from .bgk import VELOCITY_LOSS, Boundary, Initial, tail_loss

if TYPE_CHECKING:
    from ..case import Case


class Equation(EquationTable):
    """`kind = "esbgk"`; `nu` = 1 - 1/Pr in [-1, 1); `tau` is "one" or "filbet_jin" (0.9 pi rho/2)."""

    kind: Literal["esbgk"]
    nu: Annotated[float, Field(ge=-1.0, lt=1.0)] = -0.5
    tau: Literal["one", "filbet_jin"] = "one"

    fields = {
        "rho": ("1", "density"),
        "u": ("1", "mean velocity"),
        "T": ("1", "temperature"),
        "q": ("1", "heat flux"),
        "A": ("1", "anisotropy (Theta11 - Theta22)/(2T)"),
        "sigma": ("1", "stress Theta11 - Theta22"),
        "f": ("1", "distribution function"),
    }
    invariants = ("mass", "momentum", "energy")
    positive = ("rho", "T")
    limit = "euler"
    correction = "navier_stokes"
    velocity = ("trapezoid_2d",)
    latex = r"\partial_t f + v_1\,\partial_x f = \frac{\tau}{\varepsilon}\left(\mathcal{G}[f]-f\right)"
    references = ("holway1966new", "andries2000gaussian", "filbet2011asymptotic")
    Initial = Initial
    Boundary = Boundary

    @property
    def velocity_dimension(self) -> int:
        """Number of velocity components."""
        return 2

    @property
    def gamma(self) -> float:
        """Adiabatic exponent of the limit, (d + 2)/d."""
        return 2.0

    @property
    def prandtl(self) -> float:
        """Prandtl number 1/(1 - nu)."""
        return 1.0 / (1.0 - self.nu)

    def rate(self, rho: Any) -> Any:
        """tau(rho)."""
        return 0.45 * pi * rho if self.tau == "filbet_jin" else 1.0 + 0.0 * rho

    def problems(self, case: "Case") -> Iterator[tuple[tuple[str, ...], str]]:
        x = case.sample_x()
        for eps in case.knudsen.evaluate:
            state = {name: getattr(case.initial, name)(x=x, eps=eps) for name in ("rho", "u", "T")}
            bad = [name for name, value in state.items() if not np.isfinite(value).all()]
            for name in bad:
                at = x[~np.isfinite(state[name])][0]
                yield ("initial", name), f"is not finite at x = {at:.6g}"
            for name in ("rho", "T"):
                if name not in bad and (value := state[name]).min() <= 0.0:
                    at = x[value.argmin()]
                    yield ("initial", name), f"must be positive, but is {value.min():.6g} at x = {at:.6g}"
                    bad.append(name)
            if not bad:
                yield from self._box_problems(case, x, state)
            if bad or not any("eps" in getattr(case.initial, name).names for name in state):
                break
        yield from side_problems(case.boundary, {"diffuse": ("T",), "inflow": ("rho", "u", "T")})

    def _box_problems(self, case: "Case", x: Any, state: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
        """States, those between the two ends' states included, that the velocity rectangle does not hold."""
        named = [(f"the state at x = {at:.4g}", u, T) for at, u, T in zip(x, state["u"], state["T"], strict=True)]
        left, right = ((float(state["rho"][k]), float(state["u"][k]), float(state["T"][k])) for k in (0, -1))
        if left != right:
            named += [
                (f"the hot state {side} of the contact of the Riemann problem", u, T)
                for side, (_, u, T) in zip(("left", "right"), middle_states(left, right, self.gamma), strict=True)
            ]
        velocity: Any = case.velocity
        for key, nodes_key, (low, high), nodes, moving in (
            ("range", "nodes", velocity.range, velocity.nodes, True),
            ("range2", "nodes2", velocity.range2, velocity.nodes2, False),
        ):
            losses = [tail_loss(u if moving else 0.0, T, low, high) for _, u, T in named]
            worst = int(np.argmax([energy for _, energy in losses]))
            name, u, T = named[worst]
            mass, energy = losses[worst]
            if energy > VELOCITY_LOSS:
                yield (
                    ("velocity", key),
                    f"[{low:g}, {high:g}] is too narrow: {name}, u = {u:.4g}, T = {T:.4g}, loses {mass:.2%} of its mass "
                    f"and {energy:.2%} of its energy (at most {VELOCITY_LOSS:.2%} allowed); widen the interval",
                )
            name, u, T = min(named, key=lambda entry: entry[2])
            error = float(np.exp(-2.0 * pi**2 * T * ((nodes - 1) / (high - low)) ** 2))
            if error > VELOCITY_LOSS:
                yield (
                    ("velocity", nodes_key),
                    f"{nodes} nodes on [{low:g}, {high:g}] are too few: {name}, T = {T:.4g}, is integrated with an error "
                    f"of {error:.2%} (at most {VELOCITY_LOSS:.2%} allowed)",
                )
