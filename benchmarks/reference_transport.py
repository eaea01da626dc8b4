"""Accuracy and cost of the slab-transport references; writes benchmarks/results/reference_transport.json.

rows      per scheme and evaluated eps of `transport_inflow`, with the settings of the case (its reference scheme) or by default
          (the second one): CPU seconds of one march, and the relative L2 error (cell-width weighted) at every output time against
          the truth where there is one (the collision series until the front meets the far end or rho there is below 1e-7; the
          diffusion limit at eps = 1e-8)
cost      CPU seconds against cells, velocity nodes and eps
kernel    cell updates (one cell, one ordinate) per second of the sweep that discrete_ordinates spends its time in, against the
          rates of the same run: copying arrays of the kernel's own size, divisions, and vector instructions, a fused multiply-add
          being one of them (so half of its flops); the longest of the three times is the bound.  Against the same sweep in plain
          NumPy with inverses that are not timed; with one thread and with two
peer      seconds to an error in rho at eps = 1, t = 0.1 of both schemes and, extrapolated by the 1/sqrt(histories) of Monte Carlo
          from the error of one run, of a minimal analogue Monte Carlo code, ours and compiled, and of MC/DC (CEMeNT) where
          `--mcdc PYTHON` names an interpreter that has it (`pip install mcdc mpich`; it compiles for 90 CPU seconds at every start,
          which are not counted).  Its density is a track-length estimate, averaged over the last hundredth before t

Kernels are the best of many short runs in wall seconds, which on a busy machine understates them; everything else is CPU
seconds of one thread; compilation is excluded.  `load` is the machine's load average at the start; two threads are not measured
where it is above 1.5.  Run with NUMBA_NUM_THREADS=2.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from machine import copy_bandwidth, division_rate, flop_rate

from solvers.compile import njit
from solvers.limits.diffusion import Limit
from solvers.problem.case import Case
from solvers.problem.distance import cell_widths, relative_l2
from solvers.problem.read import read_case
from solvers.schemes import discrete_ordinates, micro_macro
from solvers.schemes._collided_sweep import BLOCK, sweep
from solvers.verification.inflow_collision_series import CollisionSeries

ROOT = Path(__file__).parent
PAIR = (discrete_ordinates, micro_macro)
#: vector instructions of one cell update: 3 for the trace, 2 to scale it, 9 for the matrix, 7 for the right side, 16 to eliminate
#: and solve, 3 for <f>; and the divisions
INSTRUCTIONS, DIVISIONS = 40, 3
#: bytes of one, counted like those of a copy: 3 numbers of the state read and 3 of f written
BYTES = 8 * (3 + 3)


def inflow(nodes: int = 16) -> Case:
    return read_case(ROOT.parent / "cases/transport_inflow.toml", overrides=[f"velocity.nodes={nodes}"])


def solve(module: Any, case: Case, eps: float, **settings: Any) -> tuple[np.ndarray, dict[float, np.ndarray], float]:
    scheme, options = module.Scheme(), module.Options(**settings)
    start = time.process_time()
    rho = {s.t: s.fields["rho"] for s in scheme.march(case, eps, options) if s.fields}
    return scheme.coordinates(case, options)["x"], rho, time.process_time() - start


def truth(case: Case, eps: float, t: float, x: np.ndarray) -> np.ndarray | None:
    # beyond t = eps the far end has been met; it is felt where rho is above 1e-7, which grows like erfc
    if t <= 1.0001 * eps or (eps >= 0.01 and t < 0.021):
        return CollisionSeries(t / eps**2)(x / eps)
    return Limit().solve(case, {"x": x}, np.array([t]))["rho"][0] if eps <= 1e-8 else None


def accuracy(case: Case) -> list[dict[str, Any]]:
    rows = []
    for module in PAIR:
        solve(module, case, 1.0, **small(module))  # compiles
        for eps in case.knudsen.evaluate:
            x, solution, seconds = solve(module, case, eps, **own(module, case))
            row: dict[str, Any] = {"scheme": module.Options().scheme, "eps": eps, "cpu_seconds": seconds, "true": {}}
            for t, rho in solution.items():
                if (exact := truth(case, eps, t, x)) is not None:
                    row["true"][f"{t:g}"] = relative_l2(rho, exact, cell_widths(x))
            rows.append(row)
            print(row, flush=True)
    return rows


def own(module: Any, case: Case) -> dict[str, Any]:
    """The case's settings if it names the scheme."""
    given = dict(case.reference)
    return given if given["scheme"] == module.Options().scheme else {}


