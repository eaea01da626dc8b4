"""The distribution f(x, v) as an image, at the last output time: a row per result that stores f, a column per Knudsen number.

A reference stores f with `--set reference.distribution=true`; v is the first velocity.
"""

from collections.abc import Iterator
from typing import Any

from ..plot import View, images


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure where a result in one space and one velocity dimension stores f."""
    stored = [result for result in view.all if "f" in result.fields and {"x", "v"} <= result.coordinates.keys()]
    if stored:
        yield "", distributions(view, stored)


def distributions(view: View, stored: list[Any]) -> Any:
    """f over x and v."""
    figure = images(view, stored, lambda result, i: result.fields["f"][i, -1].T, up="v")
    figure.suptitle(f"{view.title}, f at t = {stored[0].coordinates['t'][-1]:g}")
    return figure
