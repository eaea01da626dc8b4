r"""The local Maxwellian, written once for every array library.

$$ M[\rho, u, T](v) = \frac{\rho}{(2\pi T)^{d/2}} \exp\Big(-\frac{|v-u|^2}{2T}\Big), \qquad d = 1 . $$

`make_maxwellian(exp, sqrt)` gives the numpy, the numba (scalar) and the torch version.
References: Bhatnagar, Gross, Krook (1954), Phys. Rev. 94, 511, DOI 10.1103/PhysRev.94.511; problems.md section 2.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

SQRT_2PI = math.sqrt(2.0 * math.pi)


def make_maxwellian(exp: Callable[[Any], Any], sqrt: Callable[[Any], Any]) -> Callable[[Any, Any, Any, Any], Any]:
    """M(rho, u, T, v) over the functions of one array library; arguments broadcast."""

    def maxwellian(rho: Any, u: Any, T: Any, v: Any) -> Any:
        return rho / (SQRT_2PI * sqrt(T)) * exp(-((v - u) ** 2) / (2.0 * T))

    return maxwellian


maxwellian = make_maxwellian(np.exp, np.sqrt)
