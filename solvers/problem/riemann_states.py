r"""The two states between the outer waves of a Riemann problem of the Euler equations.

$$ \sum_k j_k(p^*) + u_R - u_L = 0, \qquad j_k(p) =
   \begin{cases} (p-p_k)\sqrt{\frac{2}{(\gamma+1)\rho_k}\big/\big(p+\frac{\gamma-1}{\gamma+1}p_k\big)} & p>p_k\\
   \frac{2c_k}{\gamma-1}\big[(p/p_k)^{(\gamma-1)/2\gamma}-1\big] & p\le p_k\end{cases} . $$

They are the hottest of the limit, and a velocity box must hold them.  Reference: Toro (2009), Riemann Solvers and Numerical
Methods for Fluid Dynamics, (4.5)-(4.9), DOI 10.1007/b79761.
"""

import math

from scipy.optimize import brentq

Triple = tuple[float, float, float]


def star_state(left: Triple, right: Triple, gamma: float) -> tuple[float, float] | None:
    """(p*, u*) between the outer waves of the states (rho, u, T); None where they leave a vacuum."""
    sides = (left, right)
    sounds = [math.sqrt(gamma * T) for _, _, T in sides]
    pressures = [rho * T for rho, _, T in sides]
    if 2.0 * sum(sounds) / (gamma - 1.0) <= right[1] - left[1]:
        return None
    mu = (gamma - 1.0) / (gamma + 1.0)

    def jump(p: float, k: int) -> float:
        if p > pressures[k]:
            return float((p - pressures[k]) * math.sqrt(2.0 / ((gamma + 1.0) * sides[k][0]) / (p + mu * pressures[k])))
        return float(2.0 * sounds[k] / (gamma - 1.0) * ((p / pressures[k]) ** ((gamma - 1.0) / (2.0 * gamma)) - 1.0))

    def mismatch(p: float) -> float:
        return jump(p, 0) + jump(p, 1) + right[1] - left[1]

    high = max(pressures)
    while mismatch(high) < 0.0:
        high *= 2.0
    p = float(brentq(mismatch, 1e-14 * min(pressures), high, xtol=1e-300, rtol=1e-14))
    return p, 0.5 * (left[1] + right[1] + jump(p, 1) - jump(p, 0))


def star_density(state: Triple, p: float, gamma: float) -> float:
    """Density behind the shock or rarefaction that takes `state` to the pressure p; Toro (4.50), (4.53)."""
    rho, _, T = state
    ratio, mu = p / (rho * T), (gamma - 1.0) / (gamma + 1.0)
    return rho * ((ratio + mu) / (mu * ratio + 1.0) if ratio > 1.0 else ratio ** (1.0 / gamma))


def middle_states(left: Triple, right: Triple, gamma: float) -> tuple[Triple, Triple]:
    """(rho, u, T) left and right of the contact; the given states themselves where they leave a vacuum."""
    star = star_state(left, right, gamma)
    if star is None:
        return left, right
    p, u = star
    first, second = (star_density(state, p, gamma) for state in (left, right))
    return (first, u, p / first), (second, u, p / second)
