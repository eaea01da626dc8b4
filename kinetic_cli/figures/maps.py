"""Maps over (x, y) at the last output time: a row per Knudsen number, the reference, then what differs from it and by how much.

One figure per field, in two space dimensions.  Without a reference the results themselves.  Values in cividis (Nunez,
Anderton, Renslow 2018, DOI 10.1371/journal.pone.0199239), differences in PuOr centred at zero: both are told apart with
every kind of colour vision.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from solvers.problem.distance import cell_weights, on_grid, relative_l2
from solvers.problem.result import Result

from ..plot import View, panels, pyplot_now

VALUES, DIFFERENCES = "cividis", "PuOr"


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure per chosen field."""
    if view.plane:
        for field in view.fields:
            yield f"-{field}", maps(view, field)


def maps(view: View, field: str) -> Any:
    """A row per Knudsen number: the field of the first result, then limit and other results minus the reference."""
    first, others = view.all[0], [result for result in view.all[1:] if field in result.fields]
    limited = view.reference is not None and field in view.reference.limit
    columns = 1 + limited + len(others)
    figure, axes = panels(len(view.eps) * columns, columns=columns, width=2.9, height=2.5)
    for eps, row in zip(view.eps, np.reshape(np.array(axes, dtype=object), (-1, columns)), strict=True):
        truth = at_the_end(first, field, eps)
        draw(row[0], first, truth, VALUES, rf"{field}, {first.run}, $\varepsilon$ = {eps:g}")
        if view.reference is not None and limited:
            draw_difference(row[1], view.reference, "limit", view.reference.limit[field][-1], truth)
        for result, axis in zip(others, row[1 + limited :], strict=True):
            values = at_the_end(result, field, eps)
            if view.reference is None or values is None or truth is None:
                draw(axis, result, values, VALUES, rf"{field}, {result.run}, $\varepsilon$ = {eps:g}")
            else:
                values = on_grid(values[None], result.coordinates, first.coordinates)[0]
                draw_difference(axis, first, result.run, values, truth)
    figure.suptitle(f"{view.title}, {field} at t = {first.coordinates['t'][-1]:g}")
    return figure


def at_the_end(result: Result, field: str, eps: float) -> Any:
    """The field at the last output time; None if this Knudsen number is not there."""
    i = result.index("eps", eps)
    return None if i is None or field not in result.fields else result.fields[field][i, -1]


def draw_difference(axis: Any, reference: Result, name: str, values: Any, truth: Any) -> None:
    """values - truth, its relative L2 norm in the title."""
    if truth is None:
        axis.set_visible(False)
        return
    distance = relative_l2(values, truth, cell_weights(reference.coordinates))
    said = f": {distance:.1e}" if np.isfinite(distance) else ""
    draw(axis, reference, values - truth, DIFFERENCES, f"{name} - {reference.run}{said}")


def draw(axis: Any, result: Result, values: Any, colours: str, title: str) -> None:
    """One map with its colour bar; an empty place where there are no values."""
    if values is None:
        axis.set_visible(False)
        return
    size = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    ends = {"vmin": -size, "vmax": size} if colours == DIFFERENCES else {}
    x, y = result.coordinates["x"], result.coordinates["y"]
    image = axis.pcolormesh(x, y, values.T, cmap=colours, shading="nearest", rasterized=True, **ends)
    bar = pyplot_now().colorbar(image, ax=axis)
    bar.ax.tick_params(labelsize=7)
    bar.formatter.set_powerlimits((-2, 3))
    axis.set_aspect("equal")
    axis.grid(False)
    axis.set_title(title, fontsize=8)
