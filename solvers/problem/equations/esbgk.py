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

from pydantic import Field

from ..equation import EquationTable
from ..velocity_box import gas_problems
from .bgk import Boundary, Initial

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
        yield from gas_problems(case)
