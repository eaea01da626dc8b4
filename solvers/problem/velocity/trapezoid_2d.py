r"""Tensor product of two trapezoidal rules on a bounded velocity rectangle, for problems that are even in v2.

$$ \int h\,dv_1\,dv_2 \approx \sum_{j,k} w_j\,W_k\,h(v_{1,j}, v_{2,k}), \qquad h(v_1,-v_2) = h(v_1,v_2) . $$

Both rules are spectrally accurate for Maxwellians: the error decays like $\exp(-2\pi^2 T/\Delta v^2)$ (Trefethen, Weideman,
2014, SIAM Review 56, 385, DOI 10.1137/130932132), plus the tails outside the rectangle.  `nodes_and_weights` gives v1, all
that a scheme needs that integrates over v2 exactly; `second` gives v2.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..velocity_set import Interval, VelocityTable


def rule(interval: tuple[float, float], nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of the trapezoidal rule, ends included."""
    v = np.linspace(*interval, nodes)
    w = np.full(nodes, v[1] - v[0])
    w[[0, -1]] *= 0.5
    return v, w


class VelocitySet(VelocityTable):
    """`kind = "trapezoid_2d"`: `nodes` equidistant v1 on `range`, `nodes2` equidistant v2 on `range2`."""

    kind: Literal["trapezoid_2d"] = "trapezoid_2d"
    range: Interval = (-12.0, 12.0)
    nodes: Annotated[int, Field(ge=8, le=100_000)] = 128
    range2: Interval = (-12.0, 12.0)
    nodes2: Annotated[int, Field(ge=8, le=100_000)] = 48

    @property
    def degree(self) -> int:
        return 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return rule(self.range, self.nodes)

    def second(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Nodes and weights of v2."""
        return rule(self.range2, self.nodes2)
