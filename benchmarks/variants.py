"""One training after another, each with one option changed and the same CPU seconds of one thread: error of rho by variant.

    python benchmarks/variants.py transport_periodic --seconds 30 'network="mlp";"separable"' 'encoder="mad"'

Every `key=a;b;c` (TOML values) trains the case once with each value and everything else as in the case.  The largest relative
L2 error of rho over all Knudsen numbers, seen and unseen, goes into results/variants.json, with the smallest and the largest
effectivity of the error estimate; references are made when missing.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "variants.json"
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from apnn.options import train_options_model  # noqa: E402
from apnn.train import predict, train  # noqa: E402
from solvers.problem.distance import cell_weights, relative_l2  # noqa: E402
from solvers.problem.read import read_case  # noqa: E402
from solvers.problem.result import Result  # noqa: E402


def reference(name: str) -> Result:
    """The stored reference of a case, made when it is missing."""
    path = ROOT / "results" / name / "reference.h5"
    if not path.exists():
        code = "from kinetic_cli.app import main; main()"
        command = [sys.executable, "-c", code, "-q", "reference", f"cases/{name}.toml"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return Result.read(path)


def measure(name: str, seconds: float, changes: dict[str, Any]) -> dict[str, Any]:
    """Largest error of rho after so many CPU seconds, its Knudsen number, steps taken and parameters."""
    truth = reference(name)
    case = read_case(ROOT / "cases" / f"{name}.toml")
    budget = {"time_limit": seconds, "clock": "cpu", "diagnose": 0, "second_steps": 1_000_000}
    options = train_options_model(case.equation.kind)(**{**case.train, **budget, **changes})
    *_, last = train(case, options)
    axes = truth.coordinates
    eps = [float(value) for value in axes["eps"]]
    fields = predict(case, options, last.state, eps, axes["t"], axes["x"])
    weights = cell_weights(axes)
    errors = {e: relative_l2(a, b, weights) for e, a, b in zip(eps, fields["rho"], truth.fields["rho"], strict=True)}
    eta = last.state["estimate"]
    ratios = [float(f"{h / errors[e]:.2g}") for e, h in zip(case.knudsen.all, eta, strict=True) if np.isfinite(h)]
    worst = max(errors, key=lambda e: errors[e])
    return {
        "error": float(f"{errors[worst]:.3g}"),
        "eps": worst,
        "steps": last.step,
        "P": int(np.size(last.state["theta"])),
        "effectivity": [min(ratios), max(ratios)] if ratios else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case")
    parser.add_argument("vary", nargs="*", metavar="KEY=A;B;...")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    chosen = parser.parse_intermixed_args()
    fixed = tomllib.loads("\n".join(chosen.settings))
    runs: list[dict[str, Any]] = [] if chosen.vary else [{}]
    for entry in chosen.vary:
        key, _, values = entry.partition("=")
        runs += [tomllib.loads(f"{key} = {value}") for value in values.split(";")]
    for changes in runs:
        found = measure(chosen.case, chosen.seconds, {**fixed, **changes})
        label = (
            ", ".join(f"{key} = {json.dumps(value)}" for key, value in {**fixed, **changes}.items())
            or "as the case says"
        )
        print(chosen.case, f"{chosen.seconds:g} CPU s", label, found, flush=True)
        table = json.loads(OUT.read_text()) if OUT.exists() else {}
        table.setdefault(f"{chosen.case}, {chosen.seconds:g} CPU s", {})[label] = found
        OUT.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
