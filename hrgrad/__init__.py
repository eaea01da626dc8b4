r"""hrgrad: from the gradients of m losses to one update direction.

    J = (g_1, ..., g_m)^T,  g_i = grad L_i,    J -> update in R^P    (a descent direction before the minus sign)

It knows no physics and needs torch and numpy alone. Three ways in:

    hrgrad.aggregate("hrgrad", J)                      one call, the update of shape (P,)
    aggregator = hrgrad.HRGrad(); aggregator.backward(losses, parameters); optimizer.step()
    hrgrad.load_method("hrgrad").direction(problem, losses, state, options)      functional, explicit state

Nothing heavier than the standard library is imported until a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .registry import Registry, nearest

methods = Registry("hrgrad.methods", "Method", "method")

_HOME = {
    "aggregate": "aggregator",
    "Aggregator": "aggregator",
    "make_aggregator": "aggregator",
    "jacobian": "jacobian",
    "jacobian_expanded": "jacobian",
    "Problem": "problem",
    "Direction": "method",
    "AbstractMethod": "method",
    "Options": "method",
    "gramian": "gram",
    "combine": "gram",
    "claims_table": "claims",
}


def method_names() -> list[str]:
    """The names of all methods: the files of `hrgrad/methods`."""
    return methods.names()


def load_method(name: str) -> Any:
    """The `Method` class of one name; an unknown name fails with the nearest one."""
    return methods.load(name)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if not name.startswith("_"):
        if name.lower() in methods.names() and name != name.lower():
            aggregator = import_module(".aggregator", __name__)
            made = aggregator.make_aggregator(name.lower())
            if made.__name__ == name:
                globals()[name] = made
                return made
        raise AttributeError(f"hrgrad has no {name!r}.{nearest(name, sorted([*_HOME, *method_names()]))}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
