"""A case is a question: equation, domain, velocities, data, Knudsen numbers, and what the engines shall do with it."""

import hashlib
import json
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

from .equation import EquationTable, Table
from .velocity_set import Interval, VelocityTable

#: version of the case language that this program reads
SCHEMA = 1

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Knudsens = Annotated[tuple[Positive, ...], Strict(False)]
Times = Annotated[tuple[Positive, ...], Strict(False)]
Names = Annotated[tuple[str, ...], Strict(False)]


def _distinct(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(values)) != len(values):
        raise ValueError("holds a number twice")
    return values


class Domain(Table):
    """`[domain]`: x (and y) intervals, end time and the times at which results are kept (dimensionless)."""

    x: Interval
    y: Interval | None = None
    t_end: Positive
    output_times: Annotated[Times, AfterValidator(_distinct)] = ()

    @model_validator(mode="after")
    def _times_inside(self) -> "Domain":
        if list(self.output_times) != sorted(self.output_times):
            raise ValueError("output_times must increase")
        if self.output_times and self.output_times[-1] > self.t_end * (1 + 1e-12):
            raise ValueError(f"output_times end at {self.output_times[-1]:g}, after t_end = {self.t_end:g}")
        if not self.output_times:
            object.__setattr__(self, "output_times", (self.t_end,))
        return self


class Knudsen(Table):
    """`[knudsen]`: numbers to evaluate, the interval [low, high] to train on, and unseen numbers to report apart."""

    evaluate: Annotated[Knudsens, Field(min_length=1), AfterValidator(_distinct)]
    train: Annotated[tuple[Positive, Positive], Strict(False)] = (1e-4, 1.0)
    unseen: Annotated[Knudsens, AfterValidator(_distinct)] = ()

    @model_validator(mode="after")
    def _interval(self) -> "Knudsen":
        if not self.train[0] < self.train[1]:
            raise ValueError("train is [low, high] with low < high")
        if both := set(self.evaluate) & set(self.unseen):
            raise ValueError(f"{min(both):g} is both in evaluate and in unseen")
        return self

    @property
    def all(self) -> tuple[float, ...]:
        """Every Knudsen number a reference is made for, in decreasing order."""
        return tuple(sorted((*self.evaluate, *self.unseen), reverse=True))


class Verify(BaseModel):
    """`[verify]`: field -> largest relative L2 distance that `kinetic verify CASE` accepts, and `[verify.against]`.

    against   a `[reference]` table of an independent scheme that the reference is held against
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, Positive]

    against: dict[str, Any] = Field(default_factory=dict)

    @property
    def tolerances(self) -> dict[str, float]:
        """Field -> tolerance."""
        return dict(self.__pydantic_extra__)


class Case(Table):
    """A validated case.  `reference` and `train` are tables of the engines, which own and validate them.

    name       the file's name without ending, with the variant if one was chosen
    equation, initial, boundary, velocity   models of the equation's and the velocity set's own files
    verify     what `kinetic verify CASE` accepts, and against which scheme
    """

    name: str
    schema_version: Annotated[int, Field(alias="schema")] = SCHEMA
    title: Annotated[str, Field(min_length=1)]
    references: Names = ()
    equation: EquationTable
    domain: Domain
    velocity: VelocityTable
    knudsen: Knudsen
    constants: dict[str, float] = Field(default_factory=dict)
    initial: Any
    boundary: Any
    reference: dict[str, Any] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    verify: Verify = Verify()

    def sample_x(self, points: int = 1001) -> NDArray[np.float64]:
        """Equidistant points on the x interval, for checks (dimensionless)."""
        return np.linspace(*self.domain.x, points)

    def resolved(self) -> dict[str, Any]:
        """The case as plain data, every default filled in; `case_from_data` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def sha256(self) -> str:
        """Hash of the whole resolved case."""
        return _hash(self.resolved())

    @property
    def problem_sha256(self) -> str:
        """Hash of the mathematical problem alone: results of equal hash can be compared, whatever engine made them."""
        whole = self.resolved()
        problem = {key: whole[key] for key in ("equation", "initial", "boundary", "constants")}
        return _hash({**problem, "x": self.domain.x, "y": self.domain.y})


def _hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
