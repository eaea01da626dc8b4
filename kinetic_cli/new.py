"""`kinetic new NAME --from CASE`: start a user's own case."""

from pathlib import Path
from typing import Annotated

import typer

from solvers.problem.registry import nearest
from solvers.problem.status import BadInput, KineticError

from . import screen
from .cases import shipped_cases


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new case; writes NAME.toml here.")],
    origin: Annotated[str, typer.Option("--from", help="Case that comes with the program.")] = "sod",
) -> None:
    """Write NAME.toml, a copy of a case that comes with the program, to be changed.

    Example: kinetic new my_tube --from sod
    """
    cases = shipped_cases()
    if origin not in cases:
        raise BadInput(f"--from {origin}: {nearest(origin, cases)}")
    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if path.exists():
        raise BadInput(f"{path}: exists already; choose another name")
    try:
        path.write_text(cases[origin].read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise KineticError(f"{path}: cannot be written: {error.strerror}") from None
    screen.answer(str(path))
    screen.say(f"check it with `kinetic check {path}`, solve it with `kinetic reference {path}`")
