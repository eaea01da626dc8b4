"""Heat map of the error of rho: a row per contender, a column per Knudsen number; seeds by their geometric mean.

Best contender on top.  Darker is better.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..metrics import mean_errors
from ..plot import View, panels, pyplot_now


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure where at least two contenders were compared."""
    means = mean_errors(view.rows)
    if len(means) > 1:
        yield "", heat(view, means)


def heat(view: View, means: dict[str, dict[float, float]]) -> Any:
    """log10 of the error in every cell."""
    eps = sorted({number for row in means.values() for number in row}, reverse=True)
    order = list(means)
    values = np.log10([[means[name].get(number, np.nan) for number in eps] for name in order])
    figure, (axis,) = panels(1, width=2.2 + 0.62 * len(eps), height=1.2 + 0.26 * len(order))
    image = axis.imshow(values, aspect="auto", cmap="viridis")
    axis.set_xticks(range(len(eps)), [f"{number:g}" for number in eps])
    axis.set_yticks(range(len(order)), order)
    axis.grid(False)
    middle = np.nanmean([np.nanmin(values), np.nanmax(values)])
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            shade = "white" if value < middle else "black"
            axis.text(j, i, f"{10**value:.0e}".replace("e-0", "e-"), ha="center", va="center", fontsize=7, color=shade)
    axis.set_xlabel(r"Knudsen number $\varepsilon$")
    axis.set_title(f"{view.title}: relative $L^2$ error of $\\rho$")
    pyplot_now().colorbar(image, ax=axis, label=r"$\log_{10}$ error")
    return figure
