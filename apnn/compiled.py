"""Functions through `torch.compile`, where a compiler works."""

import warnings
from collections.abc import Callable
from typing import Any

import torch


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of fixed shapes, compiled at its first call; itself, and one warning, where that fails."""
    chosen = [torch.compile(function, dynamic=False)]

    def call(*given: Any) -> Any:
        if chosen[0] is function:
            return function(*given)
        try:
            return chosen[0](*given)
        except Exception as error:
            found = function(*given)  # an error of its own is raised here
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            warnings.warn(f"train.compile: no compiler works here ({reason}); going on without", stacklevel=2)
            chosen[0] = function
            return found

    return call
