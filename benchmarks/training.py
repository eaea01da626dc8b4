"""Errors of the default training of each case against its reference; writes benchmarks/results/training-cpu.json.

    python benchmarks/training.py [CASE[:VARIANT] ...] [--method hrgrad] [--seed 0] [--set KEY=VALUE ...]

Calls the commands a user calls, with one thread, skips results that are already under results/, and keeps per case, eps and
field the relative L2 error over all output times, the reference's own error where it has one, the number of steps and the
process CPU seconds of `kinetic train` (user + system, start-up and evaluation included): what a shared machine does beside it
does not count.  Without CASE: every case that has a [train] table.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from kinetic_cli.cases import load_case, shipped_cases

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "results" / "training-cpu.json"
KINETIC = [sys.executable, "-c", "from kinetic_cli.app import main; main()"]
Table = dict[str, dict[str, Any]]
#: worst relative L2 error of rho over the Knudsen numbers that 5 CPU minutes should reach
GOALS = {
    "transport_periodic": 5e-6,
    "transport_inflow": 1e-3,
    "transport_variable_scattering": 1e-3,
    "transport_boundary_layer": 3e-3,
    "transport_2d": 3e-3,
    "bgk_smooth": 5e-5,
    "bgk_riemann:I": 1e-4,
    "bgk_riemann:III": 3e-4,
    "bgk_riemann": 5e-4,
    "bgk_riemann:V": 1e-2,
    "sod": 3e-4,
    "esbgk_riemann": 1e-2,
    "diode": 5e-3,
}
#: fields that three times the goal holds for
THREEFOLD = ("u", "T", "J", "J1", "J2", "Phi")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def kinetic(*words: str) -> tuple[str, float]:
    """Standard output and process CPU seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*KINETIC, *words], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def trained_cases() -> list[str]:
    """Names of the shipped cases with a [train] table."""
    return [name for name, path in shipped_cases().items() if load_case(path).train]


def stored() -> Table:
    """What was measured so far."""
    found: Table = json.loads(OUT.read_text()) if OUT.exists() else {}
    return found


def measure(name: str, method: str, seed: int, settings: list[str], table: Table) -> tuple[str, dict[str, object]]:
    """Key and entry of one case; `table` knows the seconds of a result that is already there."""
    case, _, variant = name.partition(":")
    path, folder = f"cases/{case}.toml", ROOT / "results" / load_case(shipped_cases()[case], variant or None).name
    words = [word for setting in settings for word in ("--set", setting)]
    words += ["--variant", variant] if variant else []
    run, key = f"{method}-seed{seed}", f"{name} {method}" + (f" seed {seed}" if seed else "")
    old = table.get(key, {})
    if not (folder / "reference.h5").exists():
        kinetic("reference", path, *words)
    cpu: object = old.get("cpu_seconds")
    if not (folder / f"{run}.h5").exists():
        _, seconds = kinetic("train", path, "--method", method, "--seed", str(seed), *words)
        cpu = round(seconds, 1)
    found = json.loads(kinetic("compare", str(folder), "--json", "--no-figures")[0])
    cost = next(row for row in found["cost"] if row["run"] == run)
    errors: dict[str, dict[str, float]] = {}
    reference: dict[str, float] = {}
    for row in found["errors"]:
        if row["run"] == run and row["t"] is None:
            errors.setdefault(row["field"], {})[f"{row['eps']:g}"] = row["relative_l2"]
            if row["field"] == "rho" and row.get("reference_error") is not None:
                reference[f"{row['eps']:g}"] = row["reference_error"]
    worst = {field: max(values.values()) for field, values in errors.items()}
    entry = {"cpu_seconds": cpu, "wall_seconds": round(cost["seconds"], 1), "steps": cost["steps"]}
    machine = f"{platform.machine()}, one thread of 2 shared CPU cores"
    print(name, run, f"{cpu} CPU s", {k: f"{v:.1e}" for k, v in worst.items()}, flush=True)
    return key, {"machine": machine, **entry, "worst": worst, "errors": errors, "reference_error_rho": reference}


def table(method: str = "hrgrad") -> str:
    """Markdown: worst errors over the Knudsen numbers of every stored case; all seeds against the goal, other fields of seed 0.

    A field named behind the verdict lies so many times beyond three times the goal.
    """
    lines = [
        "| case | rho | other seeds | goal | | other fields | CPU s | steps |",
        "|---|---:|---:|---:|---|---|---:|---:|",
    ]
    entries = sorted(stored().items())
    for key, entry in entries:
        name, _, run = key.partition(" ")
        if run != method:
            continue
        others = [other["worst"] for k, other in entries if k.startswith(f"{key} seed ")]
        seeds = [other["rho"] for other in others]
        worst = dict(entry["worst"])
        first, goal = worst.pop("rho"), GOALS.get(name)
        rho = max(first, *seeds) if seeds else first
        verdict = ""
        if goal is not None:
            verdict = "met" if rho <= goal else f"missed x{rho / goal:.1f}"
            fields = {
                field: max([worst[field], *(other[field] for other in others)]) for field in THREEFOLD if field in worst
            }
            verdict += "".join(f", {field} x{e / (3.0 * goal):.1f}" for field, e in fields.items() if e > 3.0 * goal)
        if entry.get("settings"):
            verdict += " (cut short)"
        rest = ", ".join(f"{field} {error:.0e}" for field, error in worst.items())
        told, more = "-" if goal is None else f"{goal:.0e}", ", ".join(f"{error:.1e}" for error in seeds)
        cells = (
            f"`{name}`",
            f"{first:.1e}",
            more,
            told,
            verdict,
            rest,
            f"{entry['cpu_seconds']:.0f}",
            str(entry["steps"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--method", default="hrgrad")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(chosen.method))
        return
    for name in chosen.cases or trained_cases():
        key, entry = measure(name, chosen.method, chosen.seed, chosen.settings, stored())
        # read again: another run may have written meanwhile
        OUT.write_text(json.dumps(stored() | {key: entry}, indent=1) + "\n")


if __name__ == "__main__":
    main()
