r"""hrgrad: from the gradients of m losses to one update direction.

    J = (g_1, ..., g_m)^T,  g_i = grad L_i,    J -> update in R^P    (a descent direction before the minus sign)

It knows no physics and needs torch and numpy alone. Ways in:

    hrgrad.aggregate("hrgrad", J)                      one call, the update of shape (P,)
    aggregator = hrgrad.HRGrad(); aggregator.backward(losses, parameters); optimizer.step()
    losses, J = hrgrad.jacobian(function, parameters, m)                         m gradients in one backward pass
    hrgrad.load_method("hrgrad").direction(problem, losses, state, options)      functional, explicit state

In a loop of one's own, in place of sum(losses).backward():

    >>> import torch, hrgrad
    >>> model, x = torch.nn.Linear(2, 1), torch.rand(64, 2)
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    >>> aggregator = hrgrad.HRGrad()
    >>> for step in range(20):
    ...     y = model(x).squeeze()
    ...     losses = [(y - x[:, 0]).square().mean(), (y + x[:, 1]).square().mean()]
    ...     aggregator.backward(losses, model.parameters())
    ...     optimizer.step()
    >>> aggregator.direction.status
    'ok'

Nothing heavier than the standard library is imported until a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .registry import Registry, nearest

_methods = Registry("hrgrad.methods", "Method", "method")

_HOME = {
    "aggregate": "aggregator",
    "Aggregator": "aggregator",
    "Problem": "problem",
    "Direction": "method",
    "AbstractMethod": "method",
    "Options": "method",
    "gramian": "gram",
    "load_optimizer": "optimizer",
    "optimizer_names": "optimizer",
    "combine": "gram",
    "pointwise_jacobian": "jacobians",
    "alignment_score": "alignment",
    "alignment_scores": "alignment",
    "cosine_matrix": "alignment",
    "diagnostics": "alignment",
    "inter_step_score": "alignment",
    "magnitude_similarity": "alignment",
    "multi_task_curvature": "alignment",
    "stationarity": "alignment",
    "jacobian": "jacobians",  # a file of the same name would take the name of the function
}


def method_names() -> list[str]:
    """The names of all methods: the files of `hrgrad/methods`."""
    return _methods.names()


def load_method(name: str) -> Any:
    """The `Method` class of one name; an unknown name fails with the nearest one."""
    return _methods.load(name)


def _titles() -> dict[str, str]:
    return {load_method(method).title: method for method in _methods.names()}


def __dir__() -> list[str]:
    return sorted([*_HOME, *_titles(), "load_method", "method_names"])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if not name.startswith("_"):
        titles = _titles()
        if name in titles:
            return import_module(".aggregator", __name__).make_aggregator(titles[name])
        raise AttributeError(f"hrgrad has no {name!r}.{nearest(name, sorted([*_HOME, *titles]))}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
