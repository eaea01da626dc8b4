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
from solvers.problem.result import Result, atomic_hdf5, is_checkpoint
from solvers.problem.status import BadInput, KineticError

from . import screen
from .measures import delta_m, error, f1, mean_rank, success
from .metrics import SINGLE, by_task, contender, front_score, paired_p
from .sheets import Format, sheets

COLUMNS = ("case", "run", "method", "seed", "eps", "seen", "t", "field")
BUDGET = ("time_limit", "clock", "steps", "second_order", "second_steps")
MEASURES = ("relative_l2", "scaled_l2", "ap_error", "reference_error", "decided", "mass_error", "f1")


def compare(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="RESULT", help="Result files or folders.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the error rows as CSV.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables in Markdown.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the tables in LaTeX (booktabs).")] = False,
    tolerance: Annotated[float, typer.Option(min=0.0, help="Error of rho that counts as a success.")] = 1e-2,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw figures.")] = True,
    dark: Annotated[bool, typer.Option("--dark", help="Figures with light lines on dark.")] = False,
) -> None:
    """Compare results with the reference of their case (default: everything under results/).

    Example: kinetic compare results/sod --json
    """
    formats = [Format.json] * as_json + [Format.csv] * as_csv + [Format.markdown] * markdown + [Format.latex] * latex
    if len(formats) > 1:
        raise BadInput(f"--{formats[0]} and --{formats[1]}: choose one of --json, --csv, --markdown, --latex")
    chosen = formats[0] if formats else Format.text
    found = comparison(paths or [Path("results")], tolerance)
    store_errors(found)
    for line in found["skipped"]:
        screen.say(f"skipped: {line}")
    for line in found["notes"]:
        screen.say(line)
    if not found["errors"] and not found["limits"]:
        raise BadInput("nothing to compare: no reference with a result of the same case; run `kinetic reference` first")
    if chosen is Format.json:
        shown = {key: found[key] for key in ("errors", "ranks", "summary", "cost", "skipped")}
        screen.answer(json.dumps(shown, indent=1, allow_nan=False, default=str))
    elif chosen is Format.csv:
        screen.answer(csv_text(found["errors"]))
    else:
        for sheet in sheets(found):
            sheet.show(chosen)
    if figures:
        from .plot import case_figures

        for group in found["groups"]:
            for path in case_figures(group, dark):
                (screen.answer if chosen is Format.text else screen.say)(str(path))


def collect(paths: list[Path]) -> tuple[list[tuple[Path, Result]], list[str]]:
    """Every readable result among files and folders, with the reference beside a file, and why others were left out."""
    files: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise BadInput(
                f"{path}: no such file or folder; results are written by `kinetic reference` and `kinetic train`"
            )
        beside = path.with_name("reference.h5")
        found = sorted(path.rglob("*.h5")) if path.is_dir() else [path, *([beside] if beside.exists() else [])]
        files |= {file.resolve(): file for file in found if not is_checkpoint(file)}
    results, skipped = [], []
    for file in files.values():
        try:
            results.append((file, Result.read(file)))
        except BadInput as error:
            skipped.append(str(error))
    return results, skipped


def comparison(paths: list[Path], tolerance: float = 1e-2) -> dict[str, Any]:
    """Error rows, ranks and cost of all results among `paths`, grouped by problem."""
    results, skipped = collect(paths)
    groups: dict[str, list[tuple[Path, Result]]] = defaultdict(list)
    for path, result in results:
        groups[f"{result.case.name} {result.case.problem_sha256}"].append((path, result))
    found: dict[str, Any] = {
        "errors": [],
        "limits": [],
        "ranks": {},
        "summary": [],
        "cost": [],
        "skipped": skipped,
        "notes": [],
        "groups": [],
    }
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
        found["notes"] += unequal_budgets([result for _, result, _ in kept])
        found["groups"].append({"reference": reference, "results": kept})
    trained = [row for row in found["errors"] if row["kind"] == "train"]
    found["ranks"] = ranks(trained)
    found["summary"] = summary(trained, tolerance)
    return found


