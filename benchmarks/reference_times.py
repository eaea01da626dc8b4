"""Seconds, memory and own error bars of the default reference of each case; writes benchmarks/results/reference_times.json.

    python benchmarks/reference_times.py [--cases NAME[:VARIANT],...] [--table]

Calls `kinetic reference` as a user does, once, in a process of its own with every core, all Knudsen numbers with their estimates,
after a run with the small settings of the scheme has compiled its kernels.  Kept per case: wall and process CPU seconds, start-up
included, peak memory, and the largest own error of each field over Knudsen numbers and output times; and what machine it was and how
busy.  Without --cases: every shipped case.  --table prints what is stored and runs nothing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "results" / "reference_times.json"
sys.path.insert(0, str(ROOT))

from benchmarks.machine import describe  # noqa: E402
from kinetic_cli.cases import load_case, shipped_cases  # noqa: E402
from solvers.problem.registry import schemes  # noqa: E402
from solvers.problem.result import Result  # noqa: E402

KINETIC = [sys.executable, "-c", "from kinetic_cli.app import main; main()"]
Table = dict[str, dict[str, Any]]
#: wall seconds on two quiet cores
GOALS = {"sod": 20, "transport_inflow": 10, "transport_2d": 120, "esbgk_riemann": 120, "diode": 30}
EVERY_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(os.cpu_count()))


def reference(name: str, out: Path, *settings: str) -> tuple[float, float]:
    """Wall and CPU seconds of `kinetic reference`; the result is `out`/reference.h5."""
    case, _, variant = name.partition(":")
    words = ["reference", str(shipped_cases()[case]), "--out", str(out.parent), "--name", out.stem]
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--variant", variant] if variant else []
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, **EVERY_CORE, "PYTHONPATH": str(ROOT)}
    subprocess.run([*KINETIC, *words], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu


def measure(name: str) -> dict[str, Any]:
    """The entry of one case."""
    case_name, _, variant = name.partition(":")
    case = load_case(shipped_cases()[case_name], variant or None)
    with tempfile.TemporaryDirectory() as folder:
        reference(name, Path(folder) / "small", *schemes.load(case.reference["scheme"]).small)
        machine = describe()
        wall, cpu = reference(name, Path(folder) / "reference")
        result = Result.read(Path(folder) / case.name / "reference.h5")
    bars = {field: float(f"{np.max(bar):.2g}") for field, bar in result.uncertainty.items()}
    memory = round(float(result.attributes["peak_memory_mib"]))
    entry = {"scheme": case.reference["scheme"], "knudsen_numbers": len(case.knudsen.all)}
    return entry | {
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_mib": memory,
        "own_error": bars,
        **machine,
    }


def stored() -> Table:
    """What was measured so far."""
    found: Table = json.loads(OUT.read_text()) if OUT.exists() else {}
    return found


def table(entries: Table) -> str:
    """Markdown: seconds against goals, memory, largest own errors."""
    lines = ["| case | seconds | goal | CPU s | MiB | own error |", "|---|---:|---|---:|---:|---|"]
    for name, entry in sorted(entries.items()):
        goal, seconds = GOALS.get(name), entry["seconds"]
        verdict = "" if goal is None else f"{goal} met" if seconds <= goal else f"{goal} missed x{seconds / goal:.1f}"
        bars = ", ".join(f"{field} {bar:.1e}" for field, bar in entry["own_error"].items())
        lines.append(
            f"| `{name}` | {seconds:.1f} | {verdict} | {entry['cpu_seconds']:.1f} | {entry['peak_mib']} | {bars} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="", metavar="NAME[:VARIANT],...")
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(stored()))
        return
    for name in chosen.cases.split(",") if chosen.cases else shipped_cases():
        entry = measure(name)
        print(name, entry, flush=True)
        OUT.write_text(json.dumps(stored() | {name: entry}, indent=1) + "\n")
    print(table(stored()))


if __name__ == "__main__":
    main()
