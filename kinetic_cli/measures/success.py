r"""Success rate: the share of tasks and seeds whose relative L2 error is below a stated tolerance.

$$ S_m = \frac{1}{K}\,\#\{k : e_m^{(k)} \le \tau\}, \qquad \tau = 10^{-2} \text{ unless the user says } \text{--tolerance}. $$

It stands where the HRGrad paper says "average F1": an F1 score belongs to a classification and has no meaning for the values
of a field (`kinetic explain f1` gives the one that has: precision and recall of detecting fronts and layers).
Only rho is counted: a field that may vanish has no relative error.

Reference: hrgrad.md, baselines and metrics (2026).
"""

import numpy as np

from ..metrics import Row, by_task

title = "success"
better = "higher"
TOLERANCE = 1e-2


def measure(rows: list[Row], tolerance: float = TOLERANCE) -> dict[str, float]:
    """Share in [0, 1] by contender."""
    hits: dict[str, list[bool]] = {}
    for (_, _, field), task in by_task(rows).items():
        if field == "rho":
            for name, errors in task.items():
                hits.setdefault(name, []).extend(error <= tolerance for error in errors)
    return {name: float(np.mean(values)) for name, values in hits.items()}
