r"""Trapezoidal rule on a bounded velocity interval.

$$ \int h\,dv \approx \Delta v\Big[\tfrac12 h(v_0) + \sum_{k=1}^{n-2} h(v_k) + \tfrac12 h(v_{n-1})\Big],
   \quad v_k = V_0 + k\,\Delta v . $$

Spectrally accurate for Maxwellians: the error decays like $\exp(-2\pi^2 T/\Delta v^2)$ (Trefethen, Weideman, 2014,
SIAM Review 56, 385, DOI 10.1137/130932132), plus the tails outside the interval.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..velocity_set import Interval, VelocityTable


class VelocitySet(VelocityTable):
    """`kind = "trapezoid"`: `nodes` equidistant velocities on `range`, ends included."""

    kind: Literal["trapezoid"] = "trapezoid"
    range: Interval = (-10.0, 10.0)
    nodes: Annotated[int, Field(ge=8, le=100_000)] = 128

    @property
    def degree(self) -> int:
        return 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        v = np.linspace(*self.range, self.nodes)
        w = np.full(self.nodes, v[1] - v[0])
        w[[0, -1]] *= 0.5
        return v, w
