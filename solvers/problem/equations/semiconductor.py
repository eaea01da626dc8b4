r"""Semiconductor Boltzmann-Poisson equation, electrons in one space and one velocity dimension, diffusive scaling.

$$ \varepsilon\,\partial_t f + v\,\partial_x f - E\,\partial_v f = \frac1\varepsilon\big(\rho M - f\big), \qquad
   \rho = \int f\,dv, \qquad M = \frac{e^{-v^2/2\theta}}{\sqrt{2\pi\theta}}, $$
$$ \beta\,\partial_{xx}\Phi = \rho - c(x), \qquad E = -\partial_x\Phi . $$

Electrons feel the force $-E = +\partial_x\Phi$.  Fields: rho, J = <v f>/eps, E and Phi.  The ends are contacts: a potential,
and in-flow c M with the doping c there.  Limit eps -> 0: the drift-diffusion-Poisson system
$\partial_t\rho + \partial_xJ = 0$, $J = -(\theta\,\partial_x\rho + \rho E)$.

References: Jin, Pareschi (2000), J. Comput. Phys. 161, 312, DOI 10.1006/jcph.2000.6506; Markowich, Ringhofer, Schmeiser
(1990), Semiconductor Equations, DOI 10.1007/978-3-7091-6961-2; problems.md (75)-(85).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from ..equation import EquationTable, SideTable, Table
from ..expression import Expression, In

if TYPE_CHECKING:
    from ..case import Case

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Initial(Table):
    """Density at t = 0; f starts as rho M."""

    rho: Annotated[Expression, In("x", "eps")]


class Side(SideTable):
    """An end: `contact`, at a constant `potential`; what enters is c M, c the doping there."""

    kind: Literal["contact"]
    potential: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class Boundary(Table):
    left: Side
    right: Side


class Equation(EquationTable):
    """`kind = "semiconductor"`; lattice temperature `theta`, scaled Debye length squared `beta`, `doping` c(x)."""

    kind: Literal["semiconductor"]
    theta: Positive = 1.0
    beta: Positive = 0.002
    doping: Annotated[Expression, In("x")]

    fields = {
        "rho": ("1", "electron density"),
        "J": ("1", "flux <v f>/eps"),
        "E": ("1", "electric field"),
        "Phi": ("1", "electric potential"),
        "f": ("1", "distribution function"),
    }
    invariants = ("mass",)
    positive = ("rho",)
    limit = "drift_diffusion"
    velocity = ("gauss_hermite",)
    latex = (
        r"\varepsilon\,\partial_t f + v\,\partial_x f - E\,\partial_v f = "
        r"\frac{1}{\varepsilon}\left(\rho M-f\right),\quad \beta\,\partial_{xx}\Phi=\rho-c"
    )
    references = ("jin2000discretization", "markowich1990semiconductor")
    Initial = Initial
    Boundary = Boundary

    def problems(self, case: "Case") -> Iterator[tuple[tuple[str, ...], str]]:
        x = case.sample_x(4001)
        eps = case.knudsen.evaluate[0]
        values = {
            ("equation", "doping"): self.doping(x=x) * np.ones_like(x),
            ("initial", "rho"): case.initial.rho(x=x, eps=eps) * np.ones_like(x),
        }
        for path, value in values.items():
            if not np.isfinite(value).all():
                yield path, f"is not finite at x = {x[~np.isfinite(value)][0]:.6g}"
            elif value.min() <= 0.0:
                yield path, f"must be positive, but is {value.min():.6g} at x = {x[value.argmin()]:.6g}"
        temperature = getattr(case.velocity, "temperature", self.theta)
        if not np.isclose(temperature, self.theta, rtol=1e-12, atol=0.0):
            yield (
                ("velocity", "temperature"),
                f"must be that of the lattice, equation.theta = {self.theta:g}, or M is not exact on the nodes",
            )
        nodes = getattr(case.velocity, "nodes", 2)
        if nodes % 2:
            yield ("velocity", "nodes"), "must be even: every velocity has its opposite, and none is zero"
