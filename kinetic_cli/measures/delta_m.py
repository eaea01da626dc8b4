r"""Delta-m: mean relative change of the error against single-Knudsen training (STL), in per cent; negative is better.

$$ \Delta m_m = \frac{100}{K}\sum_{k=1}^{K} \frac{e_m^{(k)} - e_{STL}^{(k)}}{e_{STL}^{(k)}}, $$

a task k is one (case, Knudsen number, field) for which a network was trained for that Knudsen number alone
(`kinetic study --single`, contender `stl`).

Reference: Maninis, Radosavovic, Kokkinos (2019), Attentive Single-Tasking of Multiple Tasks, CVPR, arXiv:1904.08918.
"""

import numpy as np

from ..metrics import SINGLE, Row, by_task

title = "Delta-m %"
better = "lower"


def measure(rows: list[Row]) -> dict[str, float]:
    """Delta-m in per cent by contender, over the tasks that STL solved; empty without STL."""
    change: dict[str, list[float]] = {}
    for task in by_task(rows).values():
        if SINGLE in task:
            base = float(np.mean(task[SINGLE]))
            for name, errors in task.items():
                change.setdefault(name, []).append(float(np.mean(errors)) / base - 1.0)
    return {name: 100.0 * float(np.mean(values)) for name, values in change.items()}
