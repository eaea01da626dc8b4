r"""Gauss-Legendre rule for direction cosines on [-1, 1], with the average as measure.

$$ \langle h\rangle = \tfrac12\int_{-1}^{1} h\,dv \approx \sum_{k=1}^{n} w_k h(v_k), \qquad \sum_k w_k = 1 , $$

exact for polynomials of degree $2n-1$.  Smooth in v only: for in-flow problems, whose distribution jumps at v = 0, take
`slab_double_gauss`.  Reference: problems.md section 1; Chandrasekhar (1950), Radiative Transfer, chapter II.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..velocity_set import VelocityTable


class VelocitySet(VelocityTable):
    """`kind = "slab_gauss"`: `nodes` (even) Gauss points on [-1, 1], weights of sum one."""

    kind: Literal["slab_gauss"] = "slab_gauss"
    nodes: Annotated[int, Field(ge=2, le=2000, multiple_of=2)] = 32

    @property
    def average(self) -> bool:
        return True

    @property
    def degree(self) -> int:
        return 2 * self.nodes - 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        v, w = np.polynomial.legendre.leggauss(self.nodes)
        return v, 0.5 * w
