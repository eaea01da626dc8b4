"""Relative L2 error of rho over the Knudsen number, unseen ones as hollow marks; the reference's own error as a band.

Curves belong to single runs: the first seed of each of the best contenders.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..plot import View, colour, panels


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure where results have been compared."""
    names = {result.run for result in view.results}
    rows = [row for row in view.rows if row["field"] == "rho" and row["t"] is None and row["relative_l2"]]
    if any(row["run"] in names for row in rows):
        yield "", errors(view, rows)


def errors(view: View, rows: list[dict[str, Any]]) -> Any:
    """Both axes logarithmic."""
    figure, (axis,) = panels(1, width=4.6, height=3.2)
    for k, result in enumerate(view.results):
        own = sorted((r["eps"], r["relative_l2"], r["seen"]) for r in rows if r["run"] == result.run)
        if not own:
            continue
        numbers, values, seen = (np.array(column) for column in zip(*own, strict=True))
        axis.loglog(numbers, values, "-", color=colour(k), lw=1, label=result.run)
        axis.loglog(numbers[seen], values[seen], "o", color=colour(k), ms=5)
        axis.loglog(numbers[~seen], values[~seen], "o", color=colour(k), ms=5, mfc="none")
    if view.reference and "rho" in view.reference.uncertainty:
        band = view.reference.uncertainty["rho"].max(axis=1)
        numbers = view.reference.coordinates["eps"]
        axis.fill_between(
            numbers, band, np.nanmin(band) * 1e-2, color="0.5", alpha=0.3, lw=0, label="reference's own error"
        )
    axis.set_xlabel(r"Knudsen number $\varepsilon$ (hollow: unseen)")
    axis.set_ylabel(r"relative $L^2$ error of $\rho$")
    axis.legend()
    axis.set_title(view.title)
    return figure
