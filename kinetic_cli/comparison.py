"""`kinetic compare`: errors of every result against its reference, ranks, cost, figures."""

import csv
import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import typer

from solvers.problem.distance import cell_weights, on_grid, relative_l2, scaled_l2
from solvers.problem.result import Result, atomic_hdf5
from solvers.problem.status import BadInput, KineticError

from . import screen
from .metrics import mean_ranks, slope

COLUMNS = ("case", "run", "method", "seed", "eps", "seen", "t", "field")
MEASURES = ("relative_l2", "scaled_l2", "ap_error", "reference_error", "decided", "mass_error")


def compare(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[RESULT]...", help="Result files or folders.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the error rows as CSV.")] = False,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw figures.")] = True,
) -> None:
    """Compare results with the reference of their case (default: everything under results/).

    Example: kinetic compare results/sod --json
    """
    found = comparison(paths or [Path("results")])
    store_errors(found)
    for line in found["skipped"]:
        screen.say(f"skipped: {line}")
    if not found["errors"] and not found["limits"]:
        raise BadInput("nothing to compare: no reference with a result of the same case; run `kinetic reference` first")
    if as_json:
        shown = {key: found[key] for key in ("errors", "ranks", "cost", "skipped")}
        screen.answer(json.dumps(shown, indent=1, allow_nan=False, default=str))
    elif as_csv:
        screen.answer(csv_text(found["errors"]))
    else:
        print_tables(found)
    if figures:
        from .plot import case_figures

        for group in found["groups"]:
            for path in case_figures(group):
                (screen.say if as_json or as_csv else screen.answer)(str(path))


def collect(paths: list[Path]) -> tuple[list[tuple[Path, Result]], list[str]]:
    """Every readable result among files and folders, and why others were left out."""
    results, skipped = [], []
    for path in paths:
        if not path.exists():
            raise BadInput(
                f"{path}: no such file or folder; results are written by `kinetic reference` and `kinetic train`"
            )
        files = sorted(path.rglob("*.h5")) if path.is_dir() else [path]
        for file in files:
            if file.name.endswith(".checkpoint.h5"):
                continue
            try:
                results.append((file, Result.read(file)))
            except BadInput as error:
                skipped.append(str(error))
    return results, skipped


def comparison(paths: list[Path]) -> dict[str, Any]:
    """Error rows, ranks and cost of all results among `paths`, grouped by problem."""
    results, skipped = collect(paths)
    groups: dict[str, list[tuple[Path, Result]]] = defaultdict(list)
    for path, result in results:
        groups[f"{result.case.name} {result.case.problem_sha256}"].append((path, result))
    found: dict[str, Any] = {"errors": [], "limits": [], "ranks": {}, "cost": [], "skipped": skipped, "groups": []}
    for members in groups.values():
        references = [pair for pair in members if pair[1].kind == "reference"]
        if not references:
            skipped.extend(f"{path}: no reference of this case; run `kinetic reference`" for path, _ in members)
            continue
        reference = next((pair for pair in references if pair[1].run == "reference"), references[0])
        others = [pair for pair in members if pair[0] != reference[0]]
        found["limits"] += limit_rows(reference[1])
        kept = []
        for path, result in others:
            rows, reason = error_rows(result, reference[1])
            skipped.extend([f"{path}: {reason}"] if reason else [])
            if rows:
                found["errors"] += rows
                kept.append((path, result, rows))
        for path, result in [reference, *((path, result) for path, result, _ in kept)]:
            found["cost"].append(cost_row(path, result))
        found["groups"].append({"reference": reference, "results": kept})
    found["ranks"] = ranks(found["errors"])
    return found


def cost_row(path: Path, result: Result) -> dict[str, Any]:
    """What a result cost."""
    seconds = float(result.attributes.get("wall_seconds", 0.0))
    steps = result.history.get("iteration", [float(result.network.get("steps", 0))])
    row = {"case": result.case.name, "run": result.run, "method": str(result.attributes.get("method", result.run))}
    return row | {
        "seconds": seconds,
        "steps": int(max(steps, default=0)),
        "status": str(result.status),
        "file": str(path),
    }


