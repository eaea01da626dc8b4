"""`kinetic explain NAME`: a case as it stands, or the mathematics of an equation, scheme, formulation, network, method, ...

The docstring of the module holds formula, cost, state and source; for methods and optimizers follow what they need, what they
claim and their options, from the class itself.
"""

from dataclasses import fields
from typing import Annotated, Any

import typer

from solvers.problem.registry import nearest
from solvers.problem.status import BadInput

from . import screen
from .cases import shipped_cases
from .kinds import KINDS, find


def explain(name: Annotated[str, typer.Argument(metavar="NAME", help="Any name that `kinetic list` shows.")]) -> None:
    """Explain NAME: its formula, its properties, its source.

    Example: kinetic explain hrgrad
    """
    found, cases = find(name), shipped_cases()
    if name in cases:
        screen.answer(f"{name} (cases)\n\n{cases[name].read_text(encoding='utf-8')}")
    elif not found:
        known = [*cases, *(n for registry in KINDS.values() for n in registry.names())]
        raise BadInput(f"nothing is called '{name}': {nearest(name, known)}")
    for kind, text in found:
        screen.answer(f"{name} ({kind})\n\n{text}\n")
        if kind in ("methods", "optimizers"):
            screen.answer(_facts(kind, KINDS[kind].load(name)) + "\n")


def _facts(kind: str, found: Any) -> str:
    """Needs, claims and options of a method or an optimizer."""
    from hrgrad.method import CLAIMS, NEEDS
    from hrgrad.optimizer import MEANING

    lines = [f"Needs: {(NEEDS if kind == 'methods' else MEANING)[found.needs]}."]
    if kind == "methods":
        made = [f"  {claim.replace('_', ' ')}: {text}" for claim, text in CLAIMS.items() if claim in found.properties]
        lines += ["Claims, held to by tests/contract/test_methods.py:", *made]
        if found.observes:
            lines.append("After the step the same batch is evaluated once more, and the method learns from it.")
    options = fields(found.Options)
    lines.append("Options:" if options else "No options.")
    for item in options:
        choices = item.metadata.get("choices")
        allowed = f" [{', '.join(map(str, choices))}]" if choices else ""
        lines.append(f"  {item.name} = {item.default!r}: {item.metadata.get('doc', '')}{allowed}")
    return "\n".join(lines)
