"""Formulas of case files inside numba kernels: the primitives that `Expression.bind` asks for, on scalars.

`kernel(expression)` is a compiled function of `expression.names`, positional in that order, floats to float; a kernel takes
it as an argument or closes over it, so a formula costs no array and no Python per step.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from .compile import njit
from .problem.expression import Expression

_SAME = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt", "sign")


def _primitives() -> dict[str, Callable[..., float]]:
    written = {
        "arctan": lambda a: math.atan(a),
        "erf": lambda a: math.erf(a),
        "abs": lambda a: math.fabs(a),
        "min": lambda a, b: a if a < b else b,
        "max": lambda a, b: a if a > b else b,
        "where": lambda condition, a, b: a if condition else b,
        "logical_and": lambda a, b: a and b,
        "logical_or": lambda a, b: a or b,
        "logical_not": lambda a: not a,
    }
    numpy_functions: dict[str, Callable[..., float]] = {name: getattr(np, name) for name in _SAME}
    return numpy_functions | {name: njit(function) for name, function in written.items()}


@cache
def kernel(expression: Expression) -> Callable[..., float]:
    """The compiled scalar function of a formula; arguments are `expression.names`."""
    return njit(expression.bind(_primitives()))