def unequal_budgets(results: list[Result]) -> list[str]:
    """One line if trained results of a case had different budgets: their ranks are not a fair race."""
    budgets: dict[str, list[str]] = defaultdict(list)
    for result in results:
        if result.kind == "train" and contender({"run": result.run}) != SINGLE:
            table = result.case.train
            budgets[", ".join(f"{key} {table[key]}" for key in BUDGET if table.get(key) is not None)].append(result.run)
    if len(budgets) < 2:
        return []
    told = "; ".join(
        f"{runs[0]}{f' and {len(runs) - 1} more' * (len(runs) > 1)}: {text}" for text, runs in budgets.items()
    )
    return [f"{results[0].case.name}: budgets differ, so ranks are no fair race ({told})"]


def cost_row(path: Path, result: Result) -> dict[str, Any]:
    """What a result cost."""
    seconds = float(result.attributes.get("wall_seconds", 0.0))
    steps = int(max(result.history.get("iteration", [float(result.network.get("steps", 0))]), default=0))
    row = {"case": result.case.name, "run": result.run, "method": str(result.attributes.get("method", result.run))}
    return row | {
        "seconds": seconds,
        "steps": steps,
        "seconds_per_step": seconds / steps if steps else None,
        "peak_memory_mib": _finite(float(result.attributes.get("peak_memory_mib", np.nan))),
        "status": str(result.status),
        "file": str(path),
    }


def limit_rows(reference: Result) -> list[dict[str, Any]]:
    """Distance of the reference to the limit solution, and to its correction if there is one, per Knudsen number."""
    rows = []
    if "rho" in reference.limit and "rho" in reference.fields:
        weights = cell_weights(reference.coordinates)
        for i, eps in enumerate(reference.coordinates["eps"]):
            value = relative_l2(reference.fields["rho"][i], reference.limit["rho"], weights)
            row = {"case": reference.case.name, "eps": float(eps), "ap_error": _finite(value)}
            if "rho" in reference.correction:
                value = relative_l2(reference.fields["rho"][i], reference.correction["rho"][i], weights)
                row["correction_error"] = _finite(value)
            rows.append(row)
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
                    "kind": result.kind,
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
                    "f1": None,
                }
                if limit is not None:
                    row["ap_error"] = _finite(relative_l2(a, limit[js][chosen], weights))
                if uncertainty is not None:
                    own = row["reference_error"] = _finite(float(np.max(uncertainty[i, js if j is None else j])))
                    if own is not None and row["relative_l2"] is not None:
                        row["decided"] = row["relative_l2"] > own
                if field == "rho" and a.ndim == 2:
                    row["f1"] = _finite(front_score(a, b, theirs["x"]))
                if field == "rho":
                    space = tuple(range(a.ndim - weights.ndim, a.ndim))
                    mass = np.sum(weights * (a - b), axis=space) / np.sum(weights * np.abs(b), axis=space)
                    row["mass_error"] = _finite(float(np.max(np.abs(mass))))
                rows.append(row)
    return rows, "; ".join(missing)


def ranks(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean rank by contender over (case, eps, field), all times together, averaged over seeds."""
    found = mean_rank.measure(rows)
    return {"mean_rank": found, "tasks": len(by_task(rows))} if found else {}


def summary(rows: list[dict[str, Any]], tolerance: float) -> list[dict[str, Any]]:
    """One row per contender, best mean rank first: measures, seen and unseen apart, spread over seeds, paired test."""
    contenders = sorted({contender(row) for row in rows})
    ranked = mean_rank.measure(rows)
    order = sorted(contenders, key=lambda name: (name == SINGLE, ranked.get(name, 0.0)))
    changes, hits, fronts = delta_m.measure(rows), success.measure(rows, tolerance), f1.measure(rows)
    seen, unseen = (error.measure([row for row in rows if row["seen"] is wanted]) for wanted in (True, False))
    found = []
    for name in order:
        seeds = sorted({row["seed"] for row in rows if contender(row) == name})
        by_seed = [error.measure([r for r in rows if contender(r) == name and r["seed"] == s]).get(name) for s in seeds]
        logs = np.log10([value for value in by_seed if value])
        found.append(
            {
                "contender": name,
                "mean_rank": ranked.get(name),
                "delta_m": changes.get(name),
                "success": hits.get(name),
                "f1": fronts.get(name),
                "error_seen": seen.get(name),
                "error_unseen": unseen.get(name),
                "seeds": len(seeds),
                "spread": float(10.0 ** np.std(logs, ddof=1)) if len(logs) > 1 else None,
                "p_against_first": None if name == order[0] else _finite(paired_p(rows, name, order[0])),
            }
        )
    return found


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Error rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*COLUMNS, *MEASURES, "kind"], lineterminator="\n")
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
