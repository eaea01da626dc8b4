r"""Small exact algebra in the space of weights (m x m, float64): equal projections, and quadratic programs with weights >= 0.

    equal projections        C y = 1,                                no truncation while C is regular
    dual_projections         min |v - a_i|,  a_j . v >= 0 for all j   (all i at once)
    min_norm                 min |sum_i w_i a_i|,  w >= 0, sum w = 1

The quadratic programs are linear complementarity problems: y >= 0, r = C y - b >= 0, y'r = 0. Block principal pivoting
(Judice and Pires, 1994, doi:10.1016/0305-0548(94)90106-6) exchanges every infeasible index at once and ends, for positive
definite C, after two to seven small solves with the exact active set. It may cycle: what is not done after ROUNDS exchanges goes
to the active-set method of Lawson and Hanson (1974, chapter 23), which also bears singular C.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .arrays import Array

RANK = 1e-10
TOLERANCE = 1e-12
ROUNDS = 20
RESOLVED = 1e-7


def equal_projections(C: Array) -> tuple[Array, float]:
    """y with C y = 1 and the residual |C y - 1|; least squares with a relative cut-off where C is singular.

    A solution so long that y'Cy = |sum_i y_i a_i|^2 is lost in the rounding of C is noise, however small its residual.
    """
    try:
        y: Array = np.asarray(np.linalg.solve(C, np.ones(len(C))), dtype=np.float64)
        image = C @ y
        left = image - 1.0
        residual = float(left @ left) ** 0.5
        if residual < 1e-6 and float(y @ image) > (RESOLVED * float(np.abs(y).sum())) ** 2:
            return y, residual
    except np.linalg.LinAlgError:
        pass
    value, vector = np.linalg.eigh(C)
    keep = value > RANK * value[-1]
    y = vector[:, keep] @ (vector[:, keep].sum(0) / value[keep])
    left = C @ y - 1.0
    return y, float(left @ left) ** 0.5


def vanishes(C: Array, b: Array) -> bool:
    """Whether sum_i b_i a_i, meant to oppose no a_i, is lost in the rounding of its Gramian: the point is Pareto stationary.

    It cancels down to the rounding, or it opposes some a_i after all: then the rounding hides on which side of zero the
    hull lies.
    """
    image = C @ b
    square = float(b @ image)
    return square <= (RESOLVED * float(np.abs(b).sum())) ** 2 or float(image.min()) < -RESOLVED * square**0.5


def dual_projections(C: Array) -> Array:
    """Y (m, m): a_i + sum_k Y_ik a_k is the projection of a_i onto the dual cone {v: a_j . v >= 0 for all j}.

    m programs with one matrix, y >= 0, C y + C e_i >= 0.  With every index but i free the solution is a row of the inverse,
    y = (C^-1)_i / (C^-1)_ii: block pivoting, all programs at once, starts there.
    """
    m = len(C)
    try:
        inverse = np.linalg.inv(C)
        regular = bool(np.abs(inverse).max() < 1e12)
    except np.linalg.LinAlgError:
        regular = False
    if regular:
        free = ~np.eye(m, dtype=bool)
        Y = np.where(free, inverse / inverse.diagonal()[:, None], 0.0)
        bad = Y < 0.0
    else:
        free = np.zeros((m, m), dtype=bool)
        Y, bad = np.zeros((m, m)), C < 0.0
    if bad.any():
        _block_pivoting(C, Y, free, bad)
    return Y


def _block_pivoting(C: Array, Y: Array, free: NDArray[np.bool_], bad: NDArray[np.bool_]) -> None:
    """Exchange the infeasible indices of the rows of Y until there are none, in place."""
    m, eye = len(C), np.eye(len(C))
    open_ = np.flatnonzero(bad.any(1))
    bad, free, B = bad[open_], free[open_], C[open_]
    for _ in range(ROUNDS):
        free ^= bad
        size = int(free.sum(1).max())
        index = free.argsort(1)[:, ::-1][:, :size]  # the free indices first, and as few others as can be
        rows = np.arange(len(open_))[:, None]
        inside = free[rows, index]
        both = inside[:, :, None] & inside[:, None, :]
        system = np.where(both, C[index[:, :, None], index[:, None, :]], eye[:size, :size])
        try:
            part = np.linalg.solve(system, np.where(inside, -B[rows, index], 0.0)[:, :, None])
        except np.linalg.LinAlgError:
            break
        y = np.zeros((len(open_), m))
        y[rows, index] = part[:, :, 0]
        bad = np.where(free, y, y @ C + B) < -TOLERANCE
        left = bad.any(1)
        Y[open_] = np.maximum(y, 0.0)
        if not left.any():
            return
        open_, bad, free, B = open_[left], bad[left], free[left], B[left]
    value, vector = np.linalg.eigh(C)
    root = np.sqrt(np.maximum(value, 0.0))[:, None] * vector.T
    inverse = np.where(value > 1e-14 * value[-1], 1.0 / np.sqrt(np.maximum(value, 1e-300)), 0.0)
    for row in open_:
        Y[row] = _lawson_hanson(root, inverse * (vector.T @ -C[row]))


def _lawson_hanson(E: Array, f: Array) -> Array:
    """argmin |E u - f| over u >= 0."""
    m = E.shape[1]
    u, free = np.zeros(m), np.zeros(m, dtype=bool)
    tolerance = 1e-12 * max(1.0, float(np.abs(E.T @ f).max(initial=0.0)))
    for _ in range(3 * m + 3):
        slope = E.T @ (f - E @ u)
        slope[free] = -np.inf
        j = int(np.argmax(slope))
        if free.all() or slope[j] <= tolerance:
            break
        free[j] = True
        for _ in range(m):
            s = np.zeros(m)
            s[free] = np.linalg.lstsq(E[:, free], f, rcond=1e-13)[0]
            if (s[free] > 0.0).all():
                break
            falling = free & (s <= 0.0)
            step = np.min(u[falling] / np.maximum(u[falling] - s[falling], 1e-300), initial=1.0)
            u = u + step * (s - u)
            free &= u > 1e-14 * max(1.0, float(u.max()))
            u[~free] = 0.0
            if not free.any():
                s = u
                break
        u = s
    return np.maximum(u, 0.0)


def min_norm(C: Array, right: Array | None = None) -> tuple[Array, float]:
    """Weights w of the point of least norm in conv{a_i}, and that norm: max over |d| = 1 of min_i a_i . d.

    With `right` the hull is that of a_i / right_i, and the weights y of its point are on the a_i, scaled to sum to one.
    """
    bound = np.ones(len(C)) if right is None else right
    y = _pivot_min_norm(C, bound)
    if y is None:
        value, vector = np.linalg.eigh(C)
        E = np.vstack([np.sqrt(np.maximum(value, 0.0))[:, None] * vector.T, bound])
        y = _lawson_hanson(E, np.concatenate([np.zeros(len(C)), [1.0]]))
    w = y / y.sum()
    return w, max(float(w @ C @ w), 0.0) ** 0.5


def _pivot_min_norm(C: Array, bound: Array) -> Array | None:
    """Block pivoting on C y >= bound, y >= 0, from all indices free; None where it does not end cleanly."""
    m = len(C)
    free, index = np.ones(m, dtype=bool), np.arange(m)
    part, right = C, bound
    for _ in range(ROUNDS):
        try:
            inner = np.linalg.solve(part, right)
        except np.linalg.LinAlgError:
            return None
        y = np.zeros(m)
        y[index] = inner
        r = C @ y - bound
        bad = np.where(free, y < 0.0, r < -TOLERANCE)
        if not bad.any():
            return y if np.abs(r[index]).max() <= 1e-6 * bound.max() else None
        free ^= bad
        index = free.nonzero()[0]
        if not len(index):
            return None
        part, right = C[index[:, None], index], bound[index]
    return None
