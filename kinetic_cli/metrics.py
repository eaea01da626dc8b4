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


def mean_ranks(errors: dict[str, list[float]]) -> dict[str, float]:
    """Mean rank of each method over tasks (1 is best, ties share); `errors[method][task]`, NaN counts as worst."""
    from scipy.stats import rankdata

    methods = list(errors)
    table = np.nan_to_num(np.array([errors[m] for m in methods]), nan=np.inf)
    ranks = np.array([rankdata(column) for column in table.T])
    return {m: float(r) for m, r in zip(methods, ranks.mean(axis=0), strict=True)} if ranks.size else {}


def slope(eps: Array, errors: Array) -> float:
    """Fitted exponent p of error ~ eps^p over the three smallest Knudsen numbers; NaN with fewer."""
    order = np.argsort(eps)[:3]
    good = order[np.asarray(errors)[order] > 0]
    return (
        float(np.polyfit(np.log(np.asarray(eps)[good]), np.log(np.asarray(errors)[good]), 1)[0])
        if len(good) == 3
        else float("nan")
    )
