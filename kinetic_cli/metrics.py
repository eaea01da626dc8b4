"""Statistics of a comparison: mean ranks of methods, and how the error falls with eps (all dimensionless)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


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
