"""Gauss rules on [0, 1], for the average over the directions of a slab, and for gas at an in-flow; weights include the measure."""

import numpy as np
import scipy.linalg
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
    even(nodes)
    z, w = np.polynomial.legendre.leggauss(nodes // 2)
    half = 0.5 * (z + 1.0)
    return np.concatenate([-half[::-1], half]), 0.25 * np.concatenate([w[::-1], w])


def half_range_maxwell(nodes: int, T: float) -> tuple[Array, Array]:
    """Gauss points on v < 0 and on v > 0 for the weight exp(-v^2/2T), and the weights of dv.

    Right for Maxwellians cut at v = 0, which equidistant nodes are not; three-term recurrence by Stieltjes' sums over a fine rule
    (Gautschi (2004), Orthogonal Polynomials, section 2.2), nodes and weights by Golub and Welsch.
    """
    even(nodes)
    fine, step = np.polynomial.legendre.leggauss(200)
    z = 6.0 * (fine + 1.0)
    weight = 6.0 * step * np.exp(-0.5 * z**2)
    before, now = np.zeros_like(z), np.full_like(z, weight.sum() ** -0.5)
    diagonal, beside = [], [0.0]
    for _ in range(nodes // 2):
        diagonal.append(np.sum(weight * z * now**2))
        following = (z - diagonal[-1]) * now - beside[-1] * before
        beside.append(np.sqrt(np.sum(weight * following**2)))
        before, now = now, following / beside[-1]
    z, vectors = scipy.linalg.eigh_tridiagonal(diagonal, beside[1:-1])
    v = T**0.5 * z
    w = T**0.5 * weight.sum() * vectors[0] ** 2 * np.exp(0.5 * z**2)
    return np.concatenate([-v[::-1], v]), np.concatenate([w[::-1], w])


def even(nodes: int) -> None:
    if nodes % 2:
        raise BadInput(f"train.velocities = {nodes}: in-flow ends need an even number, half of it on each side of 0")
