"""What every equation promises (one file per equation in `equations/`)."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    from .case import Case


class Table(BaseModel):
    """A table of a case file: frozen, no unknown keys, strict types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SideTable(Table):
    """One end of the domain, `left = "free"` or `left = { kind = "inflow", f = "1" }`."""

    kind: Any

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class EquationTable(Table):
    """The `[equation]` table, and what the equation declares.

    fields      name -> (unit, long name) of what a result of it holds
    invariants  names of the moments that the collision operator conserves
    positive    fields that must stay positive
    limit       name of a limit solver (solvers/limits), the equation as eps -> 0
    correction  name of the limit solver of second order in eps, if there is one
    velocity    kinds of velocity sets that fit
    Initial, Boundary   models of the `[initial]` and `[boundary]` tables
    """

    kind: Any
    dimension: ClassVar[int] = 1
    fields: ClassVar[dict[str, tuple[str, str]]]
    invariants: ClassVar[tuple[str, ...]]
    positive: ClassVar[tuple[str, ...]]
    limit: ClassVar[str]
    correction: ClassVar[str] = ""
    velocity: ClassVar[tuple[str, ...]]
    latex: ClassVar[str]
    references: ClassVar[tuple[str, ...]]
    Initial: ClassVar[type[Table]]
    Boundary: ClassVar[type[Table]]

    @abstractmethod
    def problems(self, case: "Case") -> Iterator[tuple[tuple[str, ...], str]]:
        """What is physically wrong with the case: (key path, message) each; nothing if all is well."""


def side_problems(boundary: Table, needs: dict[str, tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys that a side misses or that mean nothing for its kind; one periodic end alone."""
    sides = {name: getattr(boundary, name) for name in type(boundary).model_fields}
    for name, side in sides.items():
        needed = needs.get(side.kind, ())
        for key in type(side).model_fields:
            if key != "kind" and (getattr(side, key) is None) == (key in needed):
                verb = f"misses '{key}'" if key in needed else f"has no use for '{key}'"
                yield ("boundary", name), f"a side of kind '{side.kind}' {verb}"
    for first, second in (("left", "right"), ("bottom", "top")):
        if first in sides and (sides[first].kind == "periodic") != (sides[second].kind == "periodic"):
            yield ("boundary",), f"'{first}' and '{second}' are both periodic or neither is"
