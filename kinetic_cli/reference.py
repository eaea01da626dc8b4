"""`kinetic reference CASE`: solve a case with its reference scheme at every Knudsen number it names."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from solvers.problem.case import Case
from solvers.problem.registry import limits, schemes
from solvers.problem.result import Result
from solvers.problem.scheme import Scheme
from solvers.problem.status import BadInput, NumericalError, Status

from . import screen
from .cases import CaseFile, Results, Settings, Variant, load_case
from .comparison import limit_rows
from .provenance import provenance


def reference(
    case_file: CaseFile,
    variant: Variant = None,
    settings: Settings = [],  # noqa: B006 typer copies it
    out: Results = Path("results"),
    name: Annotated[str, typer.Option(help="Name of the result file.")] = "reference",
    resume: Annotated[bool, typer.Option("--resume", help="Keep the Knudsen numbers that are already there.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print unknowns, steps and memory; run nothing.")] = False,
) -> None:
    """Solve CASE with its reference scheme and write results/<case>/reference.h5.

    Example: kinetic reference cases/sod.toml --set knudsen.evaluate=[1e-2] --set knudsen.unseen=[]
    """
    case = load_case(case_file, variant, settings)
    path = out / case.name / f"{name}.h5"
    scheme_name = case.reference["scheme"]
    screen.say(f"{case.name}: {case.title}; scheme {scheme_name} (first use compiles its kernels, once)")
    scheme: Scheme = schemes.load(scheme_name)()
    options = scheme.Options.model_validate(case.reference)
    if plan:
        print_plan(case, scheme, options)
        return
    result = _start(case, scheme, options, path, name, resume)
    start = time.perf_counter() - float(result.attributes.get("wall_seconds", 0.0))
    rows = []
    try:
        for eps in case.knudsen.all:
            if result.complete(eps):
                screen.say(f"eps = {eps:g}: kept")
                continue
            rows.append(march(case, scheme, options, eps, result))
            result.attributes["wall_seconds"] = time.perf_counter() - start
            result.write(path)
        solve_limit(case, result)
        result.status = Status.DONE
    except KeyboardInterrupt:
        result.status = Status.INTERRUPTED
        screen.say(f"interrupted; {path} holds what is finished, go on with --resume")
        raise
    except NumericalError as error:
        result.status, result.message = Status.DIVERGED, str(error)
        raise
    finally:
        result.attributes["wall_seconds"] = time.perf_counter() - start
        if result.fields:
            result.write(path)
    close(case, result, rows, path)


def _start(case: Case, scheme: Scheme, options: object, path: Path, name: str, resume: bool) -> Result:
    """An empty result, or the unfinished one at `path` when resuming."""
    if resume and path.exists():
        old = Result.read(path)
        if old.case.sha256 != case.sha256:
            raise BadInput(f"{path}: belongs to another case (its case_sha256 differs); run without --resume")
        old.status = Status.RUNNING
        return old
    result = Result.empty(case, "reference", name, scheme.coordinates(case, options), case.knudsen.all)
    result.attributes |= {
        **provenance(),
        "method": case.reference["scheme"],
        "seed": 0,
        "dtype": "float64",
        "device": "cpu",
    }
    return result


def print_plan(case: Case, scheme: Scheme, options: object) -> None:
    """What the scheme would do, per Knudsen number."""
    axes = scheme.coordinates(case, options)
    rows = []
    for eps in case.knudsen.all:
        cost = scheme.plan(case, eps, options)
        rows.append([f"{eps:g}", f"{cost['unknowns']:.0f}", f"{cost['steps']:.0f}", f"{cost['bytes'] / 1e6:.1f}"])
    grid = ", ".join(f"{axis} {len(values)}" for axis, values in axes.items())
    screen.table(f"{case.name}: {case.reference['scheme']}, grid {grid}", ["eps", "unknowns", "steps", "MB"], rows)


def march(case: Case, scheme: Scheme, options: object, eps: float, result: Result) -> list[float]:
    """One Knudsen number into `result`; returns [eps, steps, seconds, largest drift]."""
    begin = time.perf_counter()
    steps, drift = 0, float("nan")
    with screen.meter(f"eps = {eps:<8g}") as meter:
        for snapshot in scheme.march(case, eps, options):
            meter.update(snapshot.progress, f"step {snapshot.step}")
            steps = snapshot.step
            if snapshot.fields:
                for field, value in snapshot.fields.items():
                    if not np.isfinite(value).all():
                        at = np.unravel_index(np.argmin(np.isfinite(value)), value.shape)
                        raise NumericalError(
                            f"{field} is not finite at cell {at}, t = {snapshot.t:g}, eps = {eps:g}; "
                            "a smaller reference.cfl or more cells may help"
                        )
                result.put(eps, snapshot.t, snapshot.fields)
                drifts = [abs(v) for key, v in snapshot.scalars.items() if key.startswith("drift_")]
                drift = float(np.nanmax([drift, *drifts])) if drifts else drift
    return [eps, steps, time.perf_counter() - begin, drift]


def solve_limit(case: Case, result: Result) -> None:
    """The limit equation on the same coordinates, where the equation has a limit solver."""
    if case.equation.limit in limits:
        limit = limits.load(case.equation.limit)()
        if case.equation.kind in limit.equations:
            result.limit = limit.solve(case, result.coordinates, result.coordinates["t"])


def close(case: Case, result: Result, rows: list[list[float]], path: Path) -> None:
    """The closing table."""
    shown = []
    distances = {row["eps"]: row["ap_error"] for row in limit_rows(result)}
    for eps, steps, seconds, drift in rows:
        numbers = [screen.number(drift), screen.number(distances.get(eps))]
        shown.append([f"{eps:g}", f"{int(steps)}", f"{seconds:.2f}", *numbers])
    if shown:
        columns = ["eps", "steps", "seconds", "drift", "distance to limit"]
        screen.table(f"{case.name}: {case.reference['scheme']}", columns, shown)
    screen.answer(str(path))
