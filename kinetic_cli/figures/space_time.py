"""Space-time maps of a field: x to the right, t upwards, a panel per Knudsen number and result.

Drawn where there are enough output times to see a motion (`kinetic predict --times` gives as many as one likes).
"""

from collections.abc import Iterator
from typing import Any

from ..plot import View, images

#: output times below which a map shows nothing that the profiles do not show
FEWEST = 8


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure per chosen field, of the results with enough times."""
    long = [result for result in view.all if len(result.coordinates["t"]) >= FEWEST and not view.plane]
    for field in view.fields if long else ():
        yield f"-{field}", space_time(view, [result for result in long if field in result.fields], field)


def space_time(view: View, results: list[Any], field: str) -> Any:
    """The field over x and t."""
    figure = images(view, results, lambda result, i: result.fields[field][i], up="t")
    figure.suptitle(f"{view.title}, {field}")
    return figure
