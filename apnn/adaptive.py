r"""Residual-adaptive collocation: a share of the fresh points lies where the residual is large.

Of the group of points that a refresh draws anew, the share `adaptive` of every task is chosen among POOL times as many
low-discrepancy candidates with the probability

$$ p_i \propto \frac{l_i}{\operatorname{mean}_j l_j} + 1, $$

l_i the sum of the mean squared residuals at candidate i; the other points and groups stay as `sampling.py` draws them.  What is
chosen depends on theta, so the points are part of the state of a training, and a continued one has the same.

Reference: Wu, Zhu, Tan, Kartha, Lu (2023), "A comprehensive study of non-adaptive and residual-based adaptive sampling for
physics-informed neural networks", Comput. Methods Appl. Mech. Engrg. 403, 115671, DOI 10.1016/j.cma.2022.115671, equation (2)
with k = c = 1.
"""

import torch
from torch import Tensor

from .model import Model
from .sampling import GROUPS, group_slices

POOL = 4
#: the seeds of candidates are that far from those of the points
CANDIDATES = 500_009


@torch.no_grad()
def adapt(model: Model, theta: Tensor, refresh: int, before: Tensor | None) -> Tensor:
    """The points eps, t, x[, y] (2 + d, m, B) after a refresh, from those before it; without those all are low-discrepancy."""
    fresh = torch.stack(model.draw(refresh))
    if before is None or not refresh:
        return fresh
    places = before.clone()
    group = group_slices(model.options.points)[(refresh - 1) % GROUPS]
    places[:, :, group] = fresh[:, :, group]
    count = round(model.options.adaptive * (group.stop - group.start))
    if count:
        candidates = torch.stack(model.draw(refresh, shift=CANDIDATES, points=POOL * count))
        batch = model.prepare(list(candidates), theta.dtype)
        squares = model.squares_at_points(theta, batch)
        inside = squares[:, : candidates.shape[-1]].double().cpu()  # behind them lie the points that a formulation adds
        generator = torch.Generator().manual_seed(model.options.seed * 104_729 + refresh)
        p = inside / inside.mean(dim=-1, keepdim=True).clamp_min(1e-300) + 1.0
        chosen = torch.multinomial(p, count, generator=generator).to(candidates.device)
        places[:, :, group.start : group.start + count] = candidates.gather(-1, chosen.expand(len(candidates), -1, -1))
    return places
