"""The distribution f(x, v) as an image, at the last output time: a row per result that stores f, a column per Knudsen number.

A reference stores f with `--set reference.distribution=true`; v is the first velocity.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..plot import View, panels, pyplot_now


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure where a result in one space and one velocity dimension stores f."""
    stored = [result for result in view.all if "f" in result.fields and {"x", "v"} <= result.coordinates.keys()]
    if stored:
        yield "", distributions(view, stored)


def distributions(view: View, stored: list[Any]) -> Any:
    """One colour scale per panel: f differs by decades between regimes."""
    shown = [(eps, result, result.index("eps", eps)) for result in stored for eps in view.eps]
    shown = [(eps, result, i) for eps, result, i in shown if i is not None]
    figure, axes = panels(len(shown), height=2.4)
    for (eps, result, i), axis in zip(shown, axes, strict=True):
        f = np.asarray(result.fields["f"][i, -1])
        x, v = result.coordinates["x"], result.coordinates["v"]
        image = axis.pcolormesh(x, v, f.T, shading="nearest", rasterized=True)
        pyplot_now().colorbar(image, ax=axis)
        axis.grid(False)
        axis.set_title(rf"{result.run}, $\varepsilon$ = {eps:g}", fontsize=8)
        axis.set_xlabel("x")
        axis.set_ylabel("v")
    figure.suptitle(f"{view.title}, f at t = {stored[0].coordinates['t'][-1]:g}")
    return figure
