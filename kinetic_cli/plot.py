"""Figures of a comparison, as PNG for the screen and PDF for print, one colour-blind safe style."""

from pathlib import Path
from typing import Any

import numpy as np

from solvers.problem.check import Outcome
from solvers.problem.result import Result

#: Okabe, Ito (2008), Color Universal Design
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
}


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(STYLE)  # type: ignore[arg-type]
    return plt


def _save(figure: Any, folder: Path, name: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.pdf"]
    for path in paths:
        figure.savefig(path, metadata={"CreationDate": None} if path.suffix == ".pdf" else None)
    _pyplot().close(figure)
    return paths


def case_figures(group: dict[str, Any]) -> list[Path]:
    """Profiles per Knudsen number, error over eps and training history of one case; returns the files."""
    path, reference = group["reference"]
    folder = path.parent / "figures"
    results = [result for _, result, _ in group["results"]]
    files = []
    if "y" not in reference.coordinates:
        for field in (name for name in reference.fields if name != "f"):
            files += _save(profiles(reference, results, field), folder, f"profiles-{field}")
    if results:
        files += _save(errors_over_eps(reference, group["results"]), folder, "errors")
    trained = [result for result in results if len(result.history.get("iteration", [])) > 1]
    if trained:
        files += _save(histories(trained), folder, "history")
    return files


def profiles(reference: Result, results: list[Result], field: str) -> Any:
    """One panel per Knudsen number: the field at the last output time, reference, results and limit."""
    plt = _pyplot()
    eps_axis = reference.coordinates["eps"]
    columns = min(3, len(eps_axis))
    rows = -(-len(eps_axis) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 2.3 * rows), sharex=True, squeeze=False)
    for i, (eps, axis) in enumerate(zip(eps_axis, axes.flat, strict=False)):
        axis.plot(
            reference.coordinates["x"], reference.fields[field][i, -1], "k-", lw=2.2, alpha=0.5, label="reference"
        )
        if field in reference.limit:
            axis.plot(reference.coordinates["x"], reference.limit[field][-1], ":", color="0.4", lw=1, label="limit")
        for colour, result in zip(COLOURS, results, strict=False):
            n = result.index("eps", eps)
            if field in result.fields and n is not None:
                profile = result.fields[field][n, -1]
                axis.plot(result.coordinates["x"], profile, "--", color=colour, lw=1.2, label=result.run)
        axis.set_title(rf"$\varepsilon$ = {eps:g}", fontsize=9)
    for axis in axes.flat[len(eps_axis) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("x")
    for row in axes:
        row[0].set_ylabel(field)
    axes.flat[0].legend(fontsize=7)
    figure.suptitle(f"{reference.case.title}, {field} at t = {reference.coordinates['t'][-1]:g}", fontsize=10)
    return figure


def field_figure(results: list[Result], field: str, numbers: Any, path: Path) -> None:
    """One field at the last output time: a panel per Knudsen number with a curve (in the plane: a map) per result."""
    plt = _pyplot()
    plane = "y" in results[0].coordinates
    panels = [(eps, shown) for eps in numbers for shown in ([[result] for result in results] if plane else [results])]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.6 * rows), squeeze=False)
    for (eps, shown), axis in zip(panels, axes.flat, strict=False):
        for k, result in enumerate(shown):
            i = result.index("eps", eps)
            if i is None:
                continue
            x, values = result.coordinates["x"], result.fields[field][i, -1]
            if plane:
                image = axis.pcolormesh(x, result.coordinates["y"], values.T, cmap="viridis", shading="nearest")
                figure.colorbar(image, ax=axis)
                axis.set_aspect("equal")
            else:
                style = (
                    {"color": "k", "lw": 2.2, "alpha": 0.5}
                    if k == 0
                    else {"color": COLOURS[(k - 1) % len(COLOURS)], "ls": "--"}
                )
                axis.plot(x, values, label=result.run, **style)
        axis.set_title(rf"{field}, $\varepsilon$ = {eps:g}" + (f", {shown[0].run}" if plane else ""), fontsize=8)
        axis.set_xlabel("x")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    if not plane:
        axes.flat[0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"CreationDate": None} if path.suffix == ".pdf" else None)
    plt.close(figure)


def errors_over_eps(reference: Result, compared: list[tuple[Path, Result, list[dict[str, Any]]]]) -> Any:
    """Relative L2 error of rho over eps, unseen Knudsen numbers as hollow marks; the reference's own error as a band."""
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(4.6, 3.2))
    for colour, (_, result, rows) in zip(COLOURS, compared, strict=False):
        points = [
            (row["eps"], row["relative_l2"], row["seen"])
            for row in rows
            if row["field"] == "rho" and row["t"] is None and row["relative_l2"]
        ]
        if points:
            numbers, errors, seen = (np.array(column) for column in zip(*points, strict=True))
            axis.loglog(numbers, errors, "-", color=colour, lw=1, label=result.run)
            axis.loglog(numbers[seen], errors[seen], "o", color=colour, ms=5)
            axis.loglog(numbers[~seen], errors[~seen], "o", color=colour, ms=5, mfc="white")
    if "rho" in reference.uncertainty:
        band = reference.uncertainty["rho"].max(axis=1)
        axis.fill_between(
            reference.coordinates["eps"], band, band.min() * 1e-2, color="0.85", label="reference's own error"
        )
    axis.set_xlabel(r"Knudsen number $\varepsilon$ (hollow: unseen)")
    axis.set_ylabel(r"relative $L^2$ error of $\rho$")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=7)
    axis.set_title(reference.case.title, fontsize=9)
    return figure


def verification_figure(name: str, outcomes: list[Outcome], folder: Path) -> list[Path]:
    """What one verification compares: a panel per outcome with curves, computed on exact; returns the files."""
    plt = _pyplot()
    columns = min(3, len(outcomes))
    rows = -(-len(outcomes) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.6 * rows), squeeze=False)
    for outcome, axis in zip(outcomes, axes.flat, strict=False):
        axis.plot(outcome.x, outcome.exact, "k-", lw=2.2, alpha=0.5, label="exact")
        axis.plot(outcome.x, outcome.computed, "--", color=COLOURS[0], lw=1.2, label="computed")
        axis.set_title(outcome.quantity, fontsize=8)
        axis.set_xlabel(outcome.axis)
    for axis in axes.flat[len(outcomes) :]:
        axis.set_visible(False)
    axes.flat[0].legend(fontsize=7)
    return _save(figure, folder, name)


def histories(results: list[Result]) -> Any:
    """Loss over wall time."""
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(4.6, 3.2))
    for colour, result in zip(COLOURS, results, strict=False):
        if "loss" in result.history:
            axis.semilogy(result.history["seconds"], result.history["loss"], color=colour, lw=1, label=result.run)
    axis.set_xlabel("seconds")
    axis.set_ylabel("loss")
    axis.legend(fontsize=7)
    return figure
