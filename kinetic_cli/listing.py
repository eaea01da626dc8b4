"""`kinetic list`: what there is, from the registries."""

import json
from typing import Annotated

import typer

from solvers.problem.registry import nearest
from solvers.problem.status import BadInput

from . import screen
from .cases import shipped_cases
from .kinds import KINDS, summary


def list_(
    kind: Annotated[str | None, typer.Argument(help="cases, equations, schemes, formulations, methods, ...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables for a README.")] = False,
) -> None:
    """List cases, equations, schemes, formulations, networks, methods and optimizers.

    Example: kinetic list methods
    """
    allowed = ["cases", *KINDS]
    if kind is not None and kind not in allowed:
        raise BadInput(f"no kind '{kind}': {nearest(kind, allowed)}")
    found = {k: entries(k) for k in allowed if kind in (None, k)}
    if as_json:
        screen.answer(json.dumps(found, indent=1))
        return
    for name, rows in found.items():
        if markdown:
            lines = [f"| `{key}` | {text} |" for key, text in rows.items()]
            screen.answer("\n".join([f"\n**{name.capitalize()}**\n", "| name | what |", "|---|---|", *lines]))
        else:
            screen.table(name, ["name", "what"], list(rows.items()), right=False)
            screen.answer("")


def entries(kind: str) -> dict[str, str]:
    """Name -> one line, for one kind."""
    if kind == "cases":
        import tomllib

        files = shipped_cases()
        return {name: str(tomllib.loads(path.read_text())["title"]) for name, path in files.items()}
    return {name: summary(KINDS[kind], name) for name in KINDS[kind].names()}
