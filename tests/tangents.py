"""Derivatives one direction at a time: what `apnn.features.with_tangents` finds in one product is held against them."""

from collections.abc import Callable

import torch
from torch import Tensor


def tangents(function: Callable[..., Tensor], *places: Tensor) -> list[Tensor]:
    """Value of a function of (t, x[, y]) at points (..., B) and its derivative in each of them."""
    one = torch.ones_like(places[0])
    zero = torch.zeros_like(one)
    found = []
    for k in range(len(places)):
        value, slope = torch.func.jvp(function, places, tuple(one if i == k else zero for i in range(len(places))))
        found += [slope] if found else [value, slope]
    return found
