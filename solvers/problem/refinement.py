"""Grids that fit the Knudsen number: finer ones where layers are thin, with fewer velocities where f is near an equilibrium.

A shock is some mean free paths wide, eps times a number, and a scheme that does not resolve it is of order 1/2 in L2; at large eps
f keeps what varies in v and is smooth in x.  The fields of the finer grid at the centres of the result's are values of its own.
"""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator

from .scheme import SchemeOptions
from .status import BadInput

if TYPE_CHECKING:
    from .case import Case


class Refinement(BaseModel):
    """An entry of `refine`, for the Knudsen numbers up to `eps`.

    times    cells of the grid per cell of the result; odd, so that the centres of the result are among its own
    thinned  how many times the velocities are made a third fewer, at most: as long as the equation accepts them (`problems`)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    eps: float = Field(gt=0.0)
    times: int = Field(default=1, ge=1)
    thinned: int = Field(default=0, ge=0)

    @field_validator("times")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd: the centres of the result are then centres of the finer grid")
        return value


class RefinedOptions(SchemeOptions):
    """Options of a scheme on a uniform grid of `cells`.

    refine  of the entries whose `eps` is not below the Knudsen number at hand the one of the smallest eps holds
    """

    refine: Annotated[tuple[Refinement, ...], Strict(False)] = ()

    def at(self, case: "Case", eps: float) -> "tuple[Case, Self]":
        """The same with the entry of this Knudsen number."""
        entries = [entry for entry in self.refine if eps <= entry.eps * (1.0 + 1e-9)]
        entry = min(entries, key=lambda entry: entry.eps, default=Refinement(eps=eps))
        for _ in range(0 if self.distribution else entry.thinned):  # f is kept on one set of velocities
            if (velocity := case.velocity.coarser()) is None:
                raise BadInput(f"reference.refine: '{case.velocity.kind}' has no fewer velocities for eps = {eps:g}")
            thinner = case.model_copy(update={"velocity": velocity})
            if any(case.equation.problems(thinner)):
                break
            case = thinner
        return case, self.model_copy(update={"cells": entry.times * self.cells, "refine": ()})
