r"""BGK with conservation laws as residuals, on top of free flight: exact in both limits, no loss at t = 0 (`apnn/gas.py`).

$$ f = e^{-t/\varepsilon}F + (1-e^{-t/\varepsilon})(M[W] + C), \qquad \langle mC\rangle = 0, $$
$$ \partial_tU_W + \partial_x\big(F_{\rm Euler}(W) + \langle vmC\rangle\big) + \tfrac{E}{\varepsilon h}(U_W-U_F) = 0, \qquad
   G + \varepsilon h\,(\partial_t+v\partial_x)G = M[U] . $$

One velocity component, or three reduced by Chu (f1 = int f, f2 = int (v_y^2+v_z^2) f); ends periodic, free, in-flow; smooth
data, steps, jumps.

References: Jin, Ma, Wu (2023), arXiv:2306.15381; Bhatnagar, Gross, Krook (1954), DOI 10.1103/PhysRev.94.511; Chu (1965),
DOI 10.1063/1.1761077; problems.md (42)-(48).
"""

from solvers.problem.case import Case

from ..gas import Gas


class Formulation(Gas):
    """`formulation = "bgk_conservation"`."""

    equations = ("bgk",)

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        super().__init__(case, velocities, device, d=case.equation.velocity_dimension, nu=0.0)
