"""`kinetic check FILE`: hold a case or a result against its format."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from solvers.problem.result import Result
from solvers.problem.status import BadInput, Status

from . import screen
from .cases import Settings, Variant, load_case, train_options


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Case (.toml) or result (.h5).")],
    variant: Variant = None,
    settings: Settings = [],  # noqa: B006 typer copies it
) -> None:
    """Check a case file or a result file and say what it holds.

    Example: kinetic check cases/sod.toml
    """
    if file.suffix == ".h5":
        check_result(file)
        return
    case = load_case(file, variant, settings)
    if case.train:  # what the names in [train] stand for knows which options it has
        from apnn.model import network_options
        from apnn.train import chosen_method

        options = train_options(case)
        network_options(options)
        if options.steps:
            chosen_method(options)
    screen.answer(f"{file}: a valid case: {case.title}")
    screen.answer(f"equation {case.equation.kind}; eps {', '.join(f'{e:g}' for e in case.knudsen.all)}")
    screen.answer(f"problem {case.problem_sha256[:16]}, case {case.sha256[:16]}")


def check_result(file: Path) -> None:
    """Read a result, then look for values that are not finite."""
    result = Result.read(file)
    holes = [name for name, values in result.fields.items() if not np.isfinite(values).all()]
    if holes and result.status is Status.DONE:
        raise BadInput(f"{file}: status is 'done', but these fields are not finite everywhere: {', '.join(holes)}")
    sizes = ", ".join(f"{axis} {len(values)}" for axis, values in result.coordinates.items())
    screen.answer(f"{file}: a valid {result.kind} result of case {result.case.name}, status {result.status}")
    screen.answer(f"axes: {sizes}; fields: {', '.join(result.fields) or 'none yet'}")
    if holes:
        screen.answer(f"not complete: {', '.join(holes)}")
