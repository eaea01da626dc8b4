r"""What a method is: a map from m gradients (or their Gramian, or the m losses alone) to one update.

    direction(problem, losses, state, options, generator) -> (Direction, state)

A method declares what it `needs`:

    "losses"     weights from the m loss values alone: one backward pass of sum_k w_k L_k, no Jacobian;
    "gramian"    weights w in R^m from Q = J J^T: the caller does one w @ J, no copy of J is formed;
    "jacobian"   the m x P matrix itself (element-wise rules, momenta): a vector in R^P.

It also declares its `properties`, claims that the contract tests hold it to on families of matrices (`CLAIMS` below).
State is an explicit dictionary of tensors, floats, ints and strings. A method may reuse the storage of the state that it is
given: keep the state that comes back, and deep-copy one that must survive.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from .arrays import TINY, Array
from .registry import nearest

if TYPE_CHECKING:
    from .problem import Problem

#: two gradients conflict where their cosine is below this
CONFLICT = -1e-12

State = dict[str, Any]
Needs = Literal["losses", "gramian", "jacobian"]
Measures = dict[str, Any]
Measure = Callable[[], Measures]

NEEDS: Mapping[Needs, str] = {
    "losses": "the m loss values alone; one backward pass, no Jacobian",
    "gramian": "the Gramian of the m gradients, and one weighted sum of them",
    "jacobian": "the m gradients themselves",
}

CLAIMS: Mapping[str, str] = {
    "non_conflicting": "g_i . u >= 0 for every gradient",
    "scale_equivariant": "u(c J) = c u(J) for every c > 0",
    "scale_invariant": "the direction of u does not change when single gradients are rescaled",
    "permutation_equivariant": "the order of the losses does not matter",
    "norm_preserving": "u is as long as the gradients' projections on it together: |u|^2 = (sum_i g_i) . u",
    "equal_cosine": "u has the same cosine with every gradient (full row rank)",
    "reduces_to_config": "equal to ConFIG when no pair of gradients conflicts",
    "linear_under_scaling": "rescaling single gradients g_i -> c_i g_i changes u linearly in c",
    "pareto_convergent": "small plain steps reach the Pareto set of two quadratics",
    "deterministic": "no random numbers are drawn",
}


@dataclass(frozen=True)
class Direction:
    """Either `weights` (m,) on the rows of J, or a `vector` (P,); `status` is "ok", "stationary" or names a fallback.

    `measure` says what the method knows of its step beyond that; it is asked once, when `diagnostics` is read.
    """

    weights: torch.Tensor | None = None
    vector: torch.Tensor | None = None
    status: str = "ok"
    measure: Measure | None = None

    @cached_property
    def diagnostics(self) -> Measures:
        """Numbers and small arrays by name; a method gives the same names and shapes at every step, nan where undefined."""
        return {} if self.measure is None else self.measure()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: what the method would say, in place of the function that says it."""
        return {**self.__dict__, "diagnostics": self.diagnostics, "measure": None}

    def update(self, problem: Problem) -> torch.Tensor:
        """The update of shape (P,), one weighted sum of the rows where the method gave weights."""
        if self.vector is not None:
            return self.vector
        if self.weights is None:
            raise ValueError("a Direction carries weights or a vector; this one has neither")
        return problem.combine(self.weights)


def weighted(weights: Array, status: str = "ok", measure: Measure | None = None) -> Direction:
    """A Direction from a numpy vector of weights."""
    return Direction(torch.from_numpy(np.ascontiguousarray(weights)), None, status, measure)


def option(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
) -> Any:
    """One documented option: its default, its meaning with the source, and what is allowed."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class Options:
    """Options of a method: frozen, documented, checked; `read` turns a table of words into one."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value, rule = getattr(self, item.name), item.metadata
            choices, low, high = rule.get("choices"), rule.get("low"), rule.get("high")
            if choices is not None and value not in choices:
                near = nearest(str(value), [str(choice) for choice in choices])
                raise ValueError(f"option {item.name!r} cannot be {value!r}.{near}")
            if isinstance(item.default, bool) and not isinstance(value, bool):
                raise TypeError(f"option {item.name!r} must be true or false, found {value!r}")
            if isinstance(item.default, (int, float)) and not isinstance(item.default, bool):
                if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
                    raise TypeError(f"option {item.name!r} must be a number, found {value!r}")
                if isinstance(item.default, int) and not isinstance(value, int):
                    raise TypeError(f"option {item.name!r} must be a whole number, found {value!r}")
                if (low is not None and value < low) or (high is not None and value > high):
                    span = f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]"
                    raise ValueError(f"option {item.name!r} = {value!r} lies outside {span}")

    @classmethod
    def read(cls, **given: Any) -> Any:
        known = [item.name for item in fields(cls)]
        for name in given:
            if name not in known:
                near = nearest(name, known) if known else " This method has no options."
                raise ValueError(f"unknown option {name!r}.{near}")
        return cls(**given)


class AbstractMethod(ABC):
    """The base of every `Method`; all of it lives on the class, no instance is ever made."""

    title: ClassVar[str]
    needs: ClassVar[Needs]
    properties: ClassVar[frozenset[str]]
    observes: ClassVar[bool] = False
    Options: ClassVar[type[Options]] = Options

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        """The state before the first step; stateless methods have none."""
        return {}

    @classmethod
    def is_step(cls, options: Any) -> bool:
        """True if the update is Adam's step already: follow it with plain descent, or the momenta act twice."""
        return False

    @classmethod
    @abstractmethod
    def direction(
        cls, problem: Problem, losses: torch.Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        """One step. `losses` is a detached tensor (m,) or None where `needs` is not "losses"."""

    @classmethod
    def observe(cls, losses_before: torch.Tensor, losses_after: torch.Tensor, state: State, options: Any) -> State:
        """Called after the step, where `observes`, with the losses of the SAME batch before and after it."""
        return state


def loss_values(losses: torch.Tensor | None, method: str) -> Array:
    """The losses as float64 numbers on the host; non-finite ones are named."""
    if losses is None:
        raise ValueError(f"method {method!r} needs the values of the losses: pass losses=(m,)")
    values: Array = losses.detach().to("cpu", torch.float64).numpy()
    if not all(map(isfinite, values.tolist())):
        raise ValueError(f"loss {int(np.flatnonzero(~np.isfinite(values))[0])} is not finite: {values.tolist()}")
    return values


def positive_losses(losses: torch.Tensor | None, method: str, floor: float = 0.0) -> Array:
    """Loss values for a rule that takes logarithms or divides: none may be negative, all are held above `floor`."""
    values = loss_values(losses, method)
    if (values < 0.0).any():
        bad = int(np.flatnonzero(values < 0.0)[0])
        raise ValueError(f"method {method!r} needs losses >= 0; loss {bad} is {values[bad]:.6g}")
    held: Array = np.maximum(values, max(floor, TINY))
    return held
