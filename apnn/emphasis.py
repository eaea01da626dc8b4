r"""Weights of points: earlier times first (causality), Knudsen numbers that are behind more (importance).

With l_i the sum of the squared residuals at point i of a task of B points, and L_k the mean over the points of task k,

$$ w_i = \exp\Big(-\frac{c}{B}\sum_{t_j < t_i}l_j\Big), \qquad w_k = \frac{L_k^a}{\operatorname{mean}_j L_j^a} , $$

c = `causal`, a = `importance`, 0 for none; the product weighs the squares.  Weights are renewed with the points, every `refresh`
steps, and rest in between: a line search needs one function.  As the residuals vanish every w_i tends to one.

References: Wang, Sankaran, Perdikaris (2024), "Respecting causality for training physics-informed neural networks", Comput.
Methods Appl. Mech. Engrg. 421, 116813, DOI 10.1016/j.cma.2024.116813, equation (3.5).
"""

import torch
from torch import Tensor

from .model import Model


@torch.no_grad()
def emphasis(model: Model, theta: Tensor, refresh: int) -> Tensor | None:
    """w (m, B) at the points of a refresh, None where all are one."""
    causal, importance = model.options.causal, model.options.importance
    if not causal and not importance:
        return None
    batch = model.batch(refresh, theta.dtype)
    squares = model.squares_at_points(theta, batch)
    w = torch.ones_like(squares)
    if causal:
        t, order = batch.t.sort(dim=-1)
        sums = squares.gather(-1, order).cumsum(dim=-1)
        first = torch.searchsorted(t, t)  # points of one time share what came before
        earlier = torch.cat([torch.zeros_like(sums[:, :1]), sums], dim=-1).gather(-1, first)
        w.scatter_(-1, order, torch.exp(-causal / squares.shape[-1] * earlier))
    if importance:
        tasks = squares.mean(dim=-1, keepdim=True) ** importance
        w = w * tasks / tasks.mean()
    return w
