r"""How far gradients pull together: scores of directions, lengths, stationarity and curvature.

With a_i = g_i / |g_i| for the gradients g_i of m losses:

    alignment score        A = 2 |1/m sum_i a_i|^2 - 1       in [-1, 1]; for m = 2 the cosine; 1: all equal
      intra-step           A(g_1, ..., g_m) of the losses at one step
      inter-step           A(g^{k-1}, g^k) of the whole gradient at two consecutive steps
    cosine matrix          C_ij = a_i . a_j;  i and j conflict where C_ij < 0
    magnitude similarity   Phi_ij = 2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2)   in [0, 1]
    stationarity           tau = min { |sum_i w_i a_i| : w >= 0, sum w = 1 };  0: Pareto stationary. tau is also the best
                           worst cosine that any direction can have with all gradients, max_d min_i a_i . d, if positive
    multi-task curvature   H = int_0^1 g^T [nabla^2 L](theta + s (theta' - theta)) g ds,   g = nabla L(theta), L the sum

`diagnostics` puts what one step is worth keeping into arrays of fixed shapes, for a history.

A gradient of length zero has no direction: it counts in m as no pull at all, and makes the point Pareto stationary.
All take J (m, P) or a `Problem` (which may hold the Gramian alone), and calculate in float64.

References: Wang, Bhartari, Li, Perdikaris (2025), "Gradient alignment in physics-informed neural networks: a second-order
optimization perspective", arXiv:2502.00604, definitions 1 and 2; Yu, Kumar, Gupta, Levine, Hausman, Finn (2020), "Gradient
surgery for multi-task learning", arXiv:2001.06782, definitions 1 to 3; Desideri (2012), "Multiple-gradient descent
algorithm (MGDA)", doi:10.1016/j.crma.2012.03.014 (stationarity).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .arrays import Array
from .method import CONFLICT, Direction
from .problem import Problem
from .quadratic import min_norm


def _problem(gradients: Tensor | Problem) -> Problem:
    return gradients if isinstance(gradients, Problem) else Problem(gradients)


def alignment_score(gradients: Tensor | Problem) -> float:
    """A of the rows of J: the intra-step score where they are the gradients of the losses at one step."""
    C = _problem(gradients).cosines
    return float(np.clip(2.0 * C.sum() / len(C) ** 2 - 1.0, -1.0, 1.0))


def inter_step_score(previous: Tensor, current: Tensor) -> float:
    """A of the whole gradient (P,) at two consecutive steps: their cosine."""
    if previous.ndim != 1 or previous.shape != current.shape:
        raise ValueError(f"two vectors of one length are needed, found {tuple(previous.shape)}, {tuple(current.shape)}")
    return alignment_score(torch.stack([previous, current]))


def cosine_matrix(gradients: Tensor | Problem) -> Array:
    """C (m, m), with rows and columns of zeros for zero gradients."""
    return _problem(gradients).cosines.copy()


def magnitude_similarity(gradients: Tensor | Problem) -> Array:
    """Phi (m, m): 1 for equal lengths, 0 where one of the two is zero."""
    n = _problem(gradients).norms
    top = np.maximum(n, n[:, None])
    ratio = np.minimum(n, n[:, None]) / np.where(top > 0.0, top, 1.0)  # nothing is squared that could overflow
    Phi: Array = np.where(top > 0.0, 2.0 * ratio / (1.0 + ratio**2), 1.0)
    return Phi


def stationarity(gradients: Tensor | Problem) -> float:
    """tau in [0, 1]: length of the shortest vector in the convex hull of the unit gradients."""
    problem = _problem(gradients)
    if not (problem.norms > 0.0).all():
        return 0.0
    return min(1.0, max(0.0, float(min_norm(problem.cosines)[1])))


def multi_task_curvature(loss: Callable[[Tensor], Tensor], theta: Tensor, other: Tensor, nodes: int = 8) -> float:
    """H of `loss`, the sum of all losses, between theta and other (both (P,)), by `nodes` points of Gauss.

    Exact for losses whose second derivatives are polynomials of degree below 2 `nodes` along the way.
    """
    if theta.ndim != 1 or theta.shape != other.shape:
        raise ValueError(f"two vectors of one length are needed, found {tuple(theta.shape)} and {tuple(other.shape)}")
    if nodes < 1:
        raise ValueError(f"at least one node is needed, found {nodes}")
    start, end = theta.detach(), other.detach()
    points, weights = np.polynomial.legendre.leggauss(nodes)
    g = _gradient(loss, start)[1].detach()
    total = torch.zeros((), dtype=torch.float64, device=start.device)
    for s, weight in zip(0.5 * (points + 1.0), 0.5 * weights, strict=True):
        leaf, gradient = _gradient(loss, torch.lerp(start, end, float(s)), create_graph=True)
        if gradient.requires_grad:  # a linear loss has no curvature, and no graph of its gradient
            with torch.enable_grad():
                (Hg,) = torch.autograd.grad(gradient.dot(g), leaf, allow_unused=True, materialize_grads=True)
            total += float(weight) * Hg.detach().dot(g).double()
    return float(total)


def _gradient(loss: Callable[[Tensor], Tensor], theta: Tensor, create_graph: bool = False) -> tuple[Tensor, Tensor]:
    leaf = theta.detach().requires_grad_()
    with torch.enable_grad():
        value = loss(leaf)
        if value.ndim != 0 or not value.requires_grad:
            raise ValueError(f"the loss must be a scalar that depends on theta, found shape {tuple(value.shape)}")
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=create_graph)
    return leaf, gradient


def alignment_scores(gradients: Tensor | Problem, previous: Tensor | None = None) -> dict[str, float]:
    """The scalars worth a line in a history: `previous` is the whole gradient (P,) of the step before."""
    problem = _problem(gradients)
    off = ~np.eye(problem.m, dtype=bool)
    C, Phi = problem.cosines[off], magnitude_similarity(problem)[off]
    scores = {
        "intra_step": alignment_score(problem),
        "min_cosine": float(C.min(initial=1.0)),
        "conflicts": float((C < 0.0).mean()) if len(C) else 0.0,
        "magnitude_similarity": float(Phi.mean()) if len(Phi) else 1.0,
        "stationarity": stationarity(problem),
    }
    if previous is not None:
        scores["inter_step"] = inter_step_score(previous, problem.jacobian("alignment").sum(0))
    return scores


def diagnostics(problem: Problem, found: Direction) -> dict[str, Array]:
    """What one step of a method did, as float64 arrays of shapes (), (m,) and (m, m).

    The names and shapes are the same at every step of one method, so that steps can be stacked; nan where undefined.

    weights         (m,)     w_i of u = sum_i w_i g_i; nan for a method that gives a vector
    cosines         (m, m)   C_ij;   norms (m,)  |g_i|
    conflicting     (m,)     1 where g_i conflicts with some other gradient, else 0
    update_cosines  (m,)     cosine of g_i with the update u; 0 where one of them vanishes
    intra_step, min_cosine, conflicts, magnitude_similarity, stationarity   ()   see `alignment_scores`

    and the method's own (`Direction.diagnostics`), such as `rotation` (m,) in radians and `c_alpha` () of HRGrad. A method
    that needs the losses alone has no gradients: `weights` and its own remain. On demand only: no step computes them.
    """
    m = problem.m
    weights = np.full(m, np.nan) if found.weights is None else found.weights.detach().cpu().numpy()
    result: dict[str, Array] = {"weights": np.array(weights, dtype=np.float64)}
    if problem.has_gradients and problem.rows is None:
        C, n = problem.cosines, problem.norms
        result |= {"cosines": C.copy(), "norms": n.copy()}
        result["conflicting"] = np.where(C.min(axis=1) < CONFLICT, 1.0, 0.0)
        result["update_cosines"] = _update_cosines(problem, found)
        result |= {name: np.asarray(value, dtype=np.float64) for name, value in alignment_scores(problem).items()}
    return result | {name: np.array(value, dtype=np.float64) for name, value in found.diagnostics.items()}


def _update_cosines(problem: Problem, found: Direction) -> Array:
    C, n = problem.cosines, problem.norms
    if found.vector is None and found.weights is not None:
        share = found.weights.detach().cpu().numpy() * n
        image = C @ share
        length = max(float(share @ image), 0.0) ** 0.5
    elif problem.J is not None and found.vector is not None:
        u = found.vector.double()
        image = (problem.J.double() @ u).cpu().numpy() / np.where(n > 0.0, n, 1.0)
        length = float(u.norm())
    else:
        return np.full(problem.m, np.nan)
    cosines: Array = np.clip(image / length, -1.0, 1.0) if length > 0.0 else np.zeros(problem.m)
    return cosines
