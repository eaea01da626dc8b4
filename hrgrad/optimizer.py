r"""What every optimizer promises, and where the optimizers are found.

The parameters are ONE flat vector ``theta`` of P numbers. An optimizer is a rule

    theta_{k+1}, state_{k+1} = step(theta_k, drive, state_k, options)

without hidden memory: all it remembers is ``state``, a flat dictionary of tensors, floats, ints and strings
that any container stores without pickle; restored, it continues with equal numbers. ``needs`` says what drives it:

==============  =====================================================================  ==========================
``needs``       ``drive``                                                              ``step`` returns
==============  =====================================================================  ==========================
``direction``   a gradient-like vector (P,), to be descended: the gradient of a sum    ``theta, state``
                of losses or the update of a multi-task method
``closure``     ``closure(theta) -> (loss, gradient)``, run with gradients enabled     ``theta, state, info``
``residuals``   ``closure(theta) -> r`` of shape (n,), the loss being  |r|^2 / 2,      ``theta, state, info``
                or a ``Residuals`` with its own Jacobian products
==============  =====================================================================  ==========================

``info`` holds ``loss``, ``gradient_norm``, ``step_length``, ``evaluations`` (calls of the closure in this step) and
``status`` (``"ok"``, ``"restarted"``, or ``"stalled"``: no descent was found even along the gradient).

    optimizer = load_optimizer("ssbroyden")()
    options = optimizer.make_options(memory=16)
    state = optimizer.start(theta, shapes, options)
    for _ in range(1000):
        theta, state, info = optimizer.step(theta, closure, state, options)
    state = optimizer.renew(state)      # the closure has changed (a new batch): keep the curvature, forget the loss

``step`` leaves ``theta`` as it was, but may overwrite the tensors of the state it was given (a second-order matrix is
not copied for politeness): use the state it returns, and ``copy_state`` to keep one. ``shapes`` lists the blocks of
``theta`` as ``(offset, shape)``, for rules that look at matrices; what it does not list is treated as vectors.
``demand`` answers a training that lacks what an optimizer needs.

A file ``hrgrad/optimizers/<name>.py`` with a class ``Optimizer`` is an optimizer called ``<name>``; there is no list.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from torch import Tensor

from .registry import Registry, nearest

State = dict[str, Any]
Shapes = Sequence[tuple[int, Sequence[int]]]
Closure = Callable[[Tensor], tuple[Tensor, Tensor]]


def option(
    default: Any, doc: str, *, low: float = -math.inf, high: float = math.inf, choices: Sequence[str] = ()
) -> Any:
    """An option with its meaning and the source of its default; the bounds are inclusive."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "choices": tuple(choices)})


