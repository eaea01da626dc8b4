"""`kinetic verify`: hold the solvers against exact mathematics, and a case against an independent second scheme."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from solvers.problem.case import Case
from solvers.problem.check import Outcome
from solvers.problem.read import case_from_data
from solvers.problem.registry import checks, nearest
from solvers.problem.result import Result
from solvers.problem.status import BadInput, NumericalError, ToleranceExceeded

from . import screen
from .cases import ENGINES, Results, Settings, Variant, load_case
from .comparison import error_rows
from .reference import ReferenceRun


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME|CASE", help="Verifications (default: all of them), or case files."),
    ] = None,
    variant: Variant = None,
    settings: Settings = [],  # noqa: B006 typer copies it
    out: Results = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw what is compared.")] = True,
) -> None:
    """Hold the solvers against exact solutions; or a CASE against its tolerances and second scheme.

    Example: kinetic verify

    Example: kinetic verify cases/sod.toml
    """
    files = [name for name in names or () if name.endswith(".toml")]
    chosen = [name for name in names or () if name not in files] or ([] if files else checks.names())
    for name in chosen:
        if name not in checks:
            raise BadInput(f"no verification '{name}': {nearest(name, checks.names())}; a case file ends in .toml")
    cases = [load_case(Path(file), variant, settings) for file in files]
    rows = [row for name in chosen for row in run_check(name, out, figures)]
    rows += [row for case in cases for row in run_case(case, out)]
    if as_json:
        screen.answer(json.dumps(rows, indent=1, allow_nan=False))
    else:
        print_rows(rows)
    failed = [row for row in rows if not row["passed"]]
    if failed:
        raise ToleranceExceeded(f"{len(failed)} of {len(rows)} comparisons exceed their tolerance")


def run_check(name: str, out: Path, figures: bool) -> list[dict[str, Any]]:
    """The outcomes of one verification; its curves go to <out>/verification/."""
    begin = time.perf_counter()
    screen.say(f"{name}: {' '.join(checks.docstring(name).split('.')[0].split())}")
    outcomes: list[Outcome] = []
    with screen.meter(name) as meter:
        try:
            for outcome in checks.load(name)().run():
                outcomes.append(outcome)
                meter.update(0.5, outcome.quantity)
        except NumericalError as error:
            outcomes.append(Outcome(str(error), float("inf"), 0.0))
    drawn = [outcome for outcome in outcomes if outcome.x is not None]
    if figures and drawn:
        from .plot import verification_figure

        for path in verification_figure(name, drawn, out / "verification"):
            screen.say(str(path))
    seconds = time.perf_counter() - begin
    return [row(name, o.quantity, o.error, o.tolerance, o.passed, seconds / len(outcomes)) for o in outcomes]


def row(
    what: str, quantity: str, error: float | None, tolerance: float, passed: bool, seconds: float
) -> dict[str, Any]:
    """One line of the table; an error that is no number is None."""
    finite = error is not None and abs(error) < float("inf")
    shown = {"name": what, "quantity": quantity, "error": error if finite else None}
    return shown | {"tolerance": tolerance, "passed": passed, "seconds": seconds}


def run_case(case: Case, out: Path) -> list[dict[str, Any]]:
    """The reference's own error, and its distance to the second scheme, per field of [verify] and Knudsen number.

    The two schemes agree if they are not further apart than the tolerance or than their own two errors together.
    """
    if not case.verify.tolerances:
        raise BadInput(f"{case.name}: the case has no [verify] table, for example [verify] rho = 1e-3")
    begin = time.perf_counter()
    reference = solved(case, out / case.name / "reference.h5")
    rows = []
    for field, tolerance in case.verify.tolerances.items():
        for eps in reference.coordinates["eps"]:
            error = own_error(reference, field, eps)
            passed = error is not None and error <= tolerance
            rows.append(row(case.name, f"{field}: own error, eps = {eps:g}", error, tolerance, passed, 0.0))
    against = case.verify.against
    if against:
        other = case_from_data({**case.resolved(), "reference": against}, ENGINES, f"{case.name}: [verify.against]")
        second = solved(other, out / case.name / f"{against['scheme']}.h5")
        found, reason = error_rows(second, reference)
        if reason:
            screen.say(f"{case.name}: {reason}")
        for found_row in found:
            tolerance = case.verify.tolerances.get(found_row["field"], float("nan"))
            if found_row["t"] is None and tolerance == tolerance:
                error = found_row["relative_l2"]
                bars = [own_error(result, found_row["field"], found_row["eps"]) for result in (reference, second)]
                tolerance = max(tolerance, sum(bar for bar in bars if bar is not None))
                quantity = f"{found_row['field']}: {against['scheme']}, eps = {found_row['eps']:g}"
                rows.append(row(case.name, quantity, error, tolerance, error is not None and error <= tolerance, 0.0))
    share = (time.perf_counter() - begin) / len(rows)
    return [{**line, "seconds": share} for line in rows]


def own_error(result: Result, field: str, eps: float) -> float | None:
    """The largest estimated error of a field over the output times; None if there is no estimate."""
    i = result.index("eps", eps)
    bar = result.uncertainty.get(field)
    return None if bar is None or i is None or not np.isfinite(bar[i]).all() else float(bar[i].max())


def solved(case: Case, path: Path) -> Result:
    """The reference at `path` if it is complete and of this case, else a new one."""
    if path.exists():
        try:
            old = Result.read(path)
        except BadInput:
            old = None
        if old is not None and old.case.sha256 == case.sha256 and all(old.complete(eps) for eps in case.knudsen.all):
            screen.say(f"{path}: kept")
            return old
    screen.say(f"{case.name}: solving with {case.reference['scheme']}")
    run = ReferenceRun(case, path)
    run.solve()
    return run.result


def print_rows(rows: list[dict[str, Any]]) -> None:
    """The table: what was compared, how far it is, what is allowed, pass or fail."""
    lines = []
    for line in rows:
        verdict = "pass" if line["passed"] else "FAIL"
        numbers = [screen.number(line["error"], 1), screen.number(line["tolerance"], 1)]
        lines.append([line["name"], line["quantity"], *numbers, verdict])
    screen.table("verification", ["what", "quantity", "error", "allowed", ""], lines)
    passed = sum(line["passed"] for line in rows)
    screen.answer(f"{passed} of {len(rows)} pass, {screen.duration(sum(line['seconds'] for line in rows))}")
