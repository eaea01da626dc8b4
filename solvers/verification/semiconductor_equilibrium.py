r"""The diode without bias: J = 0, $\rho = c(0)\,e^{\Phi/\theta}$, and Poisson-Boltzmann $\beta\Phi'' = e^{\Phi/\theta} - c$.

$f = \rho M$ with this density solves the semiconductor Boltzmann-Poisson equation for every eps.  `hermite_parity` keeps the
relation to round-off, `imex_micro_macro` to the order of its differences.  Phi itself is held against scipy's collocation
solver for the boundary value problem.

Reference: Markowich, Ringhofer, Schmeiser (1990), Semiconductor Equations, DOI 10.1007/978-3-7091-6961-2, section 2.2.
"""

from collections.abc import Iterator

import numpy as np
from scipy.integrate import solve_bvp

from ..problem.case import Case
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.read import case_from_data
from ..schemes import hermite_parity, imex_micro_macro

DOPING = "1 - 0.45*(tanh((x - 0.3)/0.05) - tanh((x - 0.7)/0.05))"


def make_case(doping: str, t_end: float, **changes: object) -> Case:
    """A device on [0, 1] without bias that starts neutral; `changes` replace equation, velocity or initial keys."""
    theta, beta = changes.get("theta", 1.0), changes.get("beta", 0.02)
    potential = changes.get("potential", 0.0)
    return case_from_data(
        {
            "schema": 1,
            "name": "semiconductor",
            "title": "verification of the semiconductor schemes",
            "equation": {"kind": "semiconductor", "theta": theta, "beta": beta, "doping": doping},
            "domain": {"x": [0.0, 1.0], "t_end": t_end, "output_times": changes.get("times", [t_end])},
            "velocity": {"kind": "gauss_hermite", "nodes": changes.get("nodes", 16), "temperature": theta},
            "knudsen": {"evaluate": [1e-1]},
            "initial": {"rho": changes.get("rho", doping)},
            "boundary": {
                "left": {"kind": "contact", "potential": 0.0},
                "right": {"kind": "contact", "potential": potential},
            },
            "reference": {"scheme": "hermite_parity"},
        }
    )


class Check(CheckBase):
    """Zero bias, both schemes."""

    verifies = ("hermite_parity", "imex_micro_macro")
    seconds = 2.0

    def run(self) -> Iterator[Outcome]:
        theta = 0.7
        case = make_case(DOPING, 2.0, theta=theta)
        c, beta = case.equation.doping, case.equation.beta
        scheme, options = hermite_parity.Scheme(), hermite_parity.Options(cells=243, steps=36)
        x = scheme.coordinates(case, options)["x"]
        points = np.concatenate([[0.0], x, [1.0]])
        exact = solve_bvp(
            lambda x, y: np.array([y[1], (c(x=0.0) * np.exp(y[0] / theta) - c(x=x)) / beta]),
            lambda a, b: np.array([a[0], b[0]]),
            points,
            np.array([theta * np.log(c(x=points)), 0.0 * points]),
            tol=1e-9,
            max_nodes=20_000,
        ).sol(x)[0]
        for eps in (0.1, 1e-6):
            fields = list(scheme.march(case, eps, options))[-1].fields
            relation = c(x=0.0) * np.exp(fields["Phi"] / theta)
            gap = float(np.abs(fields["rho"] / relation - 1.0).max())
            yield Outcome(
                f"hermite_parity: rho = exp(Phi/theta), eps = {eps:g}", gap, 1e-10, "x", x, fields["rho"], relation
            )
            yield Outcome(f"hermite_parity: |J|, eps = {eps:g} (absolute)", float(np.abs(fields["J"]).max()), 1e-10)
            gap = float(np.abs(fields["Phi"] - exact).max())
            yield Outcome(
                f"hermite_parity: Phi of Poisson-Boltzmann, eps = {eps:g}", gap, 1e-4, "x", x, fields["Phi"], exact
            )
        other = imex_micro_macro.Scheme()
        coarse = imex_micro_macro.Options(cells=81, velocities=48)
        fields = list(other.march(case, 0.1, coarse))[-1].fields
        gap = float(np.abs(fields["rho"] / (c(x=0.0) * np.exp(fields["Phi"] / theta)) - 1.0).max())
        yield Outcome("imex_micro_macro: rho = exp(Phi/theta), eps = 0.1", gap, 2e-3)
