r"""Half-range (double) Gauss rule for direction cosines: Gauss points on [-1, 0] and on [0, 1], average as measure.

$$ \langle h\rangle = \tfrac12\int_{-1}^{1} h\,dv \approx \sum_{k=1}^{2n} w_k h(v_k), \qquad \sum_k w_k = 1 , $$

exact for polynomials of degree $2n-1$ on each half, so also for functions that jump at v = 0, as at an in-flow boundary.
References: Sykes (1951), Mon. Not. R. Astron. Soc. 111, 377; problems.md section 4, note (iii).
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..velocity_set import VelocityTable


class VelocitySet(VelocityTable):
    """`kind = "slab_double_gauss"`: `nodes` (even) points, half of them on each side of v = 0, weights of sum one."""

    kind: Literal["slab_double_gauss"] = "slab_double_gauss"
    nodes: Annotated[int, Field(ge=2, le=2000, multiple_of=2)] = 32

    @property
    def average(self) -> bool:
        return True

    @property
    def degree(self) -> int:
        return self.nodes - 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z, w = np.polynomial.legendre.leggauss(self.nodes // 2)
        half = 0.5 * (z + 1.0)
        return np.concatenate([-half[::-1], half]), 0.25 * np.concatenate([w[::-1], w])
