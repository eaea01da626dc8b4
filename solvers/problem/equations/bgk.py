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
from typing import TYPE_CHECKING, Annotated, Literal

from ..equation import EquationTable, SideTable, Table
from ..expression import Expression, In
from ..velocity_box import gas_problems

if TYPE_CHECKING:
    from ..case import Case


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
        yield from gas_problems(case)
