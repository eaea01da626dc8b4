"""What every velocity set promises (one file per set in `velocity/`)."""

from abc import abstractmethod
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Strict


def _increasing(value: tuple[float, float]) -> tuple[float, float]:
    if not (np.isfinite(value).all() and value[0] < value[1]):
        raise ValueError("an interval is [low, high] with low < high, both finite")
    return value


Interval = Annotated[tuple[float, float], Strict(False), AfterValidator(_increasing)]


class VelocityTable(BaseModel):
    """The `[velocity]` table: nodes and weights of one velocity set."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Any

    @property
    @abstractmethod
    def degree(self) -> int:
        """Polynomial degree that the rule integrates exactly."""

    @property
    def interval(self) -> tuple[float, float]:
        """Smallest and largest velocity."""
        v, _ = self.nodes_and_weights()
        return float(v[0]), float(v[-1])

    @property
    def average(self) -> bool:
        """True if the weights sum to one (transport: <h> is an average), False for the plain integral."""
        return False

    @abstractmethod
    def nodes_and_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Nodes (v,) in increasing order and weights (v,), the measure included (dimensionless)."""

    def coarser(self) -> "VelocityTable | None":
        """The same set with about two thirds of its nodes (an even number), to estimate its error; None below four."""
        nodes: Any = getattr(self, "nodes", None)
        fewer = 2 * (nodes // 3) if isinstance(nodes, int) else 0
        return self.model_copy(update={"nodes": fewer}) if fewer >= 4 else None

    def finer(self) -> "VelocityTable | None":
        """The same set with three halves of its nodes; None if it does not count them."""
        nodes: Any = getattr(self, "nodes", None)
        return self.model_copy(update={"nodes": 2 * round(0.75 * nodes)}) if isinstance(nodes, int) else None