def small(module: Any) -> dict[str, Any]:
    options = module.Scheme().coarser(module.Options())
    return {name: value for name, value in options if value != getattr(module.Options(), name)}


def cost() -> list[dict[str, Any]]:
    rows = []
    for module in PAIR:
        for nodes, settings in ((8, {}), (16, small(module))):
            for eps in (1.0, 1e-8):
                seconds = solve(module, inflow(nodes), eps, **settings)[2]
                cells = module.Options(**settings).cells
                name = module.Options().scheme
                rows.append({"scheme": name, "cells": cells, "nodes": nodes, "eps": eps, "cpu_seconds": seconds})
    return rows


def best(run: Callable[[], Any], repeat: int = 200, seconds: float = 6.0) -> float:
    """Shortest wall seconds of many short runs."""
    run()
    found, end = [], time.perf_counter() + seconds
    while len(found) < repeat and time.perf_counter() < end:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def numpy_sweep(data: dict[str, np.ndarray], inverse: np.ndarray) -> np.ndarray:
    """The sweep in plain NumPy, all ordinates of one sign at once, cell after cell; returns f."""
    f = np.empty_like(data["state"])
    for sign in (1, -1):
        chosen = data["v"][:, 0] * sign > 0.0
        downwind, upwind = np.sqrt([1.0, 3.0, 5.0]) * [1.0, sign, 1.0], np.sqrt([1.0, 3.0, 5.0]) * [1.0, -sign, 1.0]
        inverses, known = inverse[chosen], data["state"][chosen] + data["isotropic"][:, :, None]
        speed, part = np.abs(data["v"][chosen])[:, None], np.empty_like(known)
        u = np.zeros_like(known[:, 0])
        for c in range(known.shape[1])[::sign]:
            inflow = data["rate"][c] * speed * np.einsum("i,bik->bk", downwind, u)[:, None]
            u = part[:, c] = (inverses[:, c] * (known[:, c] + upwind[:, None] * inflow)[:, None]).sum(2)
        f[chosen] = part
    return f


def inverses(data: dict[str, np.ndarray]) -> np.ndarray:
    """(D + s L)^-1 of every cell and ordinate, shape (block, cell, mode, mode, ordinate)."""
    same = discrete_ordinates.make_matrices()[0]
    L = np.array([sign * same[sign] for sign in np.where(data["v"][:, 0] > 0.0, 1, -1)])
    s = data["rate"][:, None] * np.abs(data["v"])[:, None]
    A = data["local"][:, None] + s[..., None, None] * L[:, None, None]
    return np.ascontiguousarray(np.moveaxis(np.linalg.inv(A), 2, -1))


