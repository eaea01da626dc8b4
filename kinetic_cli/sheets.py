"""The tables of a comparison, and their printed forms: terminal, Markdown, LaTeX."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from solvers.problem.result import Result

from . import screen
from .metrics import contender, mean_errors, slope

Row = dict[str, Any]
#: results of one case above which they share a table
MANY = 6


class Format(StrEnum):
    """How answers are printed."""

    text = "text"
    json = "json"
    csv = "csv"
    markdown = "markdown"
    latex = "latex"


@dataclass(frozen=True)
class Sheet:
    """A table: title, columns, rows of ready text, and a note below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def show(self, form: Format = Format.text) -> None:
        """Print it as an answer."""
        if form is Format.markdown:
            screen.answer(self.markdown())
        elif form is Format.latex:
            screen.answer(self.latex())
        else:
            screen.table(self.title, self.columns, self.rows)
            if self.note:
                screen.answer(self.note)

    def markdown(self) -> str:
        """The table in Markdown."""
        head = [f"\n**{self.title}**\n", f"| {' | '.join(self.columns)} |"]
        head.append("|---|" + "---:|" * (len(self.columns) - 1))
        body = [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join([*head, *body, *([f"\n{self.note}"] if self.note else [])])

    def latex(self) -> str:
        """The table in LaTeX, for the package booktabs."""
        lines = [r"\begin{table}", rf"\caption{{{tex(self.title)}}}"]
        lines.append(rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}")
        lines += [r"\toprule", " & ".join(map(tex, self.columns)) + r" \\", r"\midrule"]
        lines += [" & ".join(map(tex, row)) + r" \\" for row in self.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
        return "\n".join([*lines, *([tex(self.note)] if self.note else []), r"\end{table}"])


def tex(text: str) -> str:
    """Text for LaTeX: special characters escaped, 1.2e-03 as a power of ten."""
    mantissa, e, exponent = text.lstrip("~").partition("e")
    try:
        if e:
            power = rf"{float(mantissa):g}\cdot 10^{{{int(exponent)}}}"
            return rf"${{\sim}}{power}$" if text.startswith("~") else f"${power}$"
    except ValueError:
        pass
    for character in "\\&%_#$":
        text = text.replace(character, r"\textbackslash " if character == "\\" else f"\\{character}")
    return text.replace("~", r"$\sim$").replace("^", r"\textasciicircum ")


def sheets(found: dict[str, Any]) -> list[Sheet]:
    """Everything `kinetic compare` prints: errors per result, distance to the limit, summary, cost."""
    pages = []
    for group in found["groups"]:
        name = group["reference"][1].case.name
        if len(group["results"]) > MANY:
            pages.append(contenders_sheet(name, [row for _, _, rows in group["results"] for row in rows]))
        else:
            pages += [errors_sheet(result, rows) for _, result, rows in group["results"]]
        limit = [row for row in found["limits"] if row["case"] == name]
        if limit and not group["results"]:
            keys = [key for key in ("ap_error", "correction_error") if key in limit[0]]
            heads = ["eps", "AP", f"to {group['reference'][1].case.equation.correction}"][: len(keys) + 1]
            rows = [[f"{row['eps']:g}", *(screen.number(row[key]) for key in keys)] for row in limit]
            pages.append(Sheet(f"{name}: reference, distance of rho to the limit", heads, rows))
    if len(found["summary"]) > 1:
        pages.append(summary_sheet(found["summary"], found["ranks"].get("tasks", 0)))
    costs = found["cost"] if len(found["cost"]) <= 2 * MANY else cost_by_contender(found["cost"])
    rows = [[c["case"], c["run"], f"{c['seconds']:.1f}", *work(c), c["status"]] for c in costs]
    pages.append(Sheet("cost", ["case", "run", "seconds", "steps", "ms/step", "MiB", "status"], rows))
    return pages


def contenders_sheet(case: str, rows: list[Row]) -> Sheet:
    """Error of rho per contender and Knudsen number, all output times together, geometric mean over seeds; the best first."""
    means = mean_errors(rows)
    eps = sorted({number for cells in means.values() for number in cells}, reverse=True)
    lines = [[name, *(screen.number(cells.get(n), 1) for n in eps)] for name, cells in means.items()]
    return Sheet(f"{case}: relative L2 error of rho over all output times", ["eps", *(f"{n:g}" for n in eps)], lines)


def cost_by_contender(costs: list[Row]) -> list[Row]:
    """Means over the seeds of every contender of a case, the largest memory, every status that occurred."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for cost in costs:
        groups[cost["case"], contender(cost)].append(cost)
    rows = []
    for (case, name), members in groups.items():
        row: Row = {"case": case, "run": name, "status": ", ".join(sorted({c["status"] for c in members}))}
        for key in ("seconds", "steps", "seconds_per_step"):
            known = [c[key] for c in members if c[key] is not None]
            row[key] = float(np.mean(known)) if known else None
        row["steps"] = round(row["steps"])
        row["peak_memory_mib"] = max((c["peak_memory_mib"] for c in members if c["peak_memory_mib"]), default=None)
        rows.append(row)
    return rows


def work(cost: Row) -> list[str]:
    """Steps, milliseconds a step and peak memory; a dash for what is not known."""
    step, memory = cost["seconds_per_step"], cost["peak_memory_mib"]
    return [
        str(cost["steps"] or "-"),
        "-" if step is None else f"{1e3 * step:.1f}",
        "-" if memory is None else f"{memory:.0f}",
    ]


def errors_sheet(result: Result, rows: list[Row]) -> Sheet:
    """Errors of one result per Knudsen number and field, all output times together."""
    by_eps: dict[float, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        if row["t"] is None:
            by_eps[row["eps"]][row["field"]] = row
    fields = list(dict.fromkeys(field for cells in by_eps.values() for field in cells))
    lines = []
    for eps, cells in sorted(by_eps.items(), reverse=True):
        first = next(iter(cells.values()))
        errors = [judged(cells[f]) if f in cells else "-" for f in fields]
        rho = cells.get("rho", first)
        tail = [screen.number(rho[key], 1) for key in ("ap_error", "mass_error", "reference_error")]
        lines.append([f"{eps:g}", "seen" if first["seen"] else "unseen", *errors, *tail])
    notes = []
    if any(row["decided"] is False for row in rows if row["t"] is None):
        notes.append("~ not above the reference's own error: not decided by this reference")
    rho_rows = [cells["rho"] for cells in by_eps.values() if "rho" in cells and cells["rho"]["ap_error"]]
    if len(rho_rows) > 2:
        numbers, distance, own = (
            np.array([row[key] or 0.0 for row in rho_rows]) for key in ("eps", "ap_error", "relative_l2")
        )
        fitted = slope(numbers, distance, own)
        if np.isfinite(fitted):
            notes.append(f"AP error falls like eps^{fitted:.2f} where it is above the result's own error")
    title = f"{result.case.name}: {result.run}, relative L2 error over all output times"
    return Sheet(title, ["eps", "", *fields, "AP", "mass", "ref."], lines, "\n".join(notes))


def judged(row: Row) -> str:
    """The error, marked if the reference is not accurate enough to tell it."""
    return ("~" if row["decided"] is False else "") + screen.number(row["relative_l2"], 1)


def summary_sheet(rows: list[Row], tasks: int) -> Sheet:
    """The contenders, best mean rank first."""
    columns = ["contender", "rank", "seen", "unseen", "spread", "success", "F1", "Dm %", "p"]
    lines = []
    for row in rows:
        numbers = [f"{row['mean_rank']:.2f}" if row["mean_rank"] else "-"]
        numbers += [screen.number(row["error_seen"], 1), screen.number(row["error_unseen"], 1)]
        numbers += [f"x{row['spread']:.2f}" if row["spread"] else "-"]
        numbers += ["-" if row[key] is None else f"{row[key]:.2f}" for key in ("success", "f1")]
        numbers += ["-" if row["delta_m"] is None else f"{row['delta_m']:+.0f}"]
        p = row["p_against_first"]
        numbers += ["" if p is None else f"{p:.3f}" + (" noise" if p > 0.05 else "")]
        lines.append([row["contender"], *numbers])
    note = (
        "seen, unseen: geometric mean error of rho; spread over seeds as a factor\n"
        "p: paired test over seeds against the first row; Dm: against single training"
    )
    return Sheet(f"{len(rows)} contenders over {tasks} tasks (case, eps, field)", columns, lines, note)
