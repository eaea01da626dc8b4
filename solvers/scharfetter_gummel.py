r"""The Bernoulli function of exponentially fitted differences.

$$ B(\delta) = \frac{\delta}{e^{\delta}-1}, \qquad B(-\delta) = B(\delta) + \delta = e^{\delta}B(\delta), \qquad
   B'(\delta) = \frac{1 - B(\delta)\,e^{\delta}}{e^{\delta}-1} . $$

With $\delta = (\Phi_R-\Phi_L)/\theta$ over the distance d, the difference $(B(\delta)\rho_R - B(-\delta)\rho_L)/d$ is
$e^{\Phi/\theta}\,\partial_x(e^{-\Phi/\theta}\rho) = \partial_x\rho - \rho\,\partial_x\Phi/\theta$ for a constant flux and a
linear potential between the two points: it vanishes exactly for $\rho = C e^{\Phi/\theta}$.

Reference: Scharfetter, Gummel (1969), IEEE Trans. Electron Devices 16, 64, DOI 10.1109/T-ED.1969.16566.
"""

import numpy as np

from .compile import njit

SMALL = 1e-2  # below this |delta| the series is exact to round-off
LARGE = 500.0  # beyond it B < 1e-200, and exp would overflow


@njit(cache=True)
def bernoulli(delta):
    """(B, B') at one number."""
    if abs(delta) < SMALL:
        square = delta * delta
        value = 1.0 - 0.5 * delta + square / 12.0 * (1.0 - square / 60.0 * (1.0 - square / 42.0))
        return value, -0.5 + delta / 6.0 * (1.0 - square / 30.0 * (1.0 - square / 28.0))
    if delta > LARGE:
        return 0.0, 0.0
    growth = np.expm1(delta)
    value = delta / growth
    return value, (1.0 - value * (growth + 1.0)) / growth


@njit(cache=True)
def bernoulli_array(delta):
    """(B, B') at every number of a one-dimensional array."""
    value, slope = np.empty_like(delta), np.empty_like(delta)
    for i in range(delta.size):
        value[i], slope[i] = bernoulli(delta[i])
    return value, slope
