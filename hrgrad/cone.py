r"""The harmonized cone in weight space and its extreme rays.

    K = { alpha in R^m : alpha >= 0, C alpha >= 0 },     r = sum_i alpha_i a_i lies in the primal AND in the dual cone

C is the COSINE matrix: cones do not know lengths, and the absolute tolerance of floating-point enumeration breaks on raw
Gramians. `rays` returns unit-length generators (sqrt(alpha' C alpha) = 1), without those of zero image and without copies
in gradient space.

Closed forms: no negative cosine (the a_i themselves), m = 2. Otherwise the double description of Motzkin et al. (1953),
started from the orthant and cut by one row of C at a time; two rays on opposite sides are combined when they are adjacent,
i.e. no third ray is tight on all constraints that both are tight on (incidence as bit sets). With alpha = C^-1 gamma the
same cone reads {gamma >= 0, C^-1 gamma >= 0}: the start with fewer negative entries keeps the intermediate cones small.
The number of rays grows like 2^m: about 10 at m = 4, 200 at m = 8, 1000 at m = 10. `engine="cdd"` asks cddlib
(`pip install pycddlib-standalone`, GPL-2.0-or-later) instead; this file alone knows it.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .quadratic import min_norm

ZERO = 1e-9
MOST = 12


def rays(C: Array, engine: str = "own") -> Array:
    """Extreme rays (K, m) of the harmonized cone, unit length in gradient space; K = 0 where the cone is {0}."""
    m = len(C)
    if m > MOST:
        raise ValueError(f"m = {m} is too many for the enumeration of rays (at most {MOST}): use anchor='minnorm'")
    if (C >= 0.0).all():
        return _unit(np.eye(m), C)
    found = _enumerate_cdd(C) if engine == "cdd" else _enumerate(C)
    return _unit(found, C)


def _unit(A: Array, C: Array) -> Array:
    """Normalise in gradient space; drop zero images and copies."""
    A = A / np.maximum(A.sum(1, keepdims=True), 1e-300)
    image = A @ C
    length = np.sqrt(np.maximum((image * A).sum(1), 0.0))
    keep = length > 1e-6
    A, image = A[keep] / length[keep, None], image[keep] / length[keep, None]
    if len(A) < 2:
        return A
    twins = np.triu(A @ image.T > 1.0 - 1e-12, 1).any(0)
    distinct: Array = A[~twins]
    return distinct


def _enumerate(C: Array) -> Array:
    """Own double description on C, or on the normalised inverse when that has fewer negative entries."""
    try:
        inverse: Array = np.asarray(np.linalg.inv(C), dtype=np.float64)
    except np.linalg.LinAlgError:
        return _double_description(C)
    if np.abs(inverse).max() > 1e8:
        return _double_description(C)
    if (inverse >= 0.0).all():
        return inverse  # every pair conflicts: the dual cone is simplicial and lies in the primal one
    if (inverse < 0.0).sum() < (C < 0.0).sum():
        scale = np.sqrt(inverse.diagonal())
        return _double_description(inverse / scale / scale[:, None]) @ (inverse / scale).T
    return _double_description(C)


def _double_description(C: Array) -> Array:
    m = len(C)
    R = np.eye(m)
    bit = np.uint64(1) << np.arange(2 * m, dtype=np.uint64)
    orthant = bit[:m].sum()
    tight = orthant - bit[:m]
    for j in np.argsort((C < 0.0).sum(1), kind="stable"):
        value = R @ C[j]
        on = np.abs(value) <= ZERO
        tight = np.where(on, tight | bit[m + j], tight)
        plus, minus = np.flatnonzero(value > ZERO), np.flatnonzero(value < -ZERO)
        if not len(minus):
            continue
        common = tight[plus, None] & tight[None, minus]
        p, q = np.nonzero(np.bitwise_count(common) >= m - 2)
        shared = common[p, q]
        if len(p):
            alone = np.zeros(len(p), dtype=bool)
            step = max(1, (1 << 22) // len(tight))
            for start in range(0, len(p), step):
                part = shared[start : start + step, None]
                alone[start : start + step] = ((tight[None] & part) == part).sum(1) == 2
            p, q, shared = p[alone], q[alone], shared[alone]
        up, down = plus[p], minus[q]
        new = value[up, None] * R[down] - value[down, None] * R[up]
        new /= np.maximum(new.max(1, keepdims=True), 1e-300)
        new[np.abs(new) < 1e-15] = 0.0
        stay = value >= -ZERO
        R = np.concatenate([R[stay], new])
        tight = np.concatenate([tight[stay], shared | bit[m + j]])
        if not len(R):
            break
    return R


def _enumerate_cdd(C: Array) -> Array:
    try:
        import cdd
    except ImportError:
        raise ImportError("engine='cdd' needs cddlib: pip install pycddlib-standalone (GPL-2.0-or-later)") from None
    m = len(C)
    rows = np.hstack([np.zeros((2 * m, 1)), np.vstack([np.eye(m), C])])
    matrix = cdd.matrix_from_array(rows.tolist(), rep_type=cdd.RepType.INEQUALITY)
    generators = cdd.copy_generators(cdd.polyhedron_from_matrix(matrix)).array
    found = np.array([row[1:] for row in generators if row[0] == 0.0], dtype=np.float64).reshape(-1, m)
    return np.maximum(found, 0.0)


def anchor(C: Array, kind: str, engine: str = "own") -> tuple[Array, float]:
    """Weights beta of the unit anchor v = sum beta_i a_i in K_H, and tau = min-norm of conv{a_i} (Pareto stationarity)."""
    w, tau = min_norm(C)
    if kind == "rays":
        found = rays(C, engine)
        if len(found):
            beta = found.sum(0)
            length = float(np.sqrt(max(beta @ C @ beta, 0.0)))
            if length > 1e-9 and (C @ beta).min() >= -1e-7 * length:
                return beta / length, tau
    return w / max(tau, 1e-300), tau
