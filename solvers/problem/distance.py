r"""How far one solution is from another (all dimensionless).

$$ e(\phi) = \Big(\frac{\sum_{t,x}|\phi-\phi_{\rm ref}|^2}{\sum_{t,x}|\phi_{\rm ref}|^2}\Big)^{1/2} $$

over all cells (weighted by their width on a graded mesh) and the output times t > 0, HRGrad (36).  For a field that may
vanish (u, q, J) the scaled error with denominator ||1 + |phi_ref||| is given beside it (problems.md section 1).  The AP
error is the same distance to the solution of the limit equation.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def cell_widths(x: Array) -> Array:
    """Widths of the cells whose centres are x; equal weights for one cell."""
    if len(x) < 2:
        return np.ones_like(x)
    edges = np.concatenate([[1.5 * x[0] - 0.5 * x[1]], 0.5 * (x[1:] + x[:-1]), [1.5 * x[-1] - 0.5 * x[-2]]])
    return np.diff(edges)


def cell_weights(coordinates: Mapping[str, Array]) -> Array:
    """Weights of the cells of a result's grid, shape (x,) or (x, y)."""
    weights = cell_widths(coordinates["x"])
    return weights[:, None] * cell_widths(coordinates["y"]) if "y" in coordinates else weights


def relative_l2(value: Array, reference: Array, weights: Array) -> float:
    """||value - reference|| / ||reference||; NaN where the reference vanishes."""
    norm = float(np.sqrt(np.sum(weights * reference**2)))
    distance = float(np.sqrt(np.sum(weights * (value - reference) ** 2)))
    return distance / norm if norm > 0 else float("nan")


def scaled_l2(value: Array, reference: Array, weights: Array) -> float:
    """||value - reference|| / ||1 + |reference|||."""
    norm = float(np.sqrt(np.sum(weights * (1.0 + np.abs(reference)) ** 2)))
    return float(np.sqrt(np.sum(weights * (value - reference) ** 2))) / norm


def on_grid(value: Array, ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> Array:
    """`value` (t, x[, y]) on another grid: as it is, the centres they share, or by cubic ENO in each direction."""
    for axis, name in ((1, "x"), (2, "y")):
        if name not in theirs:
            continue
        mine, wanted = ours[name], theirs[name]
        nearest = np.clip(np.searchsorted(mine, wanted), 1, len(mine) - 1)
        nearest -= wanted - mine[nearest - 1] < mine[nearest] - wanted
        if np.allclose(mine[nearest], wanted, rtol=1e-9, atol=1e-12 * float(np.ptp(mine))):
            value = np.take(value, nearest, axis=axis)
        else:
            value = np.moveaxis(essentially_non_oscillatory(mine, np.moveaxis(value, axis, -1), wanted), -1, axis)
    return value


def essentially_non_oscillatory(x: Array, value: Array, wanted: Array) -> Array:
    """`value` (..., x) at `wanted` by the cubic through the four neighbouring points with the least divided differences.

    Kinks and jumps are felt only in the interval that holds them.  Reference: Harten, Engquist, Osher, Chakravarthy (1987),
    J. Comput. Phys. 71, 231, DOI 10.1016/0021-9991(87)90031-3.
    """
    differences = [value]
    for k in range(1, 4):
        differences.append(np.diff(differences[-1], axis=-1) / (x[k:] - x[:-k]))
    start = np.clip(np.searchsorted(x, wanted) - 1, 0, x.size - 2) + np.zeros((*value.shape[:-1], 1), dtype=int)
    for difference in differences[2:]:
        size, last = np.abs(difference), difference.shape[-1] - 1
        before = np.take_along_axis(size, np.clip(start - 1, 0, last), axis=-1)
        after = np.take_along_axis(size, np.clip(start, 0, last), axis=-1)
        start = np.where((start > last) | (start > 0) & (before < after), start - 1, start)
    found = np.take_along_axis(differences[3], start, axis=-1)
    for k in (2, 1, 0):
        found = np.take_along_axis(differences[k], start, axis=-1) + (wanted - x[start + k]) * found
    return found
