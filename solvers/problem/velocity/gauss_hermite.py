r"""Gauss-Hermite rule for distributions close to a Maxwellian of known temperature.

$$ \int h\,dv = \int \frac{h}{M}\,M\,dv \approx \sum_{k=1}^{n} w_k h(v_k), \qquad w_k = \frac{\omega_k}{M(v_k)}, \quad
   M(v) = \frac{e^{-v^2/2\theta}}{\sqrt{2\pi\theta}} , $$

with the probabilists' nodes scaled by $\sqrt\theta$: exact for h = M times a polynomial of degree $2n-1$.
Reference: problems.md section 5; Abramowitz, Stegun (1964), 25.4.46.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..maxwellian import maxwellian
from ..velocity_set import VelocityTable


class VelocitySet(VelocityTable):
    """`kind = "gauss_hermite"`: `nodes` points for a Maxwellian of `temperature`."""

    kind: Literal["gauss_hermite"] = "gauss_hermite"
    nodes: Annotated[int, Field(ge=2, le=200)] = 32
    temperature: Annotated[float, Field(gt=0.0)] = 1.0

    @property
    def degree(self) -> int:
        """Degree of the polynomial that multiplies the Maxwellian."""
        return 2 * self.nodes - 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z, w = np.polynomial.hermite_e.hermegauss(self.nodes)
        v = np.sqrt(self.temperature) * z
        return v, w / np.sqrt(2.0 * np.pi) / maxwellian(1.0, 0.0, self.temperature, v)
