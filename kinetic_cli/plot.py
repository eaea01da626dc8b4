"""What every figure shares: one colour-blind safe style, light or dark, PNG for the screen and PDF for print.

A figure is a file of `kinetic_cli/figures`; it turns a `View` into named matplotlib figures, or into none where it has
nothing to show.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solvers.problem.check import Outcome
from solvers.problem.result import Result, atomic_write

from .cases import train_options
from .kinds import figures
from .metrics import contender, mean_errors

#: Okabe, Ito (2008), Color Universal Design
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "axes.titlesize": 9,
    "figure.titlesize": 10,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
    "image.cmap": "viridis",
}
INK, PAPER = "#e8e8e8", "#16181b"
DARK = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK)
DARK |= dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), PAPER)
#: curves in one figure, at most
MOST = 6
FORMATS = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class View:
    """What a figure may show.

    reference   the solution that the others are held against, or None
    results     one run of each contender, the best ones first, at most MOST
    rows        error rows of ALL runs (`kinetic compare --json`)
    fields, eps what was chosen; all there is otherwise
    """

    reference: Result | None
    results: list[Result]
    rows: list[dict[str, Any]] = field(default_factory=list)
    fields: tuple[str, ...] = ()
    eps: tuple[float, ...] = ()

    @property
    def all(self) -> list[Result]:
        """The reference, if there is one, and the results."""
        return [self.reference, *self.results] if self.reference else self.results

    @property
    def title(self) -> str:
        """Title of the case."""
        return self.all[0].case.title

    @property
    def plane(self) -> bool:
        """True in two space dimensions."""
        return "y" in self.all[0].coordinates


def pyplot(dark: bool = False) -> Any:
    """matplotlib.pyplot in the style of the house, without a window."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rc: Any = matplotlib.rcParams
    rc.update({key: matplotlib.rcParamsDefault[key] for key in DARK})  # type: ignore[index]
    rc.update({**STYLE, **(DARK if dark else {})})
    return plt


def panels(
    count: int, columns: int = 3, width: float = 3.2, height: float = 2.3, **options: Any
) -> tuple[Any, list[Any]]:
    """A figure and `count` axes on a grid."""
    columns = min(columns, count)
    rows = -(-count // columns)
    options = {"figsize": (width * columns, height * rows), "squeeze": False, **options}
    figure, axes = pyplot_now().subplots(rows, columns, **options)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def pyplot_now() -> Any:
    """matplotlib.pyplot as it was styled last."""
    import matplotlib.pyplot as plt

    return plt


def ink() -> Any:
    """Colour of what is not coloured: black on paper, light on dark."""
    return pyplot_now().rcParams["text.color"]


def colour(k: int) -> str:
    """The k-th colour, round and round."""
    return COLOURS[k % len(COLOURS)]


def images(view: View, results: list[Result], values: Callable[[Result, int], Any], up: str) -> Any:
    """A panel per Knudsen number and result: `values(result, i)` of shape (up, x) at the i-th eps over x and the axis `up`.

    Every panel has a colour scale of its own: f differs by decades between regimes, and a common one would hide a decay.
    """
    shown = [(eps, result, result.index("eps", eps)) for eps in view.eps for result in results]
    placed = [(eps, result, i) for eps, result, i in shown if i is not None]
    figure, axes = panels(len(placed), height=2.4)
    for (eps, result, i), axis in zip(placed, axes, strict=True):
        x, y = result.coordinates["x"], result.coordinates[up]
        image = axis.pcolormesh(x, y, values(result, i), shading="nearest", rasterized=True)
        pyplot_now().colorbar(image, ax=axis)
        axis.grid(False)
        axis.set_title(rf"{result.run}, $\varepsilon$ = {eps:g}", fontsize=8)
        axis.set_xlabel("x")
        axis.set_ylabel(up)
    return figure


def task_edges(result: Result, tasks: int) -> Any:
    """Edges in eps (tasks + 1,) of the bins that the run's own options draw its tasks from."""
    from apnn.sampling import bins

    options = train_options(result.case)
    return bins(options.focus or result.case.knudsen.train, tasks, options.knee, options.spacing).numpy()


def save(figure: Any, paths: Iterable[Path]) -> list[Path]:
    """Write a figure to files whose endings say the format, and close it; KineticError where that fails."""
    written = []
    for path in paths:
        drawn, form = io.BytesIO(), path.suffix.removeprefix(".")
        figure.savefig(drawn, format=form, metadata={"CreationDate": None} if form == "pdf" else None)
        atomic_write(path, drawn.getvalue())
        written.append(path)
    pyplot_now().close(figure)
    return written


def best_of_each(pairs: list[tuple[Result, list[dict[str, Any]]]]) -> list[Result]:
    """The first seed of the MOST best contenders, by their mean log error of rho; the others are in the tables."""
    first: dict[str, Result] = {}
    for result, _ in pairs:
        first.setdefault(contender({"run": result.run}), result)
    ranked = mean_errors([row for _, rows in pairs for row in rows])
    order = [*ranked, *(name for name in first if name not in ranked)]
    return [first[name] for name in order[:MOST]]


def case_figures(group: dict[str, Any], dark: bool = False) -> list[Path]:
    """Every figure that has something to show of one compared case; returns the files."""
    path, reference = group["reference"]
    pairs = [(result, rows) for _, result, rows in group["results"]]
    fields = tuple(name for name in reference.fields if name != "f")
    rows = [row for _, own in pairs for row in own]
    view = View(reference, best_of_each(pairs), rows, fields, tuple(reference.coordinates["eps"]))
    pyplot(dark)
    files = []
    for name in figures.names():
        for suffix, figure in figures.load(name)(view):
            stem = path.parent / "figures" / f"{name}{suffix}{'-dark' if dark else ''}"
            files += save(figure, [stem.with_name(f"{stem.name}{ending}") for ending in (".png", ".pdf")])
    return files


def verification_figure(name: str, outcomes: list[Outcome], folder: Path) -> list[Path]:
    """What one verification compares: a panel per outcome with curves, computed on exact; returns the files."""
    pyplot()
    figure, axes = panels(len(outcomes), width=3.4, height=2.6)
    for outcome, axis in zip(outcomes, axes, strict=True):
        axis.plot(outcome.x, outcome.exact, color=ink(), lw=2.2, alpha=0.5, label="exact")
        axis.plot(outcome.x, outcome.computed, "--", color=COLOURS[0], lw=1.2, label="computed")
        axis.set_title(outcome.quantity, fontsize=8)
        axis.set_xlabel(outcome.axis)
    axes[0].legend()
    return save(figure, [folder / f"{name}.png", folder / f"{name}.pdf"])
