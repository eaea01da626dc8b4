r"""Gauss-Legendre rule on a bounded velocity interval.

$$ \int_{V_0}^{V_1} h\,dv \approx \sum_{k=1}^{n} w_k h(v_k), \quad \text{exact for polynomials of degree } 2n-1 . $$

Reference: Abramowitz, Stegun (1964), Handbook of Mathematical Functions, 25.4.30.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..velocity_set import Interval, VelocityTable


class VelocitySet(VelocityTable):
    """`kind = "gauss_legendre"`: `nodes` Gauss points on `range`."""

    kind: Literal["gauss_legendre"] = "gauss_legendre"
    range: Interval = (-10.0, 10.0)
    nodes: Annotated[int, Field(ge=2, le=2000)] = 64

    @property
    def degree(self) -> int:
        return 2 * self.nodes - 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z, w = np.polynomial.legendre.leggauss(self.nodes)
        low, high = self.range
        half = 0.5 * (high - low)
        return low + half * (z + 1.0), half * w
