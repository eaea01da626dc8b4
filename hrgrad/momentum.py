r"""Multi-task methods on moving averages of the gradients, inside Adam ("pseudo-first-moments").

    m_i <- b_1 m_i + (1 - b_1) g_i           for the tasks with a NEW gradient, each with its own count t_i
    mhat_i = m_i / (1 - b_1^{t_i}),   u = method(mhat_1, ..., mhat_m)
    g_c = [ u (1 - b_1^t) - b_1 u' (1 - b_1^{t-1}) ] / (1 - b_1)      the gradient that would have caused u; u' the last one
    v <- b_2 v + (1 - b_2) g_c^2,            step = u / ( sqrt(v / (1 - b_2^t)) + eps )

t counts from the step at which every task has been seen; before that the step is zero. All tasks may be renewed at every step,
or one: then one row of the momenta changes, and with it one row of their Gramian, a matrix-vector product in place of a new
Gramian. Follow the step with plain gradient descent: Adam outside would apply momentum twice. After the division by sqrt(v) the
step may oppose a gradient, whatever the method guarantees for u.

Source: Liu, Chu, Thuerey (2024), ConFIG, arXiv:2408.11104, algorithm 1 (M-ConFIG).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .arrays import Array
from .gram import combine, gramian, gramian_row
from .method import Direction, Measure, State
from .problem import CANCELLATION, Problem

Inner = Callable[[Array, Array], tuple[Array, str, Measure]]


def momentum_state(m: int) -> State:
    """Empty momenta; the P-sized tensors take their size at the first step."""
    empty = torch.zeros(0)
    return {
        "momenta": torch.zeros(m, 0),
        "moment_gramian": torch.zeros(m, m, dtype=torch.float64),
        "counts": torch.zeros(m, dtype=torch.float64),
        "last": empty,
        "second": empty.clone(),
        "moment_step": 0,
    }


def renew_rows(Q: torch.Tensor, M: torch.Tensor, rows: list[int]) -> torch.Tensor:
    """Q = M M^T after the given rows of M have changed: a matrix-vector product for each, nothing for the others."""
    lines = torch.stack([gramian_row(M, row) for row in rows]).cpu()
    if not bool(torch.isfinite(lines).all()):  # squares beyond single precision, or no numbers at all
        lines = gramian(M, accurate=True)[rows].cpu()
    if not bool(torch.isfinite(lines).all()):
        bad = next(k for k, row in enumerate(rows) if not bool(torch.isfinite(lines[k, row])))
        raise ValueError(f"the gradient of loss {rows[bad]} is not finite (NaN or infinity)")
    Q = Q.clone()
    Q[rows, :] = lines
    Q[:, rows] = lines.T
    return Q


def momentum_direction(
    problem: Problem, state: State, options: Any, method: str, inner: Inner
) -> tuple[Direction, State]:
    """One step: `inner(C, norms) -> (weights, status, measure)` works on the bias-corrected momenta.

    Diagnostics are those of `inner`, about the momenta, and its `weights` (m,) on them: nan while tasks are waited for.
    """
    J = problem.jacobian(method)
    if not J.is_cuda:  # there the Gramian tells, without a transfer of its own
        problem.finite(method)
    size, m, b1, b2 = J.shape[1], problem.m, options.beta1, options.beta2
    rows = list(range(m)) if problem.rows is None else list(problem.rows)
    counts = state["counts"].clone()
    if state["momenta"].shape[1] == 0:
        state = {**state, "momenta": J.new_zeros(m, size), "last": J.new_zeros(size), "second": J.new_zeros(size)}
    M, last, second = (state[key].to(J) for key in ("momenta", "last", "second"))  # the precision may have changed
    if M.shape[1] != size:
        raise ValueError(f"method {method!r}: the state holds {M.shape[1]} parameters, the gradients have {size}")
    if rows == list(range(m)):
        M.lerp_(J, 1.0 - b1)
        Q = torch.from_numpy(Problem(M).gramian.copy())
    else:
        for k, row in enumerate(rows):
            M[row].lerp_(J[k], 1.0 - b1)
        Q = renew_rows(state["moment_gramian"], M, rows)
    counts[rows] += 1.0
    renewed = {**state, "momenta": M, "last": last, "second": second, "moment_gramian": Q, "counts": counts}
    if bool((counts == 0.0).any()):
        _, _, idle = inner(np.eye(m), np.zeros(m))
        return Direction(
            None, torch.zeros_like(M[0]), "waiting", lambda: {**idle(), "weights": np.full(m, np.nan)}
        ), renewed
    t = int(state["moment_step"]) + 1
    correction = 1.0 / (1.0 - b1 ** counts.numpy())
    hat = Problem(gramian=Q.numpy() * np.outer(correction, correction))
    weights, status, measure = inner(hat.cosines, hat.norms)
    w = torch.from_numpy(weights * correction)
    length = float(np.sqrt(max(float(weights @ hat.gramian @ weights), 0.0)))
    u = combine(w, M, accurate=length < CANCELLATION * float(np.abs(weights) @ hat.norms))
    g = (u * (1.0 - b1**t) - last * (b1 * (1.0 - b1 ** (t - 1)))).div_(1.0 - b1)
    second = second.mul_(b2).addcmul_(g, g, value=1.0 - b2)
    step = u / (second / (1.0 - b2**t)).sqrt_().add_(options.eps)
    renewed |= {"last": u, "second": second, "moment_step": t}
    return Direction(None, step, status, lambda: {**measure(), "weights": weights}), renewed
