"""How a run stands: the snapshots an engine yields, the states a result can be in, the errors with their exit codes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


class Status(StrEnum):
    """State of a result file."""

    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"
    TIME_LIMIT = "time limit"
    FAILED = "failed"
    DIVERGED = "diverged"


class KineticError(Exception):
    """An error with a message for people; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1


class BadInput(KineticError):
    """The user's input is wrong: what, where, and what would be right."""

    exit_code = 2


class NumericalError(KineticError):
    """A run turned to NaN or infinity; the message names field (or loss), place and time (or step)."""

    exit_code = 3


class ToleranceExceeded(KineticError):
    """A verification exceeded its tolerance."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an engine yields, often enough to feed a progress bar.

    progress  share of the work of this march that is done, in [0, 1]
    step      steps (time steps, iterations) taken so far
    eps, t    Knudsen number and time of `fields` (dimensionless; NaN where they have no meaning)
    fields    arrays over the coordinates of the engine; empty except at an output time
    scalars   named numbers: conservation drift for a scheme; losses, weights and cosines for a training
    state     what `resume` needs (arrays, numbers, strings, nested dicts), or None
    arrays    small named arrays that belong into a history: cosines between tasks, rotation angles
    """

    progress: float
    step: int
    eps: float = float("nan")
    t: float = float("nan")
    fields: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, Any] | None = None
    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
