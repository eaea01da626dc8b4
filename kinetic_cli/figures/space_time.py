"""Space-time maps of a field: x to the right, t upwards, a panel per Knudsen number and result.

Drawn where there are enough output times to see a motion (`kinetic predict --times` gives as many as one likes).
"""

from collections.abc import Iterator
from typing import Any

from ..plot import View, panels, pyplot_now

#: output times below which a map shows nothing that the profiles do not show
FEWEST = 8


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure per chosen field, of the results with enough times."""
    long = [result for result in view.all if len(result.coordinates["t"]) >= FEWEST and not view.plane]
    for field in view.fields if long else ():
        yield f"-{field}", space_time(view, [result for result in long if field in result.fields], field)


def space_time(view: View, results: list[Any], field: str) -> Any:
    """One colour scale per Knudsen number would hide the decay: one per panel."""
    shown = [(eps, result, result.index("eps", eps)) for eps in view.eps for result in results]
    shown = [(eps, result, i) for eps, result, i in shown if i is not None]
    figure, axes = panels(len(shown), height=2.4)
    for (eps, result, i), axis in zip(shown, axes, strict=True):
        x, t = result.coordinates["x"], result.coordinates["t"]
        image = axis.pcolormesh(x, t, result.fields[field][i], shading="nearest", rasterized=True)
        pyplot_now().colorbar(image, ax=axis)
        axis.grid(False)
        axis.set_title(rf"{result.run}, $\varepsilon$ = {eps:g}", fontsize=8)
        axis.set_xlabel("x")
        axis.set_ylabel("t")
    figure.suptitle(f"{view.title}, {field}")
    return figure
