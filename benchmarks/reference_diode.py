"""Speed, cost and accuracy of the diode's reference, `hermite_parity`; writes benchmarks/results/reference_diode.json.

kernel    cell steps (one cell, one RODAS4 step) per second at 64 velocity nodes, and the share that this is of the machine's fused
          multiply-adds in registers, measured in the same run; the block elimination and the six solves of a step in plain NumPy
          (blocks inverted by LAPACK), which is all but a few per cent of the operations
cost      CPU seconds of one march against cells, velocity nodes and eps, and the powers of cells and nodes that they grow with
errors    CPU seconds and the relative L2 error of rho over all output times on grids that differ by three, against a march with
          three times the cells and steps of the finest of them; beside it the seconds that plain NumPy needs for its
          linear algebra alone

Everything is CPU seconds of one thread; compilation is excluded.  Run with OMP_NUM_THREADS=1 and NUMBA_NUM_THREADS=1.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe, flop_rate

from solvers.problem.distance import on_grid, relative_l2
from solvers.problem.read import read_case
from solvers.schemes._hermite_kernels import STAGES
from solvers.schemes.hermite_parity import Device, Options, Scheme, schedule

ROOT = Path(__file__).parent
NODES, CELLS, STEPS, EPS = 64, 405, 108, 1e-2


def diode(nodes: int = NODES) -> Any:
    return read_case(ROOT.parent / "cases/diode.toml", overrides=[f"velocity.nodes={nodes}"])


def operations(nodes: int) -> float:
    """Of one cell step: inverse of a block, elimination by two couplings of four columns, twelve products with blocks."""
    n = nodes // 2 + 1
    return 2.0 * n**3 + (8.0 + 8.0 + STAGES * 2.0 * 2.0) * n**2


def solve(cells: int, steps: int, nodes: int = NODES, eps: float = EPS) -> tuple[np.ndarray, np.ndarray, float]:
    """x, rho (t, x) and CPU seconds of one march."""
    case, scheme, options = diode(nodes), Scheme(), Options(cells=cells, steps=steps)
    begin = time.process_time()
    rho = [s.fields["rho"] for s in scheme.march(case, eps, options) if s.fields]
    return scheme.coordinates(case, options)["x"], np.array(rho), time.process_time() - begin


def numpy_step(D: np.ndarray, L: np.ndarray, U: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Block tridiagonal elimination and the solves for every right-hand side (stage, cell, n), one after the other."""
    inverse, y = np.empty_like(D), right.copy()
    for i in range(len(D)):
        inverse[i] = np.linalg.inv(D[i] - L[i] @ (inverse[i - 1] @ U[i - 1]) if i else D[i])
    for stage in y:
        for i in range(len(D)):
            stage[i] = inverse[i] @ (stage[i] - L[i] @ stage[i - 1] if i else stage[i])
        for i in range(len(D) - 2, -1, -1):
            stage[i] -= inverse[i] @ (U[i] @ stage[i + 1])
    return y


def numpy_seconds(cells: int, nodes: int) -> float:
    """CPU seconds of `numpy_step`, whose answer is checked."""
    rng, n = np.random.default_rng(0), nodes // 2 + 1
    D = 4.0 * np.eye(n) + 0.1 * rng.random((cells, n, n)) / n
    L, U = (0.5 * rng.random((cells, n, n)) / n for _ in range(2))
    right = rng.random((STAGES, cells, n))
    y = numpy_step(D, L, U, right)
    back = np.einsum("cij,scj->sci", D, y)
    back[:, 1:] += np.einsum("cij,scj->sci", L[1:], y[:, :-1])
    back[:, :-1] += np.einsum("cij,scj->sci", U[:-1], y[:, 1:])
    np.testing.assert_allclose(back, right, rtol=1e-10)
    found = []
    for _ in range(3):
        begin = time.process_time()
        numpy_step(D, L, U, right)
        found.append(time.process_time() - begin)
    return min(found)


def kernel() -> dict[str, Any]:
    case = diode()
    device = Device(case, EPS, CELLS, *case.velocity.nodes_and_weights())
    dt = case.domain.t_end / STEPS / 64.0
    for _ in range(3):  # compiles, and leaves the initial layer behind
        device.step(dt)
    found = []
    for _ in range(10):
        begin = time.process_time()
        device.step(dt)
        found.append(time.process_time() - begin)
    seconds, plain, flops = min(found), numpy_seconds(CELLS, NODES), flop_rate()
    return {
        "cells": CELLS,
        "nodes": NODES,
        "cell_steps_per_second": CELLS / seconds,
        "operations_per_cell_step": operations(NODES),
        "flops_per_second": flops,
        "bound": "flop rate",
        "share_of_bound": operations(NODES) * CELLS / seconds / flops,
        "numpy_cell_steps_per_second": CELLS / plain,
        "against_numpy": plain / seconds,
    }


def cost() -> dict[str, Any]:
    rows = []
    for cells, nodes, eps in ((135, 32, EPS), (405, 32, EPS), (135, 64, EPS), (135, 64, 1e-1), (135, 64, 1e-4)):
        seconds = min(solve(cells, 36, nodes, eps)[2] for _ in range(2))
        rows.append({"cells": cells, "nodes": nodes, "eps": eps, "steps": 36, "cpu_seconds": seconds})
    seconds = [row["cpu_seconds"] for row in rows]
    return {
        "rows": rows,
        "power_of_cells": float(np.log(seconds[1] / seconds[0]) / np.log(3.0)),
        "power_of_nodes": float(np.log(seconds[2] / seconds[0]) / np.log(2.0)),
        "slowest_over_fastest_eps": max(seconds[2:]) / min(seconds[2:]),
    }


def errors() -> list[dict[str, Any]]:
    x, truth, _ = solve(3 * CELLS, 3 * STEPS)
    rows = []
    for part in (9, 3, 1):
        cells, steps = CELLS // part, STEPS // part
        there, rho, seconds = solve(cells, steps)
        exact = on_grid(truth, {"x": x}, {"x": there})
        taken = len(schedule(diode(), Options(cells=cells, steps=steps))[0])
        rows.append(
            {
                "cells": cells,
                "steps": taken,
                "cpu_seconds": seconds,
                "error_of_rho": relative_l2(rho, exact, np.ones_like(there)),
                "numpy_seconds_of_linear_algebra": taken * numpy_seconds(cells, NODES),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    report: dict[str, Any] = {"case": "diode", "eps": EPS, **describe(), "kernel": kernel()}
    print(report["kernel"], flush=True)
    report["cost"] = cost()
    print(report["cost"], flush=True)
    report["errors"] = errors()
    (ROOT / "results/reference_diode.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
