r"""Gauss points in the angle on each quadrant of the circle, average as measure.

$$ \langle h\rangle = \frac1{2\pi}\int_{-\pi}^{\pi} h(\vartheta)\,d\vartheta \approx \sum_{q=0}^{3}\sum_{k=1}^{m}
   w_k\, h\big(-\pi + \tfrac\pi2(q + z_k)\big), \quad \omega = (v_1, v_2) = (\cos\vartheta, \sin\vartheta), $$

z and 4w the Gauss-Legendre rule of m points on [0, 1]; exact for polynomials of degree 2m-1 in the angle on each quadrant, so
also for functions that jump along the axes, as f does at walls parallel to them; the points crowd towards the walls' tangents,
where f varies fastest in boundary layers.  omega, -omega and their images under quarter turns and mirrors are all present.
References: Sykes (1951), Mon. Not. R. Astron. Soc. 111, 377 (the half-range idea); Abu-Shumays (2001), Transport Theory
Stat. Phys. 30, 367, DOI 10.1081/TT-100105367 (quadrant Gauss rules in the azimuth).
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..velocity_set import VelocityTable


class VelocitySet(VelocityTable):
    """`kind = "circle_gauss"`: `nodes` (a multiple of four) angles in (-pi, pi), a Gauss rule on each quadrant."""

    kind: Literal["circle_gauss"] = "circle_gauss"
    nodes: Annotated[int, Field(ge=4, le=4000, multiple_of=4)] = 48

    @property
    def average(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        """The angles that are averaged over."""
        return -np.pi, np.pi

    @property
    def degree(self) -> int:
        return self.nodes // 2 - 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z, w = np.polynomial.legendre.leggauss(self.nodes // 4)
        quadrant = 0.25 * np.pi * (z + 1.0)
        half = np.concatenate([quadrant, quadrant + 0.5 * np.pi])
        weights = np.tile(0.125 * w, 2)
        return np.concatenate([-half[::-1], half]), np.concatenate([weights[::-1], weights])

    def coarser(self) -> "VelocitySet | None":
        fewer = 4 * round(self.nodes / 6)
        return self.model_copy(update={"nodes": fewer}) if 4 <= fewer < self.nodes else None

    def finer(self) -> "VelocitySet | None":
        return self.model_copy(update={"nodes": 4 * round(1.5 * self.nodes / 4)})
