"""Loss and worst error of rho over the seconds of training, a curve per result.

The error is the largest relative L2 error over the reference's Knudsen numbers, looked at now and then during the run.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..plot import View, colour, panels

COLUMNS = {"loss": "loss", "error_rho": r"worst relative $L^2$ error of $\rho$"}


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure where something was trained."""
    trained = [result for result in view.results if len(result.history.get("loss", [])) > 1]
    if trained:
        figure = histories(trained)
        figure.suptitle(view.title)
        yield "", figure


def histories(results: list[Any]) -> Any:
    """A panel per column that any of the results has."""
    columns = [column for column in COLUMNS if any(column in result.history for result in results)]
    figure, axes = panels(len(columns), width=4.4, height=3.2)
    for column, axis in zip(columns, axes, strict=True):
        for k, result in enumerate(results):
            if column in result.history:
                seconds, values = (np.asarray(result.history[key], dtype=float) for key in ("seconds", column))
                known = np.isfinite(values)
                axis.semilogy(seconds[known], values[known], color=colour(k), lw=1, label=result.run)
        axis.set_xlabel("seconds of training")
        axis.set_ylabel(COLUMNS[column])
    axes[0].legend()
    return figure
