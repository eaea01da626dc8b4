r"""Conflict between the losses of a training, at one step: who pulls against whom.

The gradients $g_{k,r} = \nabla L_{k,r}$ of every task k and residual r come from one backward pass per residual over m copies
of theta; $g_k = \sum_r g_{k,r}$ belongs to a task, $g_r = \frac1m\sum_k g_{k,r}$ to a residual.  With d the step that was taken
(theta before minus theta after, so that a positive cosine lowers a loss):

    cosines, residual_cosines         C_ij = g_i.g_j / |g_i||g_j| between tasks, (m, m), and between residuals, (R, R)
    norms, residual_norms             |g_k| and |g_r|
    step_cosines                      cosine of d with every g_k; its minimum is the worst-treated task
    intra_step, inter_step            alignment scores of the tasks at this step, and of the whole gradient before and after it
    magnitude_similarity, stationarity   see `hrgrad/alignment.py`

Costs R + 1 backward passes, so it is done now and then (`train.diagnose`); the training itself does not depend on it.
Reference: Wang, Bhartari, Li, Perdikaris (2025), arXiv:2502.00604, definitions 1 and 2.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

import hrgrad
from hrgrad.alignment import alignment_scores, cosine_matrix, inter_step_score


class HasLosses(Protocol):
    """What is asked of a model: mean squares (m,) by residual name, for theta (m, P)."""

    def losses(self, theta: Tensor, refresh: int) -> dict[str, Tensor]: ...


def gradients(model: HasLosses, theta: Tensor, tasks: int, refresh: int) -> Tensor:
    """Gradients (R, m, P) of every residual's loss of every task."""
    copies = theta.detach().expand(tasks, -1).clone().requires_grad_()
    losses = list(model.losses(copies, refresh).values())
    parts = [
        torch.autograd.grad(loss.sum(), copies, retain_graph=True, materialize_grads=True, allow_unused=True)[0]
        for loss in losses
    ]
    return torch.stack(parts)


def conflict(model: HasLosses, before: Tensor, after: Tensor, tasks: int, refresh: int) -> dict[str, np.ndarray]:
    """Scalars and small arrays of one step from theta `before` to `after`, by the names of this module's docstring."""
    G = gradients(model, before, tasks, refresh)
    by_task, by_residual = hrgrad.Problem(G.sum(0)), hrgrad.Problem(G.mean(1))
    whole = G.sum((0, 1))
    step = (before - after).detach()
    lengths = torch.linalg.vector_norm(G.sum(0), dim=1) * torch.linalg.vector_norm(step)
    cosines = (G.sum(0) @ step) / torch.where(lengths > 0.0, lengths, 1.0)
    found: dict[str, np.ndarray] = {
        "cosines": cosine_matrix(by_task),
        "residual_cosines": cosine_matrix(by_residual),
        "norms": by_task.norms.copy(),
        "residual_norms": by_residual.norms.copy(),
        "step_cosines": cosines.cpu().numpy(),
    }
    scores = {key: value for key, value in alignment_scores(by_task).items() if key not in ("min_cosine", "conflicts")}
    scores["inter_step"] = inter_step_score(whole, gradients(model, after, tasks, refresh).sum((0, 1)))
    return found | {key: np.float64(value) for key, value in scores.items()}
