"""Gauss rules on [0, 1], and for the average over the directions of a slab; the weights include the measure."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvers.problem.status import BadInput

Array = NDArray[np.float64]


def unit_range(nodes: int, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
    """Gauss points on [0, 1] and weights of sum one."""
    z, w = np.polynomial.legendre.leggauss(nodes)
    return torch.as_tensor(0.5 * (z + 1.0), device=device), torch.as_tensor(0.5 * w, device=device)


def full_range(nodes: int) -> tuple[Array, Array]:
    """Gauss points on [-1, 1] and weights of sum one."""
    z, w = np.polynomial.legendre.leggauss(nodes)
    return z, 0.5 * w


def half_range(nodes: int) -> tuple[Array, Array]:
    """Gauss points on [-1, 0] and on [0, 1], weights of sum one: f may jump at v = 0."""
    if nodes % 2:
        raise BadInput(f"train.velocities = {nodes}: in-flow ends need an even number, half of it on each side of 0")
    z, w = np.polynomial.legendre.leggauss(nodes // 2)
    half = 0.5 * (z + 1.0)
    return np.concatenate([-half[::-1], half]), 0.25 * np.concatenate([w[::-1], w])