def limit_rows(reference: Result) -> list[dict[str, Any]]:
    """Distance of the reference to the limit solution, per Knudsen number."""
    rows = []
    if "rho" in reference.limit and "rho" in reference.fields:
        weights = cell_weights(reference.coordinates)
        for i, eps in enumerate(reference.coordinates["eps"]):
            value = relative_l2(reference.fields["rho"][i], reference.limit["rho"], weights)
            rows.append({"case": reference.case.name, "eps": float(eps), "ap_error": _finite(value)})
    return rows


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def error_rows(result: Result, reference: Result) -> tuple[list[dict[str, Any]], str]:
    """Errors of one result on the reference's grid; and why something is missing."""
    theirs, ours = reference.coordinates, result.coordinates
    if "x" not in ours:
        return [], "holds no fields yet (the run is unfinished)"
    fields = [name for name in result.fields if name in reference.fields and name != "f"]
    times = [(j, k) for j, t in enumerate(theirs["t"]) if (k := result.index("t", t)) is not None]
    pairs = [(i, n) for i, eps in enumerate(theirs["eps"]) if (n := result.index("eps", eps)) is not None]
    missing = (
        [f"{len(ours['eps']) - len(pairs)} Knudsen numbers without a reference"]
        if len(pairs) < len(ours["eps"])
        else []
    )
    if not fields or not times or not pairs:
        lacking = "fields" if not fields else "times" if not times else "Knudsen numbers"
        return [], f"has no {lacking} in common with the reference"
    rows = []
    weights = cell_weights(theirs)
    js, ks = [j for j, _ in times], [k for _, k in times]
    for i, n in pairs:
        eps = float(theirs["eps"][i])
        for field in fields:
            value, truth = result.fields[field][n, ks], reference.fields[field][i, js]
            value = on_grid(value, ours, theirs)
            if not (np.isfinite(value).all() and np.isfinite(truth).all()):
                missing.append(f"{field} at eps = {eps:g} is not finite")
                continue
            limit = reference.limit.get(field)
            uncertainty = reference.uncertainty.get(field)
            for position, j in [(None, None), *enumerate(js)]:
                chosen = slice(None) if position is None else position
                a, b = value[chosen], truth[chosen]
                row: dict[str, Any] = {
                    "case": result.case.name,
                    "run": result.run,
                    "method": str(result.attributes.get("method", result.run)),
                    "seed": int(result.attributes.get("seed", 0)),
                    "eps": eps,
                    "seen": eps in result.case.knudsen.evaluate,
                    "t": None if j is None else float(theirs["t"][j]),
                    "field": field,
                    "relative_l2": _finite(relative_l2(a, b, weights)),
                    "scaled_l2": _finite(scaled_l2(a, b, weights)),
                    "ap_error": None,
                    "reference_error": None,
                    "decided": None,
                    "mass_error": None,
                }
                if limit is not None:
                    row["ap_error"] = _finite(relative_l2(a, limit[js][chosen], weights))
                if uncertainty is not None:
                    own = row["reference_error"] = _finite(float(np.max(uncertainty[i, js if j is None else j])))
                    if own is not None and row["relative_l2"] is not None:
                        row["decided"] = row["relative_l2"] > own
                if field == "rho":
                    space = tuple(range(a.ndim - weights.ndim, a.ndim))
                    mass = np.sum(weights * (a - b), axis=space) / np.sum(weights * np.abs(b), axis=space)
                    row["mass_error"] = _finite(float(np.max(np.abs(mass))))
                rows.append(row)
    return rows, "; ".join(missing)


