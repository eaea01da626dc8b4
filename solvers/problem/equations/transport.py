r"""Linear transport in slab geometry under diffusive scaling.

$$ \varepsilon\,\partial_t f + v\,\partial_x f = \frac1\varepsilon\big(\sigma_S\langle f\rangle - \sigma f\big)
   + \varepsilon Q, \qquad \sigma = \sigma_S + \varepsilon^2\sigma_A, \quad v\in[-1,1], \quad
   \langle h\rangle = \tfrac12\int_{-1}^{1} h\,dv . $$

Fields: rho = <f> and the flux J = <v f>/eps.  Limit eps -> 0: the diffusion equation
$\partial_t\rho = \partial_x\big(\tfrac{1}{3\sigma_S}\partial_x\rho\big) - \sigma_A\rho + Q$.

References: Jin, Pareschi, Toscani (2000), SIAM J. Numer. Anal. 38, 913, DOI 10.1137/S0036142998347978; problems.md (3),
(5), (60).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from ..equation import EquationTable, SideTable, Table, side_problems
from ..expression import Expression, In

if TYPE_CHECKING:
    from ..case import Case


class Initial(Table):
    """Distribution at t = 0."""

    f: Annotated[Expression, In("x", "v", "eps")]


class Side(SideTable):
    r"""An end: `periodic`, `inflow` (f(t, v) of the entering directions, v = |v| > 0), `specular`, `diffuse`, `free`.

    A diffuse wall sends back what meets it, isotropically: $f = 2\int_0^1 v f_{\rm out}\,dv$ for the entering directions.
    """

    kind: Literal["periodic", "inflow", "specular", "diffuse", "free"]
    f: Annotated[Expression, In("t", "v", "eps")] | None = None


class Boundary(Table):
    left: Side
    right: Side


class Equation(EquationTable):
    """`kind = "transport"`; scattering `sigma_s`, absorption `sigma_a` and `source` are formulas in x (source also t)."""

    kind: Literal["transport"]
    sigma_s: Annotated[Expression, In("x")] = Expression.parse(1.0, ())
    sigma_a: Annotated[Expression, In("x")] = Expression.parse(0.0, ())
    source: Annotated[Expression, In("x", "t")] = Expression.parse(0.0, ())

    fields = {
        "rho": ("1", "density"),
        "J": ("1", "flux <v f>/eps"),
        "f": ("1", "distribution function"),
    }
    invariants = ("mass",)
    positive = ("rho",)
    limit = "diffusion"
    velocity = ("slab_gauss", "slab_double_gauss")
    latex = (
        r"\varepsilon\,\partial_t f + v\,\partial_x f = "
        r"\frac{1}{\varepsilon}\left(\sigma_S\langle f\rangle-\sigma f\right)+\varepsilon Q"
    )
    references = ("jin2000uniformly",)
    Initial = Initial
    Boundary = Boundary

    def problems(self, case: "Case") -> Iterator[tuple[tuple[str, ...], str]]:
        x = case.sample_x()
        times = np.array([0.0, *case.domain.output_times])
        v, _ = case.velocity.nodes_and_weights()
        eps = case.knudsen.evaluate[0]
        values = {
            ("equation", "sigma_s"): self.sigma_s(x=x),
            ("equation", "sigma_a"): self.sigma_a(x=x),
            ("equation", "source"): self.source(x=x[:, None], t=times),
            ("initial", "f"): case.initial.f(x=x[:, None], v=v, eps=eps),
        }
        for name in ("left", "right"):
            if (f := getattr(case.boundary, name).f) is not None:
                values["boundary", name] = f(t=times[:, None], v=v[v > 0], eps=eps)
        for path, value in values.items():
            low = value.min()
            if not np.isfinite(value).all():
                yield path, "is not finite everywhere in the domain"
            elif path[1] == "sigma_s" and low <= 0.0:
                yield path, f"must be positive, but is {low:.6g} at x = {x[value.argmin()]:.6g}"
            elif path[1] != "source" and low < 0.0:
                yield path, f"must not be negative, but falls to {low:.6g}"
        yield from side_problems(case.boundary, {"inflow": ("f",)})
