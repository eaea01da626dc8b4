"""`kinetic plot RESULT...`: one figure of one or more results, or a quick look in the terminal."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from solvers.problem.registry import nearest
from solvers.problem.result import Result, is_checkpoint
from solvers.problem.status import BadInput

from . import screen
from .comparison import error_rows
from .kinds import figures

WIDTH, HEIGHT = 70, 15


def plot(
    result_files: Annotated[
        list[Path], typer.Argument(metavar="RESULT", help="Result files; a reference is drawn as such.")
    ],
    figure: Annotated[str, typer.Option(help="Which figure: `kinetic list figures`.")] = "",
    field: Annotated[str, typer.Option(help="Field to draw.")] = "rho",
    eps: Annotated[float | None, typer.Option(help="Knudsen number; else all of the first result.")] = None,
    out: Annotated[Path, typer.Option(help="File to write; its ending says the format (png, pdf, svg).")] = Path(
        "plot.png"
    ),
    dark: Annotated[bool, typer.Option("--dark", help="Light lines on dark.")] = False,
    terminal: Annotated[bool, typer.Option("--terminal", help="Draw in the terminal instead.")] = False,
) -> None:
    """Draw one figure of results: by default a field at the last output time.

    Example: kinetic plot results/sod/reference.h5 results/sod/hrgrad-seed0.h5 --field T --eps 1e-3 --out T.pdf
    """
    files = [file for file in result_files if not is_checkpoint(file)] or result_files  # results/sod/*.h5 has both
    results = [Result.read(file) for file in files]
    for file, result in zip(files, results, strict=True):
        if field not in result.fields:
            raise BadInput(f"{file}: has no field '{field}': {nearest(field, result.fields)}")
        if eps is not None and result.index("eps", eps) is None:
            there = ", ".join(f"{value:g}" for value in result.coordinates["eps"])
            raise BadInput(f"{file}: has no eps = {eps:g}; it has {there}")
        if ("y" in result.coordinates) != ("y" in results[0].coordinates):
            raise BadInput(f"{file}: has other space dimensions than {files[0]}; draw them apart")
    chosen = results[0].coordinates["eps"] if eps is None else np.array([eps])
    if terminal:
        for value in chosen:
            for result in results:
                screen.answer(f"{result.run}: {field}, eps = {value:g}, t = {result.coordinates['t'][-1]:g}")
                screen.answer(quick_look(result, field, value))
        return
    from .plot import FORMATS, View, pyplot, save

    if out.suffix not in FORMATS:
        raise BadInput(f"--out {out}: the ending must be .png, .pdf or .svg")
    draw = figures.load(figure or ("maps" if "y" in results[0].coordinates else "profiles"))
    references = [result for result in results if result.kind == "reference"]
    reference = references[0] if references else None
    others = [result for result in results if result is not reference]
    rows = [row for result in others for row in (error_rows(result, reference)[0] if reference else [])]
    pyplot(dark)
    drawn = list(draw(View(reference, others, rows, (field,), tuple(chosen))))
    if not drawn:
        raise BadInput(
            f"--figure {figure}: these results hold nothing for it; `kinetic explain {figure}` says what it needs"
        )
    for suffix, made in drawn:
        path = out if len(drawn) == 1 else out.with_name(f"{out.stem}{suffix}{out.suffix}")
        screen.answer(str(save(made, [path])[0]))


def quick_look(result: Result, field: str, eps: float) -> str:
    """The field along x (in the plane: along the middle row) in braille dots, two by four to a character."""
    i = result.index("eps", eps)
    if i is None or "x" not in result.coordinates:
        return "(not there)"
    values: Any = result.fields[field][i, -1]
    values = values if values.ndim == 1 else values[:, values.shape[1] // 2]
    x = result.coordinates["x"]
    columns = np.linspace(x[0], x[-1], 2 * WIDTH)
    y = np.interp(columns, x, values)
    low, high = float(y.min()), float(y.max())
    span = high - low if high > low else 1.0
    rows = np.rint((high - y) / span * (4 * HEIGHT - 1)).astype(int)
    dots = np.zeros((HEIGHT, WIDTH), dtype=int)
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    for k, (a, b) in enumerate(zip(rows, np.r_[rows[1:], rows[-1]], strict=True)):
        for row in range(min(a, b), max(a, b) + 1):
            dots[row // 4, k // 2] |= bits[row % 4][k % 2]
    lines = ["".join(chr(0x2800 + cell) for cell in line) for line in dots]
    labels = [f"{high:9.3g} ", *[" " * 10] * (HEIGHT - 2), f"{low:9.3g} "]
    ends = f"{x[0]:.3g}"
    return "\n".join(
        [*(a + b for a, b in zip(labels, lines, strict=True)), f"{'':10}{ends}{x[-1]:>{WIDTH - len(ends)}.3g}"]
    )
