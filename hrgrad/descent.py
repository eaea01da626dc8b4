r"""One step of Adam on a handful of numbers, for methods that learn their weights along the way.

    p <- b_1 p + (1 - b_1) g,   q <- b_2 q + (1 - b_2) g^2,   x <- x - lr (p / (1 - b_1^t)) / (sqrt(q / (1 - b_2^t)) + eps)

Source: Kingma, Ba (2015), Adam, arXiv:1412.6980, algorithm 1.
"""

from __future__ import annotations

import numpy as np
import torch

from .arrays import Array
from .method import State


def adam_state(m: int, value: float = 0.0) -> State:
    """x = value, with empty moments."""
    zero = torch.zeros(m, dtype=torch.float64)
    return {"x": zero + value, "first": zero.clone(), "second": zero.clone(), "step": 0}


def adam_step(
    state: State, gradient: Array, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> State:
    """The state after one step along `gradient`; the given one is left as it was."""
    t = int(state["step"]) + 1
    first = betas[0] * state["first"].numpy() + (1.0 - betas[0]) * gradient
    second = betas[1] * state["second"].numpy() + (1.0 - betas[1]) * gradient * gradient
    x = state["x"].numpy() - lr * (first / (1.0 - betas[0] ** t)) / (np.sqrt(second / (1.0 - betas[1] ** t)) + eps)
    moments = {"first": torch.from_numpy(first), "second": torch.from_numpy(second)}
    return {**state, "x": torch.from_numpy(x), **moments, "step": t}
