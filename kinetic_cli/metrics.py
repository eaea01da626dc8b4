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
    """p-value of a paired t-test between two contenders: mean log error of rho per seed; NaN with fewer than two seeds."""
    from scipy.stats import ttest_rel

    logs: dict[tuple[str, int], dict[Task, float]] = defaultdict(dict)
    for row in rows:
        if row["t"] is None and row["field"] == "rho" and row["relative_l2"]:
            logs[contender(row), row["seed"]][row["case"], row["eps"], "rho"] = float(np.log(row["relative_l2"]))
    seeds = sorted({seed for name, seed in logs if name == first} & {seed for name, seed in logs if name == second})
    pairs = []
    for seed in seeds:
        a, b = logs[first, seed], logs[second, seed]
        both = a.keys() & b.keys()
        if both:
            pairs.append((np.mean([a[task] for task in both]), np.mean([b[task] for task in both])))
    if len(pairs) < 2:
        return float("nan")
    a_mean, b_mean = np.array(pairs).T
    difference = a_mean - b_mean
    if np.ptp(difference) == 0.0:
        return 1.0 if difference[0] == 0.0 else 0.0
    return float(ttest_rel(a_mean, b_mean).pvalue)


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
