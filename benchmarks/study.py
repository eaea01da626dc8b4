r"""The study: which method works where, and how much formulation, optimizer and method each matter.

    python benchmarks/study.py methods --out study             all problem groups x 16 methods x 3 seeds
    python benchmarks/study.py single --out study              one network per Knudsen number (STL), seed 0, the same budget each
    python benchmarks/study.py lengths --out study             8 methods x 2 seeds whose updates all have length 1, on 3 cases
    python benchmarks/study.py factors --out study             formulation x optimizer x second phase x method
    python benchmarks/study.py condense --out study            tables and small HDF5 into benchmarks/results/study-*

Each is `kinetic study` with an equal budget of PROCESSOR seconds per cell (one thread), so a busy machine does not decide; what
is done is skipped, so it may be stopped and called again.  In `methods` the first-order phase stands alone: a method of hrgrad
acts there.  `factors` asks for main effects: with y = log10 of the geometric mean error of rho over the Knudsen numbers, the
effect of a factor is the spread of the means of y over its levels, all others averaged, as a factor of the error.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import h5py
import numpy as np

from kinetic_cli.comparison import comparison
from kinetic_cli.metrics import contender
from kinetic_cli.sheets import contenders_sheet, cost_by_contender, summary_sheet
from solvers.problem.result import atomic_hdf5

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
METHODS = "ls,si,uw,dwa,rlw,graddrop,mgda,pcgrad,cagrad,imtlg,nashmtl,famo,config,aligngrad,rgb,hrgrad"
SEEDS = "0..2"
SECONDS = 6.0
#: one case of each problem group; the Knudsen numbers are fewer than in the case files where a reference is dear
CASES: dict[str, dict[str, str]] = {
    "bgk_smooth": {"knudsen.evaluate": "[1.0, 1e-1, 1e-2, 1e-3, 1e-4]"},
    "sod": {"reference.cells": "675", "knudsen.evaluate": "[1.0, 1e-1, 1e-2, 1e-3, 1e-4]"},
    "bgk_riemann": {"reference.cells": "675", "knudsen.evaluate": "[1.0, 1e-1, 1e-2, 1e-3, 1e-4]"},
    "esbgk_riemann": {"reference.cells": "450", "knudsen.evaluate": "[1.0, 1e-1, 1e-2, 1e-3]"},
    "transport_periodic": {},
    "transport_inflow": {},
    "transport_variable_scattering": {},
    "transport_boundary_layer": {},
    "transport_2d": {"knudsen.evaluate": "[1.0, 1e-1, 1e-2, 1e-3]"},
    "diode": {},
}
#: methods and cases that are run again with updates of one length: what is left then is their direction
LENGTHS = {
    "methods": "ls,si,mgda,cagrad,nashmtl,config,aligngrad,hrgrad",
    "cases": ("bgk_smooth", "sod", "transport_periodic"),
    "seeds": "0..1",
}
FACTORS = {
    "cases": ("transport_periodic",),
    "formulations": "transport_micro_macro,transport_parity,transport_pinn",
    "optimizers": "adam,soap",
    "methods": "ls,config,hrgrad",
    "second": ("none", "ssbroyden"),
    "seeds": "0",
    "seconds": 10.0,
}


def kinetic(*words: str) -> int:
    """Run one command of this program; returns its exit code."""
    return subprocess.run(
        [sys.executable, "-c", "from kinetic_cli.app import main; main()", *words], cwd=ROOT, check=False
    ).returncode


def budget(seconds: float, *settings: str) -> list[str]:
    words = ["--steps", "1000000", "--time-limit", str(seconds), "--cpu"]
    return words + list(chain.from_iterable(("--set", text) for text in settings))


def run_methods(out: Path, cases: Iterable[str], workers: int, methods: str, seeds: str, *words: str) -> None:
    """One `kinetic study` per case, each with its own settings."""
    for name in cases:
        settings = ['train.second_order="none"', *(f"{key}={value}" for key, value in CASES[name].items())]
        settings += ["knudsen.unseen=[3e-2, 3e-3]"] * ("knudsen.evaluate" in CASES[name])
        chosen = ["study", f"cases/{name}.toml", "--methods", methods, "--seeds", seeds, *words]
        code = kinetic(*chosen, "--workers", str(workers), "--out", str(out), *budget(SECONDS, *settings))
        print(f"{name}: exit {code}", file=sys.stderr)


def run_factors(out: Path, workers: int) -> None:
    """Two `kinetic study`: without and with a second-order phase after 200 first-order steps."""
    files = [f"cases/{name}.toml" for name in FACTORS["cases"]]
    for second in FACTORS["second"]:
        words = ["study", *files, "--methods", FACTORS["methods"], "--seeds", FACTORS["seeds"]]
        words += ["--formulations", FACTORS["formulations"], "--optimizers", FACTORS["optimizers"]]
        limit = budget(FACTORS["seconds"], f'train.second_order="{second}"')
        if second != "none":
            limit[1] = "200"
        kinetic(*words, "--workers", str(workers), "--out", str(out / f"factors-{second}"), *limit)


def effects(folder: Path, case: str) -> list[dict]:
    """Main effects of the factors on the error of rho in one case."""
    cells = []
    for second in FACTORS["second"]:
        found = comparison([folder / f"factors-{second}" / case])
        logs = defaultdict(list)
        for row in found["errors"]:
            if row["field"] == "rho" and row["t"] is None and row["relative_l2"]:
                logs[contender(row)].append(np.log10(row["relative_l2"]))
        for name, values in logs.items():
            method, formulation, optimizer = name.split(".")
            levels = {"formulation": formulation, "method": method, "optimizer": optimizer, "second phase": second}
            cells.append({**levels, "y": float(np.mean(values))})
    table = []
    total = np.var([cell["y"] for cell in cells])
    for factor in ("formulation", "second phase", "optimizer", "method"):
        groups = defaultdict(list)
        for cell in cells:
            groups[cell[factor]].append(cell["y"])
        means = {level: float(np.mean(values)) for level, values in groups.items()}
        spread = np.var([means[cell[factor]] for cell in cells])
        table.append(
            {
                "factor": factor,
                "levels": {level: 10.0**mean for level, mean in sorted(means.items(), key=lambda item: item[1])},
                "effect": 10.0 ** (max(means.values()) - min(means.values())),
                "share_of_variance": float(spread / total),
            }
        )
    return table


def lengths(folder: Path) -> list[dict]:
    """Error of rho of the same methods, cases and seeds with the update as long as the method makes it, and of length 1.

    The updates of nashmtl have one length anyway: it is the control, and shows what the load of the machine did.
    """
    wanted = LENGTHS["methods"].split(",")
    logs: dict[str, dict[str, dict[tuple, float]]] = {}
    steps: dict[str, dict[str, list[float]]] = {}
    for part in ("methods", "lengths"):
        logs[part], steps[part] = defaultdict(dict), defaultdict(list)
        for case in LENGTHS["cases"]:
            found = comparison([folder / part / case])
            for row in found["errors"]:
                if row["field"] == "rho" and row["t"] is None and row["relative_l2"]:
                    logs[part][contender(row)][case, row["seed"], row["eps"]] = np.log10(row["relative_l2"])
            for row in found["cost"]:
                if row["run"] != "reference":
                    steps[part][contender(row)].append(row["steps"])
    table = []
    for name in wanted:
        own, unit = logs["methods"][name], logs["lengths"][name]
        both = own.keys() & unit.keys()
        row: dict = {"method": name, "tasks": len(both)}
        for key, part in (("own", "methods"), ("unit", "lengths")):
            row[key] = float(10.0 ** np.mean([logs[part][name][task] for task in both]))
            row[f"steps_{key}"] = round(float(np.mean(steps[part][name])))
        table.append(row)
    return sorted(table, key=lambda row: row["unit"])


def condense(out: Path) -> None:
    """Tables (JSON, Markdown) and errors (HDF5) of what is there, no raw fields."""
    found = comparison([out / "methods"])
    pages = [summary_sheet(found["summary"], found["ranks"].get("tasks", 0)).markdown()]
    for group in found["groups"]:
        rows = [row for _, _, rows in group["results"] for row in rows]
        pages.append(contenders_sheet(group["reference"][1].case.name, rows).markdown())
    summary = {
        "budget": f"{SECONDS:g} processor seconds of one thread per cell, first-order phase alone, 3 seeds",
        "git_revision": sorted(
            {r.attributes.get("git_revision", "") for g in found["groups"] for _, r, _ in g["results"]}
        ),
        "cells": sum(len(group["results"]) for group in found["groups"]),
        "ranks": found["ranks"],
        "summary": found["summary"],
        "cost": cost_by_contender([row for row in found["cost"] if row["run"] != "reference"]),
        "by_case": {
            name: comparison([out / "methods" / name])["summary"]
            for name in sorted({row["case"] for row in found["errors"]})
        },
    }
    if (out / "lengths").exists():
        summary["lengths"] = lengths(out)
        lines = ["\n**The length of the update** (error of rho, the same cases and seeds; nashmtl is the control)\n"]
        lines += ["| method | its own length | steps | length 1 | steps | gain |", "|---|---:|---:|---:|---:|---:|"]
        for row in summary["lengths"]:
            cells = [f"{row['own']:.1e}", str(row["steps_own"]), f"{row['unit']:.1e}", str(row["steps_unit"])]
            lines.append(f"| {row['method']} | {' | '.join(cells)} | x{row['own'] / row['unit']:.2f} |")
        pages.append("\n".join(lines))
    if (out / f"factors-{FACTORS['second'][0]}").exists():
        summary["factors"] = {case: effects(out, case) for case in FACTORS["cases"]}
        for case, rows in summary["factors"].items():
            lines = [f"\n**{case}: what matters how much** (all other factors averaged)\n"]
            lines += ["| factor | effect | share of variance | levels |", "|---|---:|---:|---|"]
            for row in rows:
                levels = ", ".join(f"{level} {error:.1e}" for level, error in row["levels"].items())
                lines.append(f"| {row['factor']} | x{row['effect']:.1f} | {row['share_of_variance']:.0%} | {levels} |")
            pages.append("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "study-methods.json").write_text(json.dumps(summary, indent=1, default=str) + "\n")
    (RESULTS / "study-methods.md").write_text("\n".join(pages).strip() + "\n")

    def fill(file: h5py.File) -> None:
        rows = [row for row in found["errors"] if row["t"] is None]
        for key in ("case", "run", "field"):
            file.create_dataset(key, data=np.array([row[key] for row in rows], dtype=bytes), compression="gzip")
        for key in ("seed", "eps", "seen", "relative_l2", "ap_error", "reference_error", "f1"):
            column = np.array([np.nan if row[key] is None else row[key] for row in rows], dtype=np.float32)
            file.create_dataset(key, data=column, compression="gzip")
        file.attrs["what"] = "error rows of `kinetic compare`, all output times together"

    atomic_hdf5(RESULTS / "study-errors.h5", fill)
    print("\n".join(pages))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "part", nargs="?", choices=["methods", "single", "lengths", "factors", "condense"], help="default: all"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "study")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    out, cases, workers = options.out.resolve(), options.cases.split(","), options.workers
    if options.part in (None, "methods"):
        run_methods(out / "methods", cases, workers, METHODS, SEEDS)
    if options.part in (None, "single"):
        run_methods(out / "methods", cases, workers, "ls", "0", "--single")
    if options.part in (None, "lengths"):
        unit = ("--set", 'train.update_length="unit"')
        run_methods(out / "lengths", LENGTHS["cases"], workers, LENGTHS["methods"], LENGTHS["seeds"], *unit)
    if options.part in (None, "factors"):
        run_factors(out, workers)
    if options.part in (None, "condense"):
        condense(out)