@dataclass(frozen=True, kw_only=True)
class BaseOptions:
    """Options are checked when they are made: kind of value, bounds, choices."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, default = getattr(self, entry.name), entry.default
            where = f"option '{entry.name}'"
            if entry.metadata.get("choices"):
                if value not in entry.metadata["choices"]:
                    raise ValueError(f"{where} is {value!r}.{nearest(str(value), list(entry.metadata['choices']))}")
                continue
            kind = type(default)
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, entry.name, value := float(value))
            if type(value) is not kind:
                raise TypeError(f"{where} must be of type {kind.__name__}, got {value!r}")
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            low, high = entry.metadata.get("low", -math.inf), entry.metadata.get("high", math.inf)
            if not low <= value <= high:
                raise ValueError(f"{where} must lie in [{low:g}, {high:g}], got {value!r}")


@dataclass(frozen=True)
class Residuals:
    """Residual vector r(theta) of shape (n,), loss |r|^2 / 2, and what is known of its Jacobian J = dr/dtheta (n, P).

    What is missing comes from autograd: right, but slower than `hrgrad.jacobians.pointwise_jacobian`, where it applies.
    """

    residual: Callable[[Tensor], Tensor]
    jacobian: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None  # theta -> (r, J)
    jvp: Callable[[Tensor, Tensor], Tensor] | None = None  # theta, v -> J v
    vjp: Callable[[Tensor, Tensor], Tensor] | None = None  # theta, w -> J^T w

    def __call__(self, theta: Tensor) -> Tensor:
        return self.residual(theta)


class Optimizer(ABC):
    """One update rule. Concrete rules are final and are called ``Optimizer`` in the file that names them."""

    name: ClassVar[str]
    needs: ClassVar[Literal["direction", "closure", "residuals"]]
    Options: ClassVar[type[BaseOptions]]

    @classmethod
    def make_options(cls, **given: Any) -> Any:
        """The options of this rule; an unknown one is answered with the nearest name."""
        known = [entry.name for entry in fields(cls.Options)]
        for key in given:
            if key not in known:
                raise ValueError(f"optimizer '{cls.name}' has no option '{key}'.{nearest(key, known)}")
        try:
            return cls.Options(**given)
        except (TypeError, ValueError) as error:
            raise type(error)(f"optimizer '{cls.name}': {error}") from None

    @abstractmethod
    def start(self, theta: Tensor, shapes: Shapes, options: Any) -> State:
        """The state before the first step."""

    @abstractmethod
    def step(self, theta: Tensor, drive: Any, state: State, options: Any, lr: float | Tensor | None = None) -> Any:
        """One step; ``lr`` replaces the option of that name for this step (rules with a line search have none)."""

    def renew(self, state: State) -> State:
        """The state after the closure itself has changed: values of the old one are forgotten, curvature is kept."""
        return state

    def check(self, theta: Tensor, state: Mapping[str, Any]) -> None:
        """Refuse a state that another rule or another number of parameters has made."""
        owner = state.get("optimizer")
        if owner != self.name:
            raise ValueError(f"this state belongs to the optimizer '{owner}', not to '{self.name}'")
        if state["size"] != theta.numel():
            raise ValueError(f"this state is for {state['size']} parameters, theta has {theta.numel()}")

    def new_state(self, theta: Tensor, **entries: Any) -> State:
        """The entries every state has, and the rule's own."""
        if theta.dim() != 1 or not theta.is_floating_point():
            raise ValueError(f"theta must be one real vector (P,), got {theta.dtype} of shape {tuple(theta.shape)}")
        return {"optimizer": self.name, "size": theta.numel(), "count": 0, **entries}


def copy_state(state: Mapping[str, Any]) -> State:
    """A state that later steps do not touch."""
    return {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}


@dataclass(frozen=True)
class Matrix:
    """One block of theta that is a matrix W; a tensor of more dimensions is read as (first, all others)."""

    offset: int
    rows: int
    columns: int

    def view(self, x: Tensor) -> Tensor:
        """The block of a flat vector (P,), sharing its memory."""
        return x[self.offset : self.offset + self.rows * self.columns].view(self.rows, self.columns)


def write_layout(shapes: Shapes, size: int) -> str:
    """The matrices among the blocks of theta as words, "0:3x32 128:32x32", which any state can hold."""
    words, end = [], 0
    for offset, shape in sorted((int(offset), tuple(shape)) for offset, shape in shapes):
        count = math.prod(shape)
        if offset < end or offset + count > size or count < 1:
            raise ValueError(
                f"shapes: block ({offset}, {shape}) overlaps another one or ends beyond the {size} parameters"
            )
        end = offset + count
        if len(shape) > 1 and 1 < shape[0] < count:
            words.append(f"{offset}:{shape[0]}x{count // shape[0]}")
    return " ".join(words)


def read_layout(layout: str) -> list[Matrix]:
    """The matrices that `write_layout` wrote."""
    return [Matrix(*(int(part) for part in word.replace("x", ":").split(":"))) for word in layout.split()]


def demand(name: str, offered: Collection[str], where: str = "this training") -> None:
    """Raise ValueError if an optimizer needs what is not `offered` ("direction", "closure", "residuals")."""
    needed = load_optimizer(name).needs
    if needed not in offered:
        fitting = [other for other in optimizer_names() if load_optimizer(other).needs in offered]
        raise ValueError(
            f"optimizer '{name}' needs {MEANING[needed]}; {where} offers none: choose {', '.join(fitting)}"
        )


MEANING: Mapping[str, str] = {
    "direction": "a direction, the gradient of a sum of losses or a method's update",
    "closure": "a closure that gives the loss and its gradient at any theta",
    "residuals": "a closure that gives the residual vector at any theta",
}

optimizers = Registry("hrgrad.optimizers", "Optimizer", "optimizer")


def optimizer_names() -> list[str]:
    """The names of all optimizers: the files of the folder ``hrgrad/optimizers``."""
    return optimizers.names()


def load_optimizer(name: str) -> type[Optimizer]:
    """The class of one optimizer; an unknown name is answered with the nearest one."""
    loaded: type[Optimizer] = optimizers.load(name)
    return loaded
