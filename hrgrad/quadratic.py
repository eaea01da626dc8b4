r"""Small exact algebra in the space of weights (m x m, float64): equal projections, and quadratic programs with u >= 0.

    equal projections        C y = 1,                                no truncation while C is regular
    nonnegative              min 1/2 u'Qu - b'u,  u >= 0             (one or many right-hand sides at once)
    min_norm                 min |sum_i w_i a_i|,  w >= 0, sum w = 1

The quadratic programs are linear complementarity problems: u >= 0, r = Qu - b >= 0, u'r = 0. Block principal pivoting
(Judice and Pires, 1994, doi:10.1016/0305-0548(94)90106-6) exchanges every infeasible index at once and ends, for positive
definite Q, after two or three small solves with the exact active set; what it cannot finish goes to the active-set method of
Lawson and Hanson (1974, chapter 23), which also bears singular Q.
"""

from __future__ import annotations

import numpy as np

from .method import Array

RANK = 1e-10
RESOLVED = 1e-7


def equal_projections(C: Array) -> tuple[Array, float]:
    """y with C y = 1 and the residual max |C y - 1|; least squares with a relative cut-off where C is singular."""
    ones = np.ones(len(C))
    try:
        y: Array = np.asarray(np.linalg.solve(C, ones), dtype=np.float64)
        residual = float(np.abs(C @ y - ones).max())
        if residual < 1e-6 and np.abs(y).max() * 1e-13 < 1.0:
            return y, residual
    except np.linalg.LinAlgError:
        pass
    value, vector = np.linalg.eigh(C)
    keep = value > RANK * value[-1]
    y = vector[:, keep] @ (vector[:, keep].sum(0) / value[keep])
    return y, float(np.abs(C @ y - ones).max())


def vanishes(C: Array, b: Array) -> bool:
    """Whether sum_i b_i a_i, meant to oppose no a_i, is lost in the rounding of its Gramian: the point is Pareto stationary.

    It cancels down to the rounding, or it opposes some a_i after all: then the rounding hides on which side of zero the
    hull lies.
    """
    image = C @ b
    square = float(b @ image)
    return square <= (RESOLVED * float(np.abs(b).sum())) ** 2 or float(image.min()) < -RESOLVED * square**0.5


def nonnegative(Q: Array, b: Array) -> Array:
    """argmin 1/2 u'Qu - b'u over u >= 0; `b` of shape (m,) or (k, m) for k programs with the same Q."""
    single = b.ndim == 1
    B = b[None] if single else b
    U = _block_pivoting(Q, B)
    return U[0] if single else U


def _block_pivoting(Q: Array, B: Array) -> Array:
    k, m = B.shape
    size = np.sqrt(np.maximum(Q.diagonal(), 1e-300))
    scaled, right = Q / size / size[:, None], B / size
    free = np.ones((k, m), dtype=bool)
    U = np.zeros((k, m))
    open_ = np.arange(k)
    eye = np.eye(m)
    worst, patience = np.full(k, m + 1), np.full(k, 3)
    tolerance = 1e-12 * max(1.0, float(np.abs(right).max()))
    for _ in range(8 + 2 * m):
        F = free[open_]
        system = np.where(F[:, :, None] & F[:, None, :], scaled, eye)
        try:
            u = np.linalg.solve(system, np.where(F, right[open_], 0.0)[:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:
            break
        r = u @ scaled - right[open_]
        bad = np.where(F, u < -tolerance, r < -tolerance)
        count = bad.sum(1)
        done = count == 0
        U[open_[done]] = np.maximum(u[done], 0.0) * F[done]
        if done.all():
            return U / size
        keep = ~done
        open_, bad, count = open_[keep], bad[keep], count[keep]
        better = count < worst[open_]
        worst[open_] = np.where(better, count, worst[open_])
        patience[open_] = np.where(better, 3, patience[open_] - 1)
        for row in np.flatnonzero(patience[open_] < 0):
            last = m - 1 - int(np.argmax(bad[row, ::-1]))
            bad[row] = False
            bad[row, last] = True
        free[open_] ^= bad
    value, vector = np.linalg.eigh(scaled)
    root = np.sqrt(np.maximum(value, 0.0))[:, None] * vector.T
    inverse = np.where(value > 1e-14 * value[-1], 1.0 / np.sqrt(np.maximum(value, 1e-300)), 0.0)
    for row in open_:
        U[row] = _lawson_hanson(root, inverse * (vector.T @ right[row]))
    return U / size


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
    m = len(C)
    bound = np.ones(m) if right is None else right
    y = None
    try:
        y = np.linalg.solve(C, bound)
        if y.min() < 0.0 or not np.isfinite(y).all() or np.abs(C @ y - bound).max() > 1e-6 * bound.max():
            y = _pivot_min_norm(C, bound)
    except np.linalg.LinAlgError:
        pass
    if y is None:
        value, vector = np.linalg.eigh(C)
        E = np.vstack([np.sqrt(np.maximum(value, 0.0))[:, None] * vector.T, bound])
        y = _lawson_hanson(E, np.concatenate([np.zeros(m), [1.0]]))
    w = y / y.sum()
    return w, float(np.sqrt(max(w @ C @ w, 0.0)))


def _pivot_min_norm(C: Array, bound: Array) -> Array | None:
    """Block pivoting on C y >= bound, y >= 0; None where it does not end cleanly."""
    m = len(C)
    free = np.ones(m, dtype=bool)
    best, patience = m + 1, 3
    for _ in range(8 + 2 * m):
        index = np.flatnonzero(free)
        if not len(index):
            return None
        part = C[np.ix_(index, index)]
        y = np.zeros(m)
        try:
            y[index] = np.linalg.solve(part, bound[index])
        except np.linalg.LinAlgError:
            return None
        r = C @ y - bound
        if not np.isfinite(r).all() or np.abs(r[index]).max() > 1e-6:
            return None
        bad = np.where(free, y < 0.0, r < -1e-12)
        count = int(bad.sum())
        if count == 0:
            return y
        if count < best:
            best, patience = count, 3
        else:
            patience -= 1
        if patience < 0:
            last = m - 1 - int(np.argmax(bad[::-1]))
            bad[:] = False
            bad[last] = True
        free ^= bad
    return None
