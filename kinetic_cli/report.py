"""`kinetic report`: one self-contained HTML page of the results of a study or a case; it needs no network."""

import json
from html import escape
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from solvers.problem.result import Result, atomic_write
from solvers.problem.status import BadInput

from . import screen
from .comparison import comparison
from .plot import best_of_each
from .sheets import MANY, Sheet, errors_sheet, sheets

#: points of a curve and significant digits on the page
POINTS = 400
DIGITS = 6
TEMPLATE = Path(__file__).with_name("report_page.html")


def report(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="RESULT", help="Result files or folders.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Page to write.")] = Path("report.html"),
    tolerance: Annotated[float, typer.Option(min=0.0, help="Error of rho that counts as a success.")] = 1e-2,
) -> None:
    """Write one HTML page: what was solved, tables that sort, figures by eps and method, provenance.

    Example: kinetic report results/sod --out sod.html
    """
    found = comparison(paths or [Path("results")], tolerance)
    for line in found["skipped"]:
        screen.say(f"skipped: {line}")
    if not found["groups"]:
        raise BadInput("nothing to report: no reference among the results; run `kinetic reference` first")
    charts: dict[str, list[dict[str, Any]]] = {}
    body = [f"<h1>{escape(heading(found))}</h1>"]
    pages = sheets(found)
    own = {errors_sheet(result, rows).title for group in found["groups"] for _, result, rows in group["results"]}
    body += [table(sheet) for sheet in pages if sheet.title not in own]
    for number, group in enumerate(found["groups"]):
        body.append(section(group, number, charts))
    if found["skipped"]:
        items = "".join(f"<li>{escape(line)}</li>" for line in found["skipped"])
        body.append(f"<h2>Left out</h2><ul>{items}</ul>")
    page = TEMPLATE.read_text(encoding="utf-8")
    data = json.dumps(charts, allow_nan=False).replace("<", "\\u003c")
    atomic_write(out, page.replace("<!--BODY-->", "\n".join(body)).replace("<!--DATA-->", data).encode())
    screen.answer(str(out))


def heading(found: dict[str, Any]) -> str:
    """What the page is about."""
    titles = [group["reference"][1].case.title for group in found["groups"]]
    return titles[0] if len(titles) == 1 else f"{len(titles)} problems: {'; '.join(titles)}"


