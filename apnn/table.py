"""Values on an even grid and smooth between.

Reference: Keys (1981), IEEE Trans. Acoust. 29, 1153, DOI 10.1109/TASSP.1981.1163711.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


class Table:
    """Values (a, b, ..., field) at multiples of `steps`: piecewise cubics with central slopes along axes, C^1; the edge beyond."""

    def __init__(self, values: Array, steps: tuple[float, ...], device: str) -> None:
        self.steps, self.ends = steps, [n - 1 for n in values.shape[:-1]]
        around = np.pad(values, [(1, 1)] * len(steps) + [(0, 0)], mode="reflect", reflect_type="odd")
        self.strides = [math.prod(around.shape[k + 1 : -1]) for k in range(len(steps))]
        self.values = torch.as_tensor(around, device=device).flatten(0, len(steps) - 1)
        self.offsets = torch.arange(4, device=device)

    def __call__(self, *places: Tensor) -> Tensor:
        """(..., field) at places (...)."""
        index = torch.zeros_like(places[0], dtype=torch.long).unsqueeze(-1)
        weight = torch.ones_like(places[0]).unsqueeze(-1)
        for place, step, end, stride in zip(places, self.steps, self.ends, self.strides, strict=True):
            z = (place / step).clamp(0.0, float(end))
            first = z.detach().long().clamp_max(end - 1)
            s = z - first
            r = 1.0 - s
            inner = 1.0 + s**2 * (1.5 * s - 2.5), 1.0 + r**2 * (1.5 * r - 2.5)
            keys = torch.stack([-0.5 * s * r**2, *inner, -0.5 * r * s**2], dim=-1)
            index = (index.unsqueeze(-1) + stride * (first.unsqueeze(-1) + self.offsets).unsqueeze(-2)).flatten(-2)
            weight = (weight.unsqueeze(-1) * keys.unsqueeze(-2)).flatten(-2)
        return (weight.unsqueeze(-2) @ self.values[index]).squeeze(-2)
