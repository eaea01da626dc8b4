"""Maps of a field in the plane at the last output time: a row per Knudsen number, the reference and every result.

One figure per field, in two space dimensions.
"""

from collections.abc import Iterator
from typing import Any

from ..plot import View, panels, pyplot_now


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure per chosen field."""
    if view.plane:
        for field in view.fields:
            yield f"-{field}", maps(view, field)


def maps(view: View, field: str) -> Any:
    """A map per Knudsen number and result."""
    shown = [(eps, result) for eps in view.eps for result in view.all if field in result.fields]
    figure, axes = panels(len(shown), columns=max(1, min(4, len(view.all))), width=3.0, height=2.6)
    for (eps, result), axis in zip(shown, axes, strict=True):
        i = result.index("eps", eps)
        if i is not None:
            x, y, values = result.coordinates["x"], result.coordinates["y"], result.fields[field][i, -1]
            image = axis.pcolormesh(x, y, values.T, shading="nearest", rasterized=True)
            pyplot_now().colorbar(image, ax=axis)
        axis.set_aspect("equal")
        axis.grid(False)
        axis.set_title(rf"{result.run}, $\varepsilon$ = {eps:g}", fontsize=8)
    figure.suptitle(f"{view.title}, {field} at t = {view.all[0].coordinates['t'][-1]:g}")
    return figure