def kernel(quiet: bool) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    cells, ordinates = 243, 128  # what transport_inflow has at eps = 1
    z = 0.5 * (np.polynomial.legendre.leggauss(ordinates // 2)[0] + 1.0)
    blocks = ordinates // BLOCK
    shape = (blocks, cells, 3, BLOCK)
    skew = 0.1 * rng.random((cells, 3, 3))
    data = {
        "v": np.concatenate([-z[::-1], z]).reshape(blocks, BLOCK),
        "w": np.full((blocks, BLOCK), 1.0 / ordinates),
        "local": np.eye(3) + skew + np.moveaxis(skew, 1, 2),
        "rate": rng.random(cells),
        "state": rng.random(shape),
        "isotropic": rng.random((cells, 3)),
        "f": np.empty(shape),
        "means": np.empty((blocks, cells, 3)),
    }
    updates = cells * ordinates
    seconds = {}
    for threads in (1, 2):
        if threads == 1 or (quiet and threads <= numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(threads)
            seconds[threads] = best(lambda: sweep(*data.values()), 8000, 10.0)
    numba.set_num_threads(1)
    inverse = inverses(data)
    np.testing.assert_allclose(numpy_sweep(data, inverse), data["f"], rtol=1e-12, atol=1e-14)
    plain = best(lambda: numpy_sweep(data, inverse))
    copies, flops, divisions = copy_bandwidth(updates * BYTES), flop_rate(), division_rate()
    times = {
        "copy bandwidth": BYTES / copies,
        "instructions": INSTRUCTIONS / (0.5 * flops),
        "divisions": DIVISIONS / divisions,
    }
    bound = max(times, key=lambda name: times[name])
    return {
        "cells": cells,
        "ordinates": ordinates,
        "updates_per_second": updates / seconds[1],
        "bytes_per_update": BYTES,
        "instructions_per_update": INSTRUCTIONS,
        "divisions_per_update": DIVISIONS,
        "copy_bytes_per_second": copies,
        "flops_per_second": flops,
        "divisions_per_second": divisions,
        "nanoseconds": {name: 1e9 * value for name, value in (times | {"measured": seconds[1] / updates}).items()},
        "bound": bound,
        "share_of_bound": times[bound] * updates / seconds[1],
        "numpy_updates_per_second": updates / plain,
        "against_numpy": plain / seconds[1],
        "seconds_by_threads": seconds,
        "parallel_efficiency": seconds[1] / (2.0 * seconds[2]) if 2 in seconds else None,
    }


@njit
def histories(count: int, eps: float, t: float, tally: np.ndarray) -> None:
    """Analogue Monte Carlo of in-flow F = 1 into a cold slab: where the particles are at t, by cells of [0, 1]."""
    for _ in range(count):
        clock, x, v = t * np.random.random(), 0.0, np.sqrt(np.random.random())
        while 0.0 <= x < 1.0:
            flight = min(-np.log(1.0 - np.random.random()) * eps**2, t - clock)
            x += v * flight / eps
            clock += flight
            if clock >= t:
                if 0.0 <= x < 1.0:
                    tally[int(x * tally.size)] += 1.0
                break
            v = 2.0 * np.random.random() - 1.0


def run_mcdc(python: str, count: int, cells: int, since: float, t: float) -> dict[str, Any]:
    """What peer_mcdc.py finds, in a folder of its own."""
    flags = [str(value) for value in (count, cells, since, t)] + ["--mode", "numba", "--no-progress_bar"]
    with tempfile.TemporaryDirectory() as folder:
        command = [python, str(ROOT / "peer_mcdc.py"), *flags]
        out = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def peer(rows: list[dict[str, Any]], mcdc: str | None, count: int = 2_000_000, cells: int = 100) -> dict[str, Any]:
    """Monte Carlo beside both schemes."""
    t, wanted = 0.1, (1e-2, 1e-3, 1e-4)
    found: dict[str, Any] = {
        row["scheme"]: {"cpu_seconds": row["cpu_seconds"], "error": row["true"]["0.1"]}
        for row in rows
        if row["eps"] == 1.0
    }
    x = (np.arange(10 * cells) + 0.5) / (10 * cells)

    def exact(time: float) -> np.ndarray:
        means: np.ndarray = CollisionSeries(time)(x).reshape(cells, 10).mean(axis=1)
        return means

    def add(name: str, rho: np.ndarray, true: np.ndarray, seconds: float, **more: Any) -> None:
        error = relative_l2(rho, true, np.ones(cells))
        found[name] = {"histories": count, "cpu_seconds": seconds, "error": error, **more}
        found[name]["seconds_to"] = {f"{e:g}": seconds * (error / e) ** 2 for e in wanted}

    tally = np.zeros(cells)
    histories(10, 1.0, t, tally)
    tally[:] = 0.0
    start = time.process_time()
    histories(count, 1.0, t, tally)
    seconds = time.process_time() - start
    add("monte_carlo", tally * cells * 0.25 * t / count, exact(t), seconds)  # the source is <v F> = 1/4 a unit of time
    if mcdc is not None:
        since = t - 1.0 / cells  # as fine in t as in x
        z, w = np.polynomial.legendre.leggauss(8)
        true = 0.5 * w @ np.array([exact(since + 0.5 * (t - since) * (1.0 + zk)) for zk in z])
        run = run_mcdc(mcdc, count, cells, since, t)
        add("mcdc", np.array(run["rho"]), true, run["cpu_seconds"], version=run["version"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mcdc", metavar="PYTHON", help="interpreter in which MC/DC is installed")
    mcdc = parser.parse_args().mcdc
    load = os.getloadavg()
    report: dict[str, Any] = {"case": "transport_inflow", "machine": platform.processor() or platform.machine()}
    report |= {"cores": os.cpu_count(), "load": load, "kernel": kernel(load[0] < 1.5)}
    print(report["kernel"], flush=True)
    rows = report["rows"] = accuracy(inflow())
    report["cpu_seconds_evaluate"] = {
        name: sum(row["cpu_seconds"] for row in rows if row["scheme"] == name)
        for name in ("discrete_ordinates", "micro_macro")
    }
    report["cost"] = cost()
    report["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report["peer"] = peer(rows, mcdc)
    (ROOT / "results/reference_transport.json").write_text(json.dumps(report, indent=1) + "\n")
    print({key: report[key] for key in ("cpu_seconds_evaluate", "peer", "peak_bytes", "load")})


if __name__ == "__main__":
    main()
