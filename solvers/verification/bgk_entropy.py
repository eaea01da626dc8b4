r"""The H-theorem: in a closed box the entropy H never grows, and it falls as long as there are collisions.

$$ H = \int\!\!\int f\ln f\,dv\,dx , \qquad \frac{dH}{dt} = \frac1\varepsilon\int\!\!\int (G-f)\,\ln f\,dv\,dx \le 0 . $$

With reduced distributions H is that of the least biased full one, which is Gaussian across x; up to invariants,

$$ H = \int\!\!\int f_1\Big(\ln f_1 - \tfrac{d-1}2\ln\frac{f_2}{f_1}\Big)dv\,dx , \qquad d = 2, 3 . $$

H is taken at twenty times and must fall from each to the next.  For BGK the whole fall must also be the time integral
(Simpson's rule) of the production on the right.

References: Andries, Le Tallec, Perlat, Perthame (2000), Eur. J. Mech. B 19, 813, DOI 10.1016/S0997-7546(00)01103-1 (the
theorem for ES-BGK, nu >= -1/(d - 1)); Mieussens (2000), Math. Models Methods Appl. Sci. 10, 1121, DOI
10.1142/S0218202500000562 (discrete velocities).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.integrate import simpson

from ..discrete_equilibrium import equilibria
from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.scheme import Array
from ..schemes.imex import conserved_moments
from ._gas import WAVES, make_case, march

TIMES = tuple(float(t) for t in np.linspace(0.0, 0.2, 21)[1:])
CELLS = 48
BGK1, BGK3 = ({"kind": "bgk", "velocity_dimension": d} for d in (1, 3))
EXTREME, DEFAULT = ({"kind": "esbgk", "nu": nu} for nu in (-1.0, -0.5))
TINY = 1e-15  # where f_1 or f_2 is not larger, it adds nothing
#: equation, scheme, settings, tolerance of the balance
RUNS: tuple[tuple[dict[str, Any], str, dict[str, int], float], ...] = (
    (BGK1, "fourier_exponential", {"steps": 40}, 1e-3),
    (BGK1, "imex", {}, 1e-3),
    (BGK3, "imex", {}, 1e-3),
    (BGK1, "dugks", {}, 1e-1),
    (EXTREME, "imex_esbgk", {}, 1e-3),
    (DEFAULT, "imex_esbgk", {}, 1e-3),
)


def seen(f: Array) -> tuple[Array, Array, Array]:
    """Where f (component, x, v) is larger than TINY, ln f_1, and f_2/f_1 (one where there is no f_2)."""
    where = (f > TINY).all(axis=0)
    first = np.where(where, f[0], 1.0)
    return where, np.log(first), np.where(where, f[-1], 1.0) / first


def entropy(f: Array, w: Array, dimension: int) -> float:
    """H of f per length."""
    where, log, ratio = seen(f)
    density = f[0] * (log - 0.5 * (dimension - 1) * np.log(ratio))
    return float((np.where(where, density, 0.0) @ w).mean())


def production(f: Array, v: Array, w: Array, eps: float, dimension: int) -> float:
    """dH/dt of BGK per length."""
    where, log, ratio = seen(f)
    M = np.empty_like(f)
    equilibria(*conserved_moments(f, v, w), v, w, M)
    gain, second = M[0] - f[0], M[-1] - f[-1]
    density = gain * log - 0.5 * (dimension - 1) * (gain * np.log(ratio) + second / ratio)
    return float((np.where(where, density, 0.0) @ w).mean()) / eps


class Check(AbstractCheck):
    """All gas schemes in three regimes."""

    verifies = ("fourier_exponential", "imex", "dugks", "imex_esbgk")
    seconds = 4.0

    def run(self) -> Iterator[Outcome]:
        for equation, name, settings, balance in RUNS:
            case = make_case(equation, WAVES, TIMES)
            v, w = case.velocity.nodes_and_weights()
            d = case.equation.velocity_dimension
            label = f"{name}, {equation['kind']} {d}V" + (f", nu = {equation['nu']:g}" if "nu" in equation else "")
            for eps in (1.0, 0.1, 0.01):
                filled = march(name, case, eps, cells=CELLS, **settings)
                t, H = np.array(TIMES), np.array([entropy(s.state["f"], w, d) for s in filled])
                what = f"{label}: largest rise of H over its whole fall, eps = {eps:g}"
                fall, rise = H[0] - H[-1], max(float(np.diff(H).max()), 0.0)
                yield Outcome(what, rise / fall if fall > 0.0 else np.inf, 0.0, "t", t, H, np.minimum.accumulate(H))
                if equation["kind"] == "bgk" and eps > 0.01:
                    produced = simpson([production(s.state["f"], v, w, eps, d) for s in filled[1:]], x=t[1:])
                    what = f"{label}: fall of H less its production, eps = {eps:g}"
                    yield Outcome(what, abs(float((H[-1] - H[1]) / produced - 1.0)), balance)
