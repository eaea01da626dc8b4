r"""Geometric mean of the relative L2 errors of rho over all tasks and seeds.

$$ \bar e_m = \exp\Big(\frac1K\sum_k \ln e_m^{(k)}\Big) . $$

A factor between two contenders counts the same wherever on the scale of errors it occurs.
Reference: Fleming, Wallace (1986), How not to lie with statistics, Commun. ACM 29, 218, DOI 10.1145/5666.5673.
"""

import numpy as np

from ..metrics import Row, by_task

title = "error of rho"
better = "lower"


def measure(rows: list[Row]) -> dict[str, float]:
    """Geometric mean by contender."""
    logs: dict[str, list[float]] = {}
    for (_, _, field), task in by_task(rows).items():
        if field == "rho":
            for name, errors in task.items():
                logs.setdefault(name, []).extend(np.log(np.maximum(errors, 1e-300)))
    return {name: float(np.exp(np.mean(values))) for name, values in logs.items()}
