r"""Steady slab with absorption and a source: analytic discrete ordinates.

With $y = x/\varepsilon$ and N ordinates the steady equation $v\,\partial_yf = -(\sigma - \sigma_S1w^T)f + \varepsilon^2Q$ has
the solution

$$ f = \frac{Q}{\sigma_A} + \sum_j c_j\,\varphi_j\,e^{-\lambda_j y}, \qquad
   (\sigma - \sigma_S1w^T)\,\varphi_j = \lambda_jv\,\varphi_j , $$

the $\lambda_j$ real and in pairs; modes that grow are scaled at the far end, and the c_j follow from the in-flow at both ends.
Exact in x; with 96 ordinates (half-range Gauss) the truth to about 1e-9, the boundary layers included.  The schemes reach it
by marching to t = 8, where less than 1e-6 of the start is left at any eps.
References: Chandrasekhar (1950), Radiative Transfer, sections 25-27; Siewert (2000), J. Quant. Spectrosc. Radiat. Transf. 64,
109, DOI 10.1016/S0022-4073(98)00144-0 (analytic discrete ordinates); Barichello, Siewert (1999), ibid. 62, 665.
"""

from collections.abc import Iterator

import numpy as np
import scipy.linalg

from ..problem.case import Case
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.distance import cell_widths, relative_l2
from ..problem.read import case_from_data
from ..problem.scheme import Array
from ..schemes import discrete_ordinates, micro_macro

SIGMA_S, SIGMA_A, SOURCE = 1.0, 2.0, 0.5
NODES = 96


def make_case(eps: float) -> Case:
    """In-flow v at the left, vacuum at the right."""
    return case_from_data(
        {
            "name": "steady_slab",
            "schema": 1,
            "title": "Steady slab",
            "equation": {"kind": "transport", "sigma_s": SIGMA_S, "sigma_a": SIGMA_A, "source": SOURCE},
            "domain": {"x": [0.0, 1.0], "t_end": 8.0},
            "velocity": {"kind": "slab_double_gauss", "nodes": 16},
            "knudsen": {"evaluate": [eps]},
            "initial": {"f": "0"},
            "boundary": {"left": {"kind": "inflow", "f": "v"}, "right": {"kind": "inflow", "f": "0"}},
        }
    )


def analytic(eps: float, x: Array, nodes: int = NODES) -> tuple[Array, Array]:
    """rho and J at x."""
    z, w = np.polynomial.legendre.leggauss(nodes // 2)
    v, w = np.concatenate([-0.5 * (z[::-1] + 1.0), 0.5 * (z + 1.0)]), 0.25 * np.concatenate([w[::-1], w])
    sigma = SIGMA_S + eps**2 * SIGMA_A
    # sqrt(w) makes the left side symmetric and positive, so that the eigenvalues are those of a symmetric pencil
    root = np.sqrt(w)
    left = sigma * np.eye(v.size) - SIGMA_S * np.outer(root, root)
    inverse, modes = scipy.linalg.eigh(np.diag(v), left)  # v phi = (1/lambda) left phi
    rate, phi = 1.0 / inverse, modes / root[:, None]

    def decay(x: Array) -> Array:
        # every mode is one at the end from which it decays
        return np.exp(-np.abs(rate) * np.where(rate > 0.0, x[:, None], 1.0 - x[:, None]) / eps)

    flat = SOURCE / SIGMA_A
    ends = decay(np.array([0.0, 1.0]))
    system = np.where((v > 0.0)[:, None], phi * ends[0], phi * ends[1])
    c = np.linalg.solve(system, np.where(v > 0.0, v, 0.0) - flat)
    f = decay(x) @ (c[:, None] * phi.T)
    return f @ w + flat, f @ (w * v) / eps


class Check(CheckBase):
    """Both slab schemes at default settings, density and flux."""

    verifies = ("discrete_ordinates", "micro_macro")
    seconds = 3.0

    def run(self) -> Iterator[Outcome]:
        few, many = analytic(0.1, np.linspace(0.0, 1.0, 11), 64), analytic(0.1, np.linspace(0.0, 1.0, 11))
        yield Outcome("the truth itself, 64 against 96 ordinates", float(np.abs(few[0] - many[0]).max()), 1e-7)
        for module, knudsen in ((discrete_ordinates, (1.0, 1e-2, 1e-4)), (micro_macro, (1.0, 0.1, 1e-2, 1e-4))):
            scheme, options = module.Scheme(), module.Options()
            for eps in knudsen:
                case = make_case(eps)
                x = scheme.coordinates(case, options)["x"]
                last = list(scheme.march(case, eps, options))[-1]
                for field, exact in zip(("rho", "J"), analytic(eps, x), strict=True):
                    computed = last.fields[field]
                    error = relative_l2(computed, exact, cell_widths(x))
                    yield Outcome(f"{options.scheme}: {field}, eps = {eps:g}", error, 1e-4, "x", x, computed, exact)
