r"""Mean rank (MR): the mean over tasks of a contender's place among all contenders, 1 the best, ties shared.

$$ MR_m = \frac1K\sum_{k=1}^{K} \mathrm{rank}\big(e_m^{(k)}\big), $$

a task k is one (case, Knudsen number, field); errors are averaged over seeds first; a contender without a finite error in a
task takes the last place there.  Single-Knudsen training (STL) is the base of Delta-m, not a contender: it has no rank.

Reference: Navon et al. (2022), Multi-Task Learning as a Bargaining Game, ICML, arXiv:2202.01017; Liu et al. (2023), FAMO,
arXiv:2306.03792.
"""

import numpy as np

from ..metrics import SINGLE, Row, by_task, mean_ranks

title = "mean rank"
better = "lower"


def measure(rows: list[Row]) -> dict[str, float]:
    """Mean rank by contender; empty with fewer than two."""
    tasks = by_task(rows)
    contenders = sorted({name for task in tasks.values() for name in task} - {SINGLE})
    if len(contenders) < 2:
        return {}
    return mean_ranks(
        {c: [float(np.mean(t[c])) if c in t else float("nan") for t in tasks.values()] for c in contenders}
    )
