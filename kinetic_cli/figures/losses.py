"""Every loss by its name, and the weights that the method gave to the tasks, over the steps of one run.

Panels: losses of the residuals, losses of the tasks (bins of eps), weights of the tasks.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..plot import View, colour, panels, pyplot_now, task_edges


def figures(view: View) -> Iterator[tuple[str, Any]]:
    """One figure per trained result."""
    for result in view.results:
        if len(result.history.get("loss", [])) > 1:
            yield f"-{result.run}", losses(result)


def losses(result: Any) -> Any:
    """Logarithmic; a task's colour says its Knudsen numbers, from small (dark) to large."""
    history = {key: np.asarray(rows, dtype=float) for key, rows in result.history.items()}
    steps = history["iteration"]
    tasks = [key for key in history if key.startswith("loss/task")]
    residuals = [key for key in history if key.startswith("loss/") and key not in tasks]
    shown = ["residuals", "tasks", *(["weights"] if "weights" in history else [])]
    figure, axes = panels(len(shown), width=3.4, height=2.9)
    shades = pyplot_now().get_cmap("viridis")(np.linspace(0.0, 0.9, max(1, len(tasks))))
    for k, key in enumerate(residuals):
        axes[0].semilogy(steps, history[key], color=colour(k), lw=1, label=key.removeprefix("loss/"))
    axes[0].legend()
    edges = task_edges(result, len(tasks)) if tasks else []
    for k, (key, shade) in enumerate(zip(tasks, shades, strict=True)):
        axes[1].semilogy(steps, history[key], color=shade, lw=1, label=f"{edges[k]:.1e}")
    if tasks:
        axes[1].legend(ncols=2, title=r"$\varepsilon$ from", title_fontsize=7)
    for axis, name in zip(axes, ("loss by residual", "loss by task", "weight by task"), strict=False):
        axis.set_title(name)
        axis.set_xlabel("step")
    if "weights" in history:
        axes[2].set_xlim(steps[0], steps[np.isfinite(history["weights"]).all(axis=1)].max())
        for column, shade in zip(history["weights"].T, shades, strict=False):
            axes[2].plot(steps, column, color=shade, lw=1)
        if np.nanmin(history["weights"]) > 0.0:
            axes[2].set_yscale("log")
    figure.suptitle(f"{result.case.title}, {result.run}")
    return figure
