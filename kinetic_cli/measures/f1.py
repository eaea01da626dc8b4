r"""F1 score of detecting fronts and layers: where is the density steep?

A cell is steep if $|\partial_x\rho|$ exceeds a quarter of the reference's largest slope at that time.  With hits TP, false
alarms FP and misses FN over all cells and output times,

$$ precision = \frac{TP}{TP+FP}, \quad recall = \frac{TP}{TP+FN}, \quad F_1 = \frac{2\,TP}{2\,TP+FP+FN} . $$

This is the F1 score that a regression of fields can have; a paper's "average F1" of field values is not defined, and the
success rate stands in its place (`kinetic explain success`).

Reference: van Rijsbergen (1979), Information Retrieval, chapter 7.
"""

import numpy as np

from ..metrics import Row, contender

title = "F1 fronts"
better = "higher"


def measure(rows: list[Row]) -> dict[str, float]:
    """Mean over tasks and seeds by contender, of the rows that carry `f1`."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["t"] is None and row.get("f1") is not None:
            found.setdefault(contender(row), []).append(row["f1"])
    return {name: float(np.mean(values)) for name, values in found.items()}
