"""Numbers of one precision: what was made in float64, cast once.

Constants, features and known solutions are made in float64, where they cancel; a training in float32 casts what its residuals
read, the prepared points and the constants of the formulation, and nothing else.
"""

import copy
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor


def cast(thing: Any, dtype: torch.dtype) -> Any:
    """A copy in which every floating tensor, at any depth of attributes, dicts, lists and tuples, has one dtype."""
    if isinstance(thing, Tensor):
        return thing.to(dtype) if thing.is_floating_point() else thing
    if isinstance(thing, dict):
        return {key: cast(value, dtype) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return type(thing)(cast(value, dtype) for value in thing)
    if not hasattr(thing, "__dict__") or isinstance(thing, type | FunctionType | MethodType):
        return thing
    found = copy.copy(thing)
    found.__dict__.update({name: cast(value, dtype) for name, value in vars(thing).items()})
    return found
