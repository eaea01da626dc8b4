"""Speed of the BGK reference `imex` against this machine and a plain NumPy version; writes benchmarks/results/reference_bgk.json.

`bound`: what the kernel must do per cell, velocity and step, as counted below, over what the machine does in the same turn.
Arithmetic: vector instructions, a fused multiply-add being one of them (most of WENO is products and sums that do not fuse), at
half the rate of fused operations, plus divisions at theirs; memory: BYTES over the bandwidth of copies of the working set.  The
larger of both times is the bound; `of_bound` is the bound over the measured time, `of_fused_peak` the share of the rate of fused
multiply-adds that the FLOPS make.
`threads`: the same with two threads, in wall time; `cost`: seconds per cell, velocity and step against cells, velocities and
Knudsen number; `numpy`: the same scheme in array operations (below), whose density agrees to round-off; `accuracy`: error of rho
against a grid of three or nine times the cells, and the seconds to 1e-3.

Every figure is the least of several turns, CPU time with one thread and wall time with two; `load_average` says how busy the
machine was, and two threads are not measured where it is above 1.5 (one is ours).
"""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import clock, copy_bandwidth, describe, division_rate, flop_rate

from solvers.compile import set_num_threads
from solvers.problem.case import Case
from solvers.problem.maxwellian import maxwellian
from solvers.problem.read import read_case
from solvers.schemes.imex import EXPLICIT, IMPLICIT, STAGES, Options, Scheme, equal_steps
from solvers.weno import weno5

ROOT = Path(__file__).parent
TOLERANCE = 1e-3
#: vector instructions per stage: WENO, -v d_x f, its part of the stage, sums, Gaussian, its moments and correction, relaxation,
#: parts of later stages; and the operations in them
INSTRUCTIONS = STAGES * (46 + 2 + 1 + 3 + 25 + 5 + 5 + 3 + 3)
FLOPS = STAGES * (59 + 2 + 2 + 6 + 40 + 10 + 7 + 4 + 6)
DIVISIONS = STAGES
#: bytes per step: the stage before, explicit parts of this and later stages read; those of later stages and the value written
BYTES = 8 * ((1 + 4 + 3 + 2) + (4 + 3 + 2 + 1))


def sod(cells: int, nodes: int) -> tuple[Case, Options]:
    settings = [f"velocity.nodes={nodes}", f"reference.cells={cells}", "reference.steps_per_snapshot=4"]
    case = read_case(ROOT.parent / "cases/sod.toml", overrides=settings)
    return case, Options.model_validate(case.reference)


def seconds_per_update(cells: int, nodes: int, eps: float, threads: int = 1, turns: int = 24) -> float:
    """Seconds per cell, velocity and step: the best of `turns` runs of four steps."""
    set_num_threads(threads)
    case, options = sod(cells, nodes)
    now = clock(threads)
    best, begin = np.inf, np.nan
    for snapshot in itertools.islice(Scheme().march(case, eps, options), turns):
        if not snapshot.fields:
            best = np.fmin(best, now() - begin)
        begin = now()
    return float(best / (options.steps_per_snapshot * cells * nodes))


def discrete_equilibrium(rho: Any, u: Any, T: Any, v: Any, w: Any) -> Any:
    """Newton's method of `solvers.discrete_equilibrium`, all cells at once."""
    c = v - u[:, None]
    a = np.array([np.log(rho / np.sqrt(2.0 * np.pi * T)), 0.0 * u, -0.5 / T])
    powers = c[:, :, None] ** np.arange(5)
    target = np.array([rho, 0.0 * u, rho * T]).T
    for _ in range(30):
        M = np.exp(a[0][:, None] + c * (a[1][:, None] + c * a[2][:, None]))
        s = np.einsum("xk,xkj->xj", w * M, powers)
        residual = target - s[:, :3]
        if np.abs(residual / rho[:, None]).max() < 1e-13:
            break
        matrix = s[:, np.add.outer(np.arange(3), np.arange(3))]
        a += np.linalg.solve(matrix, residual[..., None])[..., 0].T
    return M


def numpy_march(case: Case, eps: float, options: Options, steps: int) -> tuple[Any, float]:
    """rho after `steps` steps between free ends, and the seconds they took."""
    v, w = case.velocity.nodes_and_weights()
    dx = (case.domain.x[1] - case.domain.x[0]) / options.cells
    x = Scheme().coordinates(case, options)["x"]
    _, _, dt = next(equal_steps(case, options, 0.0))
    rho, u, T = (getattr(case.initial, name)(x=x, eps=eps) for name in ("rho", "u", "T"))
    f = discrete_equilibrium(rho, u, T, v, w)
    assert np.allclose(f, maxwellian(rho[:, None], u[:, None], T[:, None], v), atol=1e-10)
    begin = time.process_time()
    for _ in range(steps):
        rates: list[Any] = []
        increments: list[Any] = []
        value = f
        for stage in range(1, STAGES + 1):
            g = np.pad(value, ((3, 3), (0, 0)), mode="edge")
            n = options.cells + 1
            rows = [g[k : k + n] for k in range(6)]
            face = np.where(v > 0.0, weno5(*rows[:5]), weno5(*rows[:0:-1]))
            rates.append(v * (face[:-1] - face[1:]) / dx)
            g = f + sum(dt * EXPLICIT[stage, j] * rates[j] for j in range(stage))
            g = g + sum(IMPLICIT[stage, j] / IMPLICIT[j, j] * increments[j - 1] for j in range(1, stage))
            lam = IMPLICIT[stage, stage] * dt / eps
            rho, momentum, energy = g @ w, g @ (w * v), g @ (w * v * v)
            u = momentum / rho
            M = discrete_equilibrium(rho, u, energy / rho - u * u, v, w)
            increments.append(lam / (1.0 + lam) * (M - g))
            value = g + increments[-1]
        f = value
    return f @ w, time.process_time() - begin


