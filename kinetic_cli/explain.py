"""`kinetic explain NAME`: the mathematics of an equation, scheme, formulation, network, method or optimizer."""

from typing import Annotated

import typer

from solvers.problem.registry import nearest
from solvers.problem.status import BadInput

from . import screen
from .kinds import KINDS, find


def explain(name: Annotated[str, typer.Argument(help="Any name that `kinetic list` shows.")]) -> None:
    """Explain NAME: its formula, its properties, its source.

    Example: kinetic explain hrgrad
    """
    found = find(name)
    if not found:
        raise BadInput(f"nothing is called '{name}': {nearest(name, [n for r in KINDS.values() for n in r.names()])}")
    for kind, text in found:
        screen.answer(f"{name} ({kind})\n\n{text}\n")
