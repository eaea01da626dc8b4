"""What every verification promises: an exact statement about a solution, and how far the solvers are from it.

A verification is one file in `solvers/verification/` with a final class `Check`; `kinetic verify` runs them all and draws
what they compare, and a test holds each to its tolerances.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from .scheme import Array


@dataclass(frozen=True)
class Outcome:
    """One comparison with an exact statement (dimensionless).

    quantity         what is compared, and where: "damping rate, eps = 1e-2"
    error            distance to the exact statement; relative unless the quantity says otherwise
    tolerance        the largest error accepted
    axis, x          name and values of the abscissa of the two curves, if there are curves
    computed, exact  the curves, shape of x
    """

    quantity: str
    error: float
    tolerance: float
    axis: str = "x"
    x: Array | None = None
    computed: Array | None = None
    exact: Array | None = None

    @property
    def passed(self) -> bool:
        """True if the error is a number not above the tolerance."""
        return self.error <= self.tolerance


class Check(ABC):
    """A verification of one or more schemes or limit solvers against exact mathematics.

    verifies   names of the schemes and limit solvers it runs
    seconds    rough cost on one core with compiled kernels
    """

    verifies: ClassVar[tuple[str, ...]]
    seconds: ClassVar[float]

    @abstractmethod
    def run(self) -> Iterator[Outcome]:
        """Outcomes one after the other; numerical failures raise NumericalError."""