def compiled_rho(case: Case, eps: float, options: Options) -> tuple[list[Any], float]:
    """rho at the output times, and the CPU seconds of the march."""
    begin = time.process_time()
    found = [s.fields["rho"] for s in Scheme().march(case, eps, options) if s.fields]
    return found, time.process_time() - begin


def accuracy() -> list[dict[str, Any]]:
    set_num_threads(1)
    rows = []
    for eps in (1e-2, 1e-4):
        runs = {}
        for cells in (125, 375, 1125):
            case, options = sod(cells, 128)
            runs[cells] = compiled_rho(case, eps, options)
        for cells, picked in ((125, slice(4, None, 9)), (375, slice(1, None, 3))):
            pairs = zip(runs[cells][0], runs[1125][0], strict=True)
            error = max(float(np.linalg.norm(a - b[picked]) / np.linalg.norm(b[picked])) for a, b in pairs)
            rows.append({"eps": eps, "cells": cells, "error": error, "cpu_seconds": runs[cells][1]})
        rows.append({"eps": eps, "cells": 1125, "cpu_seconds": runs[1125][1]})
    return rows


def main() -> None:
    cells, nodes = 1125, 128
    machine = describe()
    quiet = float(str(machine["load_average"])) < 1.5
    size = 5 * 8 * cells * nodes
    turns = []
    for _ in range(3):
        turns.append(
            {
                "seconds": seconds_per_update(cells, nodes, 1e-2),
                "flop_rate": flop_rate(),
                "division_rate": division_rate(),
                "bandwidth": copy_bandwidth(size),
                "seconds_two_threads": seconds_per_update(cells, nodes, 1e-2, 2) if quiet else np.inf,
            }
        )
    one, two = (min(turn[key] for turn in turns) for key in ("seconds", "seconds_two_threads"))
    rate, divisions, bandwidth = (
        max(turn[key] for turn in turns) for key in ("flop_rate", "division_rate", "bandwidth")
    )
    times = {"arithmetic": INSTRUCTIONS / (0.5 * rate) + DIVISIONS / divisions, "memory": BYTES / bandwidth}
    case, options = sod(225, nodes)
    plain, seconds = numpy_march(case, 1e-2, options, 3)
    short = read_case(ROOT.parent / "cases/sod.toml", overrides=["reference.cells=225"])
    _, _, dt = next(equal_steps(short, options, 0.0))
    ended = short.model_copy(
        update={"domain": short.domain.model_copy(update={"output_times": (3 * dt,), "t_end": 3 * dt})}
    )
    compiled = compiled_rho(ended, 1e-2, options)[0][-1]
    numpy_seconds = min(seconds, numpy_march(case, 1e-2, options, 3)[1]) / (3 * 225 * nodes)
    cost = [
        {"cells": n, "nodes": k, "eps": eps, "nanoseconds": 1e9 * seconds_per_update(n, k, eps)}
        for n, k, eps in (
            *((n, nodes, 1e-2) for n in (375, 1125, 3375)),
            *((cells, k, 1e-2) for k in (64, 256)),
            *((cells, nodes, eps) for eps in (1.0, 1e-4, 1e-6)),
        )
    ]
    report = {
        "case": "sod",
        **machine,
        "cells": cells,
        "nodes": nodes,
        "updates_per_second": 1.0 / one,
        "instructions_per_update": INSTRUCTIONS,
        "flops_per_update": FLOPS,
        "bytes_per_update": BYTES,
        "flop_rate": rate,
        "division_rate": divisions,
        "copy_bandwidth_of_the_working_set": bandwidth,
        "bound": {"by": max(times, key=lambda name: times[name]), "nanoseconds": 1e9 * max(times.values())},
        "of_bound": max(times.values()) / one,
        "of_fused_peak": FLOPS / rate / one,
        "two_threads": {"speed_up": one / two, "efficiency": 0.5 * one / two} if quiet else "the machine is busy",
        "numpy": {
            "nanoseconds": 1e9 * numpy_seconds,
            "times_slower": numpy_seconds / one,
            "largest_difference_of_rho": float(np.abs(plain - compiled).max()),
        },
        "cost": cost,
        "accuracy": accuracy(),
    }
    (ROOT / "results/reference_bgk.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