def table(sheet: Sheet) -> str:
    """A table that sorts by its heads."""
    head = "".join(f'<th scope="col"><button>{escape(column)}</button></th>' for column in sheet.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in sheet.rows)
    note = f'<p class="note">{escape(sheet.note)}</p>' if sheet.note else ""
    whole = (
        f"<table><caption>{escape(sheet.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return f'<p class="title" aria-hidden="true">{escape(sheet.title)}</p><div class="wide">{whole}</div>{note}'


def figure(name: str, caption: str) -> str:
    """A place for one chart of the page's data."""
    return (
        f'<figure data-chart="{escape(name)}"><div class="controls"></div><svg role="img" aria-label="{escape(caption)}">'
        f"</svg><figcaption>{escape(caption)}; wheel zooms, drag moves</figcaption></figure>"
    )


def section(group: dict[str, Any], number: int, charts: dict[str, list[dict[str, Any]]]) -> str:
    """One case: the question, its figures, errors per result, and how to do it again."""
    path, reference = group["reference"]
    case = reference.case
    parts = [f"<h2>{escape(case.title)} ({escape(case.name)})</h2>"]
    parts.append(f"<p>Equation <code>{escape(case.equation.kind)}</code>, eps from {knudsens(reference)}.</p>")
    results = [result for _, result, _ in group["results"]]
    best = best_of_each([(result, rows) for _, result, rows in group["results"]])
    if len(best) < len(results):
        parts.append(
            f"<p>Figures show one run of each of the {len(best)} best contenders, tables all {len(results)} runs.</p>"
        )
    compared = sorted((entry for entry in group["results"] if entry[1] in best), key=lambda entry: best.index(entry[1]))
    order = {result.run: number for number, result in enumerate(best)}
    shown = [
        ("profiles", "profiles at the last output time", profile_charts(reference, best)),
        ("errors", "relative L2 error over the Knudsen number", error_charts(compared)),
        ("losses", "loss and worst error of rho over seconds of training", history_charts(best)),
    ]
    for name, caption, found in shown:
        if found:
            for entry in (entry for chart in found for entry in chart["curves"]):
                entry["order"] = order.get(entry["name"], 0)  # a run has one colour in all charts
            charts[f"{name}{number}"] = found
            parts.append(figure(f"{name}{number}", caption))
    own = "\n".join(table(errors_sheet(result, rows)) for _, result, rows in group["results"])
    parts.append(f"<details><summary>errors of every run</summary>{own}</details>" if len(results) > MANY else own)
    parts.append(table(provenance_sheet([(path, reference), *((p, r) for p, r, _ in group["results"])])))
    commands = "\n".join(str(r.attributes.get("command", "")) for r in [reference, *results])
    parts.append(f"<h3>To reproduce</h3><pre>{escape(commands)}</pre>")
    parts.append(f"<details><summary>the resolved case</summary><pre>{escape(case_text(reference))}</pre></details>")
    return "\n".join(parts)


def knudsens(result: Result) -> str:
    """Range of the Knudsen numbers in words."""
    eps = result.coordinates["eps"]
    return f"{eps.min():g} to {eps.max():g} ({len(eps)} values)"


def case_text(result: Result) -> str:
    """The resolved case as indented JSON."""
    return json.dumps(result.case.resolved(), indent=1, sort_keys=True)


def provenance_sheet(pairs: list[tuple[Path, Result]]) -> Sheet:
    """Where every result comes from."""
    keys = ("method", "seed", "device", "machine", "git_revision", "start", "wall_seconds")
    rows = []
    for path, result in pairs:
        shown = [str(result.attributes.get(key, "-")) for key in keys[:-1]]
        seconds = f"{float(result.attributes.get('wall_seconds', 0.0)):.1f}"
        rows.append([path.name, *shown, seconds, str(result.status)])
    return Sheet("provenance", ["file", *keys, "status"], rows)


def rounded(values: Any) -> list[float | None]:
    """Numbers for the page; None where there is none."""
    return [float(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]


def profile_charts(reference: Result, results: list[Result]) -> list[dict[str, Any]]:
    """Per field and eps: the field along x at the last output time (in the plane: along the middle row)."""
    charts = []
    for field in (name for name in reference.fields if name != "f"):
        for i, eps in enumerate(reference.coordinates["eps"]):
            curves = [curve("reference", reference, field, i, "reference")]
            for result in results:
                n = result.index("eps", eps)
                if field in result.fields and n is not None:
                    curves.append(curve(result.run, result, field, n))
            if field in reference.limit:
                curves.append(line("limit", reference.coordinates["x"], middle(reference.limit[field][-1]), "limit"))
            charts.append({"title": f"{field}, eps = {eps:g}", "axis": "x", "logarithmic": "", "curves": curves})
    return charts


def middle(values: Any) -> Any:
    """Values along x: all of them, or the middle row of a plane."""
    return values if values.ndim == 1 else values[:, values.shape[1] // 2]


def curve(name: str, result: Result, field: str, i: int, role: str = "run") -> dict[str, Any]:
    return line(name, result.coordinates["x"], middle(result.fields[field][i, -1]), role)


def line(name: str, x: Any, y: Any, role: str = "run") -> dict[str, Any]:
    """A curve of the page, thinned to POINTS points; its role is run, reference or limit."""
    step = max(1, -(-len(x) // POINTS))
    return {"name": name, "x": rounded(x[::step]), "y": rounded(y[::step]), "role": role}


def error_charts(compared: list[tuple[Path, Result, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Per field: error over eps of every result, and the reference's own error."""
    fields = list(dict.fromkeys(row["field"] for _, _, rows in compared for row in rows))
    charts = []
    for field in fields:
        curves = []
        for _, result, rows in compared:
            chosen = [row for row in rows if row["t"] is None and row["field"] == field and row["relative_l2"]]
            if chosen:
                eps, errors = ([row[key] for row in chosen] for key in ("eps", "relative_l2"))
                curves.append(line(result.run, eps, errors))
        bars = [row for row in compared[0][2] if row["t"] is None and row["field"] == field and row["reference_error"]]
        if bars:
            eps, errors = ([row[key] for row in bars] for key in ("eps", "reference_error"))
            curves.append(line("reference's own error", eps, errors, "reference"))
        charts.append({"title": f"error of {field}", "axis": "Knudsen number", "logarithmic": "xy", "curves": curves})
    return charts


def history_charts(results: list[Result]) -> list[dict[str, Any]]:
    """Loss, and the worst error of rho, over seconds, per run."""
    charts = []
    for column, title in (("loss", "loss"), ("error_rho", "worst error of rho")):
        curves = []
        for result in results:
            values = np.asarray(result.history.get(column, []), dtype=float)
            known = np.isfinite(values)
            if known.sum() > 1:
                curves.append(line(result.run, np.asarray(result.history["seconds"])[known], values[known]))
        if curves:
            charts.append({"title": title, "axis": "seconds", "logarithmic": "y", "curves": curves})
    return charts
