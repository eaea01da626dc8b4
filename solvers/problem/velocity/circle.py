r"""Equispaced angles on the circle, average as measure.

$$ \langle h\rangle = \frac1{2\pi}\int_{-\pi}^{\pi} h(\vartheta)\,d\vartheta \approx \frac1n\sum_{k=0}^{n-1} h(\vartheta_k),
   \quad \vartheta_k = -\pi + \tfrac{2\pi}{n}(k+\tfrac12), \quad \omega = (v_1, v_2) = (\cos\vartheta, \sin\vartheta) . $$

The midpoint (trapezoidal) rule: exact for $e^{im\vartheta}$, |m| < n, and spectrally accurate for smooth periodic functions
(Trefethen, Weideman, 2014, SIAM Review 56, 385, DOI 10.1137/130932132).  n is a multiple of four, so that omega, -omega and
their images under quarter turns and mirrors are all present and none lies along an axis, where functions jump at walls.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..velocity_set import VelocityTable


class VelocitySet(VelocityTable):
    """`kind = "circle"`: `nodes` (a multiple of four) equispaced angles in (-pi, pi), weights of sum one."""

    kind: Literal["circle"] = "circle"
    nodes: Annotated[int, Field(ge=4, le=4000, multiple_of=4)] = 32

    @property
    def average(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        """The angles that are averaged over."""
        return -np.pi, np.pi

    @property
    def degree(self) -> int:
        return 1  # in the angle; as a trigonometric degree nodes - 1

    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        half = np.pi / self.nodes * (2.0 * np.arange(self.nodes // 2) + 1.0)
        return np.concatenate([-half[::-1], half]), np.full(self.nodes, 1.0 / self.nodes)

    def coarser(self) -> "VelocitySet | None":
        fewer = 4 * round(self.nodes / 6)
        return self.model_copy(update={"nodes": fewer}) if 4 <= fewer < self.nodes else None

    def finer(self) -> "VelocitySet | None":
        return self.model_copy(update={"nodes": 4 * round(1.5 * self.nodes / 4)})
