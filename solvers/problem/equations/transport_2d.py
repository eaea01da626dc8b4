r"""Linear transport in the plane under diffusive scaling, directions on the circle.

$$ \varepsilon\,\partial_t f + \omega\cdot\nabla f = \frac1\varepsilon\big(\sigma_S\langle f\rangle - \sigma f\big)
   + \varepsilon Q, \qquad \sigma = \sigma_S + \varepsilon^2\sigma_A, \quad \omega = (v_1, v_2) \in S^1, \quad
   \langle h\rangle = \frac1{2\pi}\int_{S^1} h\,d\omega . $$

Fields: rho = <f> and the flux (J1, J2) = <omega f>/eps.  Limit eps -> 0: the diffusion equation
$\partial_t\rho = \nabla\cdot\big(\tfrac{1}{2\sigma_S}\nabla\rho\big) - \sigma_A\rho + Q$, since $\langle v_1^2\rangle = 1/2$.

References: Lewis, Miller (1993), Computational Methods of Neutron Transport, ISBN 0-89448-452-4; Jin, Pareschi, Toscani
(2000), SIAM J. Numer. Anal. 38, 913, DOI 10.1137/S0036142998347978 (the scaling); problems.md section 4.5.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from ..equation import EquationTable, SideTable, Table, side_problems
from ..expression import Expression, In

if TYPE_CHECKING:
    from ..case import Case

SAMPLES = 61  # points per direction at which formulas are checked


class Initial(Table):
    """Distribution at t = 0; (v1, v2) is the direction."""

    f: Annotated[Expression, In("x", "y", "v1", "v2", "eps")]


class Side(SideTable):
    """A side: `periodic`, `inflow` (f of the entering directions (v1, v2), at (x, y) on the side), `specular`."""

    kind: Literal["periodic", "inflow", "specular"]
    f: Annotated[Expression, In("t", "x", "y", "v1", "v2", "eps")] | None = None


class Boundary(Table):
    left: Side
    right: Side
    bottom: Side
    top: Side


class Equation(EquationTable):
    """`kind = "transport_2d"`; scattering `sigma_s`, absorption `sigma_a`, `source`: formulas in x, y (source also t)."""

    kind: Literal["transport_2d"]
    sigma_s: Annotated[Expression, In("x", "y")] = Expression.parse(1.0, ())
    sigma_a: Annotated[Expression, In("x", "y")] = Expression.parse(0.0, ())
    source: Annotated[Expression, In("x", "y", "t")] = Expression.parse(0.0, ())

    dimension = 2
    fields = {
        "rho": ("1", "density"),
        "J1": ("1", "flux <v1 f>/eps"),
        "J2": ("1", "flux <v2 f>/eps"),
        "f": ("1", "distribution function"),
    }
    invariants = ("mass",)
    positive = ("rho",)
    limit = "diffusion_2d"
    velocity = ("circle", "circle_gauss")
    latex = (
        r"\varepsilon\,\partial_t f + \omega\cdot\nabla f = "
        r"\frac{1}{\varepsilon}\left(\sigma_S\langle f\rangle-\sigma f\right)+\varepsilon Q"
    )
    references = ("lewis1993computational", "jin2000uniformly")
    Initial = Initial
    Boundary = Boundary

    def problems(self, case: "Case") -> Iterator[tuple[tuple[str, ...], str]]:
        if case.domain.y is None:
            return  # reported by the reader
        x = np.linspace(*case.domain.x, SAMPLES)[:, None]
        y = np.linspace(*case.domain.y, SAMPLES)
        times = np.array([0.0, *case.domain.output_times])[:, None, None]
        theta, _ = case.velocity.nodes_and_weights()
        v1, v2 = np.cos(theta), np.sin(theta)
        eps = case.knudsen.evaluate[0]
        values = {
            ("equation", "sigma_s"): self.sigma_s(x=x, y=y),
            ("equation", "sigma_a"): self.sigma_a(x=x, y=y),
            ("equation", "source"): self.source(x=x, y=y, t=times),
            ("initial", "f"): case.initial.f(x=x[..., None], y=y[:, None], v1=v1, v2=v2, eps=eps),
        }
        for name, xs, ys, inward in (
            ("left", x[0], y[:, None], v1 > 0),
            ("right", x[-1], y[:, None], v1 < 0),
            ("bottom", x, y[0], v2 > 0),
            ("top", x, y[-1], v2 < 0),
        ):
            if (f := getattr(case.boundary, name).f) is not None:
                values["boundary", name] = f(t=times, x=xs, y=ys, v1=v1[inward], v2=v2[inward], eps=eps)
        for path, value in values.items():
            low = value.min()
            if not np.isfinite(value).all():
                yield path, "is not finite everywhere in the domain"
            elif path[1] == "sigma_s" and low <= 0.0:
                i, j = np.unravel_index(value.argmin(), value.shape)
                yield path, f"must be positive, but is {low:.6g} at x = {x[i, 0]:.6g}, y = {y[j]:.6g}"
            elif path[1] != "source" and low < 0.0:
                yield path, f"must not be negative, but falls to {low:.6g}"
        yield from side_problems(case.boundary, {"inflow": ("f",)})
