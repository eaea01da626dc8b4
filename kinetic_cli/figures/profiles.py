"""Profiles at the last output time, a panel per Knudsen number: reference, results and limit.

One figure per field, in one space dimension; `maps` is its counterpart in the plane.
"""

from collections.abc import Iterator
from typing import Any

from ..plot import View, colour, ink, panels


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure per chosen field."""
    if not view.plane:
        for field in view.fields:
            yield f"-{field}", profiles(view, field)


def profiles(view: View, field: str) -> Any:
    """A panel per Knudsen number; the reference is the broad line."""
    figure, axes = panels(len(view.eps), sharex=True)
    for eps, axis in zip(view.eps, axes, strict=True):
        for k, result in enumerate(view.all, start=0 if view.reference else 1):
            i = result.index("eps", eps)
            if field not in result.fields or i is None:
                continue
            style = {"color": colour(k - 1), "ls": "--", "lw": 1.2} if k else {"color": ink(), "lw": 2.2, "alpha": 0.5}
            axis.plot(result.coordinates["x"], result.fields[field][i, -1], label=result.run, **style)
        if view.reference and field in view.reference.limit:
            x, limit = view.reference.coordinates["x"], view.reference.limit[field][-1]
            axis.plot(x, limit, ":", color="0.5", lw=1, label="limit")
        if view.reference and field in view.reference.correction:
            reference, i = view.reference, view.reference.index("eps", eps)
            if i is not None:
                label = reference.case.equation.correction.replace("_", " ")
                y = reference.correction[field][i, -1]
                axis.plot(reference.coordinates["x"], y, "-.", color="0.5", lw=1, label=label)
        axis.set_title(rf"$\varepsilon$ = {eps:g}")
    for axis in axes[-min(3, len(axes)) :]:
        axis.set_xlabel("x")
    axes[0].set_ylabel(field)
    axes[0].legend()
    figure.suptitle(f"{view.title}, {field} at t = {view.all[0].coordinates['t'][-1]:g}")
    return figure
