"""Errors of the default training of each case against its reference; writes benchmarks/results/training-cpu.json.

    python benchmarks/training.py [CASE ...] [--method hrgrad]

Calls the commands a user calls, skips results that are already under results/, and keeps per case, eps and field the relative
L2 error over all output times, the seconds and the number of steps.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "results" / "training-cpu.json"
KINETIC = [sys.executable, "-c", "from kinetic_cli.app import main; main()"]


def kinetic(*words: str) -> str:
    return subprocess.run([*KINETIC, *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=["transport_periodic", "bgk_smooth", "sod"])
    parser.add_argument("--method", default="hrgrad")
    chosen = parser.parse_args()
    table = json.loads(OUT.read_text()) if OUT.exists() else {}
    for name in chosen.cases:
        folder = ROOT / "results" / name
        if not (folder / "reference.h5").exists():
            kinetic("reference", f"cases/{name}.toml")
        if not (folder / f"{chosen.method}-seed0.h5").exists():
            kinetic("train", f"cases/{name}.toml", "--method", chosen.method)
        found = json.loads(kinetic("compare", f"results/{name}", "--json", "--no-figures"))
        run = f"{chosen.method}-seed0"
        cost = next(row for row in found["cost"] if row["run"] == run)
        rows = [row for row in found["errors"] if row["run"] == run and row["t"] is None]
        errors: dict[str, dict[str, float]] = {}
        for row in rows:
            errors.setdefault(row["field"], {})[f"{row['eps']:g}"] = row["relative_l2"]
        entry = {"seconds": round(cost["seconds"], 1), "steps": cost["steps"], "errors": errors}
        table[f"{name} {chosen.method}"] = {"machine": f"{platform.machine()}, 2 shared CPU cores", **entry}
        worst = {field: max(values.values()) for field, values in errors.items()}
        print(name, chosen.method, f"{entry['seconds']} s", {k: f"{v:.1e}" for k, v in worst.items()})
        OUT.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
