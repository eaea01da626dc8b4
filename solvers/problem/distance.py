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
    """`value` (t, x[, y]) on another grid: as it is, the centres they share, or by a cubic spline in each direction."""
    from scipy.interpolate import CubicSpline

    for axis, name in ((1, "x"), (2, "y")):
        if name not in theirs:
            continue
        mine, wanted = ours[name], theirs[name]
        nearest = np.clip(np.searchsorted(mine, wanted), 1, len(mine) - 1)
        nearest -= wanted - mine[nearest - 1] < mine[nearest] - wanted
        if np.allclose(mine[nearest], wanted, rtol=1e-9, atol=1e-12 * float(np.ptp(mine))):
            value = np.take(value, nearest, axis=axis)
        else:
            value = CubicSpline(mine, value, axis=axis)(wanted)
    return value
