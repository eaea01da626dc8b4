"""Formulas of case files over torch: the primitives that `Expression.bind` asks for."""

import torch
from torch import Tensor

from solvers.problem.expression import Expression

_SAME = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "exp", "log", "sqrt", "abs", "sign", "erf", "where")


def _choose(larger: bool):  # type: ignore[no-untyped-def]
    def extreme(a, b):  # type: ignore[no-untyped-def]
        return torch.where((a > b) if larger else (a < b), a, b)

    return extreme


PRIMITIVES = {
    **{name: getattr(torch, name) for name in _SAME},
    "max": _choose(True),
    "min": _choose(False),
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_not": torch.logical_not,
}


def evaluate(expression: Expression, **variables: Tensor) -> Tensor:
    """Value of a formula, broadcast to the common shape of the variables."""
    shape = torch.broadcast_tensors(*variables.values())[
        0
    ].shape  # torch.broadcast_shapes loads all of torch's compiler
    like = next(iter(variables.values()))
    value = expression.bind(PRIMITIVES)(*(variables[name] for name in expression.names))
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand(shape)
