"""What every reference scheme and every limit solver promises.

A scheme is one file in `solvers/schemes/` with a final class `Scheme`; its class attributes are claims that the
contract tests hold it to.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .status import Snapshot

if TYPE_CHECKING:
    from .case import Case

Array = NDArray[np.float64]

#: usual ratio of the resolutions that an error estimate compares: with three, the centre of a coarse cell is that of a fine one
COARSER = 3


class SchemeOptions(BaseModel):
    """The `[reference]` table; a scheme derives its own Options from it and sets its own defaults.

    scheme        name of a file in solvers/schemes
    cells         number of cells per space direction
    cfl           time step in units of the transport limit dx / max|v|
    distribution  store f(eps, t, x, v) as well
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    scheme: str
    cells: int = Field(default=400, ge=8, le=1_000_000)
    cfl: float = Field(default=0.4, gt=0.0)
    distribution: bool = False

    def at(self, case: "Case", eps: float) -> "tuple[Case, Self]":
        """Case and options with which to march one Knudsen number; results are kept at the coordinates of these options."""
        return case, self


class Scheme(ABC):
    """A reference scheme: marches a case at one Knudsen number.

    equations               kinds it solves
    order                   (in time, in space) on smooth solutions
    asymptotic_preserving   the step size and the error do not depend on eps
    conserves               names of the integrals kept to round-off with periodic ends
    positive                keeps f > 0 for positive data
    rate                    unknowns times steps per second on one core of the developers' machine (2-core x86-64), compiled
    references              keys of kinetic_cli/bibliography.py that `kinetic cite` prints for a case that names the scheme
    ratio                   of the resolutions that `coarser` and `finer` step by
    small                   settings ("reference.cells=32") with which any case of it runs in seconds, for tests
    """

    equations: ClassVar[tuple[str, ...]]
    order: ClassVar[tuple[int, int]]
    asymptotic_preserving: ClassVar[bool]
    conserves: ClassVar[tuple[str, ...]]
    positive: ClassVar[bool]
    rate: ClassVar[float] = float("nan")
    references: ClassVar[tuple[str, ...]] = ()
    ratio: ClassVar[int] = COARSER
    small: ClassVar[tuple[str, ...]] = ("reference.cells=32",)
    Options: ClassVar[type[SchemeOptions]]

    @abstractmethod
    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        """Coordinates of the fields, in axis order: `x` (`y`) cell centres, `v` (`v1`, `v2`) nodes (dimensionless)."""

    @abstractmethod
    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        """Snapshots from t = 0 (or from `resume`, the state of an earlier snapshot) to the end.

        Fields are filled at every time of `case.domain.output_times`; in between snapshots only report progress.
        `scalars` of a filled snapshot holds the relative drift of every conserved integral as `drift_<name>`.
        Raises NumericalError when a field is no longer finite, BadInput when the options do not fit the case.
        """

    @abstractmethod
    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        """Predicted cost of one march: `unknowns`, `steps`, `bytes` (nothing is run)."""

    def coarser(self, options: Any) -> Any | None:
        """Options of a run with `ratio` times fewer cells (and steps), whose cell centres are `x[1::3]` of this one's.

        None if the cells cannot be divided; an option that sets the number of steps is divided by an override.  A scheme that
        gives its results on a grid apart from its mesh divides the mesh alone, by whatever its `ratio` is.
        """
        if options.cells % COARSER or options.cells // COARSER < 8:
            return None
        return options.model_copy(update={"cells": options.cells // COARSER})

    def finer(self, options: Any) -> Any | None:
        """Options with `ratio` times more of everything that `coarser` divides; None if it divides nothing."""
        coarse = self.coarser(options)
        if coarse is None:
            return None
        divided = [name for name, value in options if value != getattr(coarse, name)]
        return options.model_copy(update={name: self.ratio * getattr(options, name) for name in divided})

    def expected_order(self, case: "Case", eps: float) -> float:
        """The order that an error estimate may count on: the lower one of `order`, or less where the solution is not smooth."""
        return float(min(self.order))

    def resolution(self, options: Any) -> int:
        """Cells per direction of the mesh, for the convergence table."""
        return int(options.cells)

    def fewer_velocities(self, case: "Case", options: Any) -> "tuple[Case, Any] | None":
        """Case and options with about 2/3 of the velocities; None if there are no fewer."""
        velocity = case.velocity.coarser()
        return None if velocity is None else (case.model_copy(update={"velocity": velocity}), options)


class Limit(ABC):
    """A solver of a limit equation (eps -> 0) on the coordinates of a reference.

    equations   kinds whose limit it is
    order       the distance of smooth kinetic solutions to it is O(eps^order) : one, or two of a correction, which is made
                with the Knudsen number, `Limit(eps)`
    """

    equations: ClassVar[tuple[str, ...]]
    order: ClassVar[int] = 1

    @abstractmethod
    def solve(self, case: "Case", coordinates: Mapping[str, Array], times: Array) -> dict[str, Array]:
        """Fields of the limit solution, each of shape (t, x) (or (t, x, y)); exact where an exact solution exists."""
