"""Conflict between the tasks of one run: cosines of their gradients over log eps, early, midway and late, and over training.

Above: the cosine matrix of the tasks at three moments (blue pulls together, red pulls apart), and that of the residuals at
the end.  Below: over the steps, the cosine of the step that was taken with every task's gradient, and the alignment scores
(`apnn/diagnostics.py`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..plot import View, colour, pyplot_now, task_edges


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure per result that looked at its conflict."""
    for result in view.results:
        if {"cosines", "residual_cosines", "step_cosines"} <= result.history.keys():
            yield f"-{result.run}", conflict(result)


def conflict(result: Any) -> Any:
    """Two rows of panels."""
    plt = pyplot_now()
    history = {key: np.asarray(rows, dtype=float) for key, rows in result.history.items()}
    looked, whole = (
        np.flatnonzero(np.isfinite(history[name]).all(axis=(1, 2))) for name in ("cosines", "residual_cosines")
    )
    steps = history["iteration"]
    edges = np.log10(task_edges(result, history["cosines"].shape[1]))
    scale = {"cmap": "RdBu", "vmin": -1.0, "vmax": 1.0}
    figure, axes = plt.subplots(2, 4, figsize=(11.0, 5.4), width_ratios=(1, 1, 1, 1))
    for axis, k in zip(axes[0], looked[[0, len(looked) // 2, -1]], strict=False):
        image = axis.pcolormesh(edges, edges, history["cosines"][k], **scale)
        axis.set_aspect("equal")
        axis.set_title(f"tasks, step {steps[k]:g}")
        axis.set_xlabel(r"$\log_{10}\varepsilon$")
    axes[0, 3].imshow(history["residual_cosines"][whole[-1]], origin="lower", **scale)
    names = [key.removeprefix("loss/") for key in history if key.startswith("loss/") and "/task" not in key]
    axes[0, 3].set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
    axes[0, 3].set_yticks(range(len(names)), names, fontsize=7)
    axes[0, 3].set_title(f"residuals, step {steps[whole[-1]]:g}")
    figure.colorbar(image, ax=axes[0], label="cosine")
    for axis in axes[1]:
        axis.remove()
    grid = axes[1, 0].get_gridspec()
    map_axis, score_axis = figure.add_subplot(grid[1, :2]), figure.add_subplot(grid[1, 2:])
    shown = map_axis.pcolormesh(
        steps[whole],
        0.5 * (edges[1:] + edges[:-1]),
        history["step_cosines"][whole].T,
        shading="nearest",
        **scale,
    )
    map_axis.set_ylabel(r"$\log_{10}\varepsilon$ of the task")
    map_axis.set_title("cosine of the step taken with each task's gradient")
    figure.colorbar(shown, ax=map_axis)
    for k, name in enumerate(("intra_step", "inter_step", "stationarity")):
        if name in history:
            score_axis.plot(steps[looked], history[name][looked], color=colour(k), lw=1, label=name.replace("_", " "))
    score_axis.legend()
    for axis in (map_axis, score_axis):
        axis.set_xlabel("step")
    for axis in [*axes[0], map_axis]:
        axis.grid(False)
    figure.suptitle(f"{result.case.title}, {result.run}")
    return figure
