r"""Asymptotic-preserving IMEX finite differences for ES-BGK, reduced in v2: ARS(4,4,3) in time, WENO5 in space.

For u2 = 0 and f even in v2 the reduced distributions f1 = int f dv2 and f2 = 2 int v2^2 f dv2 obey a closed system, for the
Gaussian with a diagonal tensor is a product of Gaussians in v1 and v2 (no approximation):

$$ \partial_t f_k + v_1\,\partial_x f_k = \frac\tau\varepsilon(G_k - f_k), \qquad G_1 = \rho\,N(v_1; u, \mathcal T_{11}),
   \quad G_2 = 2\,\mathcal T_{22}\,G_1, \quad \mathcal T_{kk} = (1-\nu)T + \nu\,\Theta_{kk} . $$

Space, tableau, ends and stability (dt <= 1.25 dx/max|v1|) are those of `imex`.  The stage f = g + lambda (G[f] - f),
lambda = a_ii dt tau/eps, is solved explicitly: rho, u, T of f are those of g, and the stress relaxes linearly,

$$ (1 + (1-\nu)\lambda)\,\Theta_{11} = \Theta_{11}^g + (1-\nu)\lambda\,T . $$

G is the discrete Gaussian whose sums over the nodes ARE its moments (`solvers.discrete_equilibrium`): mass, momentum and
energy are kept to round-off.  Third order in time, fifth in space on smooth data; globally stiffly accurate, so for eps -> 0
at fixed steps it is the explicit scheme for the Euler equations with gamma = 2 (asymptotic-preserving).  Not positive.

References: Andries, Le Tallec, Perlat, Perthame (2000), Eur. J. Mech. B 19, 813, DOI 10.1016/S0997-7546(00)01103-1; Filbet,
Jin (2011), J. Sci. Comput. 46, 204, DOI 10.1007/s10915-010-9394-x; Chu (1965), Phys. Fluids 8, 12, DOI 10.1063/1.1761077.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import field_validator

from solvers.problem.case import Case
from solvers.problem.scheme import Array
from solvers.problem.scheme import Scheme as AbstractScheme
from solvers.problem.status import Snapshot
from solvers.schemes import imex


class Options(imex.Options):
    """`cells` on a uniform grid; `cfl` in units of dx/max|v1| (at most 1.25); no `distribution`."""

    scheme: str = "imex_esbgk"
    cells: int = 900

    @field_validator("distribution")
    @classmethod
    def _reduced(cls, value: bool) -> bool:
        if value:
            raise ValueError("the scheme is reduced in v2 and holds no f(x, v1, v2): set it to false")
        return value


class Scheme(AbstractScheme):
    """`scheme = "imex_esbgk"`: the general scheme for ES-BGK."""

    equations = ("esbgk",)
    order = (3, 5)
    asymptotic_preserving = True
    conserves = ("mass", "momentum", "energy")
    positive = False
    small = ("reference.cells=32", "velocity.nodes=64")
    rate = 5.8e7
    references = ("ascher1997implicit", "borges2008improved", "mieussens2000discrete")
    Options = Options

    def coordinates(self, case: Case, options: Options) -> dict[str, Array]:
        return {"x": imex.centres(case, options)}

    def plan(self, case: Case, eps: float, options: Options) -> dict[str, float]:
        return imex.plan(case, options)

    def march(
        self, case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        return imex.march(case, eps, options, resume)
