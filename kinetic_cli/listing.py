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
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="cases, equations, schemes, formulations, methods, ...")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables for a README.")] = False,
    claims: Annotated[bool, typer.Option("--claims", help="What every method needs and promises, as a table.")] = False,
) -> None:
    """List cases, equations, schemes, formulations, networks, methods and optimizers.

    Example: kinetic list methods --claims
    """
    if claims:
        if kind not in (None, "methods"):
            raise BadInput(f"--claims is about methods, not about '{kind}': kinetic list methods --claims")
        print_claims(as_json, markdown)
        return
    allowed = ["cases", *KINDS]
    kind = kind and kind.replace("_", " ")
    if kind is not None and kind not in allowed:
        raise BadInput(f"no kind '{kind}': {nearest(kind, allowed)}")
    found = {k: entries(k) for k in allowed if kind in (None, k)}
    if as_json:
        screen.answer(json.dumps(found, indent=1))
        return
    for name, rows in found.items():
        if markdown:
            lines = [f"| `{key}` | {cell(text)} |" for key, text in rows.items()]
            screen.answer("\n".join([f"\n**{name.capitalize()}**\n", "| name | what |", "|---|---|", *lines]))
            if name == "methods":
                print_claims(False, True)
        else:
            screen.table(name, ["name", "what"], list(rows.items()), right=False)
            screen.answer("")


def cell(text: str) -> str:
    """Text inside a Markdown table."""
    return text.replace("|", r"\|")


def entries(kind: str) -> dict[str, str]:
    """Name -> one line, for one kind."""
    if kind == "cases":
        import tomllib

        files = shipped_cases()
        return {name: str(tomllib.loads(path.read_text())["title"]) for name, path in files.items()}
    return {name: summary(KINDS[kind], name) for name in KINDS[kind].names()}


def method_claims() -> dict[str, dict[str, str | bool]]:
    """Method -> what it needs and which claims it makes, read from the classes that the contract tests hold to them."""
    from hrgrad.method import CLAIMS

    registry = KINDS["methods"]
    found: dict[str, dict[str, str | bool]] = {}
    for name in registry.names():
        method = registry.load(name)
        found[name] = {"needs": method.needs, **{claim: claim in method.properties for claim in CLAIMS}}
    return found


def print_claims(as_json: bool, markdown: bool) -> None:
    """The table methods x claims, with a key below it."""
    from hrgrad.method import CLAIMS

    rows = method_claims()
    if as_json:
        screen.answer(json.dumps({"claims": dict(CLAIMS), "methods": rows}, indent=1))
        return
    key = {f"{k}": (claim, text) for k, (claim, text) in enumerate(CLAIMS.items(), 1)}
    marks = [
        [name, str(row["needs"]), *("x" if row[claim] else "" for claim, _ in key.values())]
        for name, row in rows.items()
    ]
    head = ["method", "needs", *key]
    if markdown:
        lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head))]
        lines += ["| " + " | ".join([f"`{name}`", *cells]) + " |" for name, *cells in marks]
        notes = [f"{number}. {claim.replace('_', ' ')}: {text}" for number, (claim, text) in key.items()]
        screen.answer("\n".join(["\n**What the methods claim**\n", *lines, "", *notes]))
        return
    screen.table("claims", head, marks, right=False)
    screen.answer("")
    for number, (claim, text) in key.items():
        screen.answer(f"{number}  {claim.replace('_', ' ')}: {text}")
