"""Statistics of a comparison: tasks, mean ranks, fronts, tests over seeds, and how the error falls with eps.

An error row is a dictionary (`kinetic compare --json`); a task is one (case, eps, field), all output times together; a
contender is a method with whatever else its run name says, seeds put together.  All dimensionless.
"""

import re
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Row = dict[str, Any]
Task = tuple[str, float, str]

#: the contender that was trained for one Knudsen number at a time
SINGLE = "stl"
#: share of the largest slope above which a cell belongs to a front or layer
STEEP = 0.25


def contender(row: Row) -> str:
    """The run's name without its seed and single Knudsen number: what is compared."""
    return re.sub(r"(-eps[0-9.]+(e-?\d+)?)?-seed\d+$", "", str(row["run"]))


def by_task(rows: list[Row]) -> dict[Task, dict[str, list[float]]]:
    """(case, eps, field) -> contender -> errors over seeds, all output times together."""
    tasks: dict[Task, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["t"] is None and row["relative_l2"] is not None:
            tasks[row["case"], row["eps"], row["field"]][contender(row)].append(row["relative_l2"])
    return tasks


def mean_errors(rows: list[Row]) -> dict[str, dict[float, float]]:
    """contender -> eps -> geometric mean of the errors of rho over seeds, of one case; the best contender first."""
    logs: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["field"] == "rho" and row["t"] is None and row["relative_l2"]:
            logs[contender(row)][row["eps"]].append(float(np.log10(row["relative_l2"])))
    means = {name: {eps: float(np.mean(values)) for eps, values in cells.items()} for name, cells in logs.items()}
    order = sorted(means, key=lambda name: float(np.mean(list(means[name].values()))))
    return {name: {eps: 10.0**value for eps, value in means[name].items()} for name in order}


def front_score(value: Array, reference: Array, x: Array) -> float:
    """F1 of detecting the steep cells of `reference`, both (t, x); NaN where it is flat (`kinetic explain f1`)."""
    slopes = [np.abs(np.gradient(field, x, axis=-1)) for field in (value, reference)]
    steepest = slopes[1].max(axis=-1, keepdims=True)
    if (steepest * np.ptp(x) <= 1e-9 * np.abs(reference).max()).all():
        return float("nan")
    threshold = STEEP * steepest
    ours, theirs = (slope > threshold for slope in slopes)
    hits, wrong = np.sum(ours & theirs), np.sum(ours != theirs)
    return float(2 * hits / (2 * hits + wrong))


def paired_p(rows: list[Row], first: str, second: str) -> float:
    r"""p-value of a paired t-test over seeds between two contenders, stratified by case; NaN without two seeds of a case.

    d_cs is the mean over eps of the log ratio of their errors of rho in case c with seed s.  The mean over cases of its mean
    over seeds has the variance $V = \sum_c V_c$, $V_c = s_c^2/(n_cC^2)$: seeds are the noise, cases are not; degrees of
    freedom are $V^2/\sum_c V_c^2/(n_c-1)$ (Welch, Satterthwaite).
    """
    from scipy.stats import t as student

    logs: dict[tuple[str, int], dict[str, dict[float, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        name = contender(row)
        if name in (first, second) and row["t"] is None and row["field"] == "rho" and row["relative_l2"]:
            logs[row["case"], row["seed"]][name][row["eps"]] = float(np.log(row["relative_l2"]))
    differences: dict[str, list[float]] = defaultdict(list)
    for (case, _), by_name in logs.items():
        a, b = by_name[first], by_name[second]
        if both := a.keys() & b.keys():
            differences[case].append(float(np.mean([a[eps] - b[eps] for eps in both])))
    blocks = [np.array(values) for values in differences.values() if len(values) > 1]
    if not blocks:
        return float("nan")
    mean = float(np.mean([block.mean() for block in blocks]))
    variances = np.array([block.var(ddof=1) / len(block) for block in blocks]) / len(blocks) ** 2
    V = float(variances.sum())
    if V == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    freedom = V**2 / float(np.sum(variances**2 / np.array([len(block) - 1 for block in blocks])))
    return 2.0 * float(student.sf(abs(mean) / V**0.5, freedom))


def mean_ranks(errors: dict[str, list[float]]) -> dict[str, float]:
    """Mean rank of each method over tasks (1 is best, ties share); `errors[method][task]`, NaN counts as worst."""
    from scipy.stats import rankdata

    methods = list(errors)
    table = np.nan_to_num(np.array([errors[m] for m in methods]), nan=np.inf)
    ranks = np.array([rankdata(column) for column in table.T])
    return {m: float(r) for m, r in zip(methods, ranks.mean(axis=0), strict=True)} if ranks.size else {}


def slope(eps: Array, errors: Array, floor: Array | None = None) -> float:
    """Fitted exponent p of error ~ eps^p over the three smallest Knudsen numbers that can tell it; NaN with fewer.

    floor   what the error cannot be told from, of the same shape: a point counts if its error is twice as large
    """
    eps, errors = np.asarray(eps, dtype=float), np.asarray(errors, dtype=float)
    lowest = np.zeros_like(errors) if floor is None else 2.0 * np.nan_to_num(np.asarray(floor, dtype=float))
    order = np.argsort(eps)
    good = [i for i in order if errors[i] > lowest[i]][:3]
    return float(np.polyfit(np.log(eps[good]), np.log(errors[good]), 1)[0]) if len(good) == 3 else float("nan")