def ranks(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean rank by method over (case, eps, field), all times together, averaged over seeds."""
    tasks: dict[tuple[str, float, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["t"] is None and row["relative_l2"] is not None:
            tasks[row["case"], row["eps"], row["field"]][row["method"]].append(row["relative_l2"])
    methods = sorted({method for task in tasks.values() for method in task})
    if len(methods) < 2:
        return {}
    errors = {m: [float(np.mean(t[m])) if m in t else float("nan") for t in tasks.values()] for m in methods}
    return {"mean_rank": mean_ranks(errors), "tasks": len(tasks)}


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Error rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*COLUMNS, *MEASURES], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().rstrip()


def store_errors(found: dict[str, Any]) -> None:
    """`/errors` of every compared result, the file replaced whole: one column per measure."""
    for group in found["groups"]:
        for path, _, rows in group["results"]:

            def fill(file: h5py.File, rows: list[dict[str, Any]] = rows) -> None:
                if "errors" in file:
                    del file["errors"]
                table = file.create_group("errors")
                for key in (*COLUMNS[4:], *MEASURES):
                    column = [np.nan if row[key] is None else row[key] for row in rows]
                    kind = h5py.string_dtype() if key == "field" else bool if key == "seen" else float
                    data = table.create_dataset(key, data=np.array(column, dtype=kind))
                    data.attrs["long_name"], data.attrs["units"] = key, "1"

            try:
                atomic_hdf5(path, fill, copy_of=path)
            except KineticError as error:
                found["skipped"].append(f"the /errors table of {error}")


def print_errors(result: Result, rows: list[dict[str, Any]]) -> dict[float, dict[str, Any]]:
    """The error table of one result, all output times together; returns its rows by eps and field."""
    by_eps: dict[float, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        if row["t"] is None:
            by_eps[row["eps"]][row["field"]] = row
    fields = list(dict.fromkeys(field for cells in by_eps.values() for field in cells))
    lines = []
    for eps, cells in sorted(by_eps.items(), reverse=True):
        first = next(iter(cells.values()))
        errors = [_judged(cells[f]) if f in cells else "-" for f in fields]
        rho = cells.get("rho", first)
        tail = [screen.number(rho[key], 1) for key in ("ap_error", "mass_error", "reference_error")]
        lines.append([f"{eps:g}", "seen" if first["seen"] else "unseen", *errors, *tail])
    title = f"{result.case.name}: {result.run}, relative L2 error over all output times"
    screen.table(title, ["eps", "", *fields, "AP", "mass", "ref."], lines)
    if any(row["decided"] is False for row in rows if row["t"] is None):
        screen.answer("~ not above the reference's own error: not decided by this reference")
    return by_eps


def _judged(row: dict[str, Any]) -> str:
    """The error, marked if the reference is not accurate enough to tell it."""
    return ("~" if row["decided"] is False else "") + screen.number(row["relative_l2"], 1)


def print_tables(found: dict[str, Any]) -> None:
    """The tables for the terminal: errors per eps and field, then cost and ranks."""
    for group in found["groups"]:
        reference = group["reference"][1]
        name = reference.case.name
        for _, result, rows in group["results"]:
            by_eps = print_errors(result, rows)
            ap = [(e, c["rho"]["ap_error"]) for e, c in by_eps.items() if "rho" in c and c["rho"]["ap_error"]]
            if len(ap) > 2:
                fitted = slope(np.array([e for e, _ in ap]), np.array([a for _, a in ap]))
                screen.answer(f"AP error falls like eps^{fitted:.2f} at the small end")
        limit = [row for row in found["limits"] if row["case"] == name]
        if limit and not group["results"]:
            lines = [[f"{row['eps']:g}", screen.number(row["ap_error"])] for row in limit]
            screen.table(f"{name}: reference, distance of rho to the limit", ["eps", "AP"], lines)
    lines = [[c["case"], c["run"], f"{c['seconds']:.1f}", str(c["steps"] or "-"), c["status"]] for c in found["cost"]]
    screen.table("cost", ["case", "run", "seconds", "steps", "status"], lines)
    if found["ranks"]:
        lines = [[m, f"{r:.2f}"] for m, r in sorted(found["ranks"]["mean_rank"].items(), key=lambda item: item[1])]
        screen.table(f"mean rank over {found['ranks']['tasks']} tasks (1 is best)", ["method", "rank"], lines)
