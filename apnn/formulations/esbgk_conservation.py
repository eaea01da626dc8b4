r"""ES-BGK with conservation laws as residuals, reduced in v2, on top of free flight (`apnn/gas.py`).

$$ f_k = e^{-t/\varepsilon}F_k + (1-e^{-t/\varepsilon})(M_k[W] + C_k), \quad k = 1, 2, \qquad
   f_1 = \int f\,dv_2,\ f_2 = 2\int v_2^2f\,dv_2, $$
$$ G_k + \varepsilon h\,(\partial_t+v_1\partial_x)G_k = \mathcal G_k[f], \qquad \mathcal G_1 = \rho N(v_1;u,\mathcal T_{11}),
   \quad \mathcal G_2 = 2\mathcal T_{22}\mathcal G_1, \quad \mathcal T_{kk} = (1-\nu)T + \nu\Theta_{kk} . $$

The stress Theta of f is that of C and of free flight, no head of its own: mass, momentum, energy and stress of f and of the
equilibrium's tensor agree by construction.  For eps -> 0 C vanishes like eps and the conservation laws are Euler's with gamma =
2; the order eps is Navier-Stokes with the equation's Prandtl number.  tau = "one".

References: Holway (1966), Phys. Fluids 9, 1658, DOI 10.1063/1.1761920; Andries, Le Tallec, Perlat, Perthame (2000), Eur. J.
Mech. B 19, 813, DOI 10.1016/S0997-7546(00)01103-1; problems.md (49)-(59).
"""

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from ..gas import Gas


class Formulation(Gas):
    """`formulation = "esbgk_conservation"`."""

    equations = ("esbgk",)
    fields = ("rho", "u", "T", "q", "A", "sigma")

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        if case.equation.tau != "one":
            raise BadInput(f'equation.tau = "{case.equation.tau}": esbgk_conservation trains with tau = "one"')
        super().__init__(case, velocities, device, d=2, nu=case.equation.nu)
