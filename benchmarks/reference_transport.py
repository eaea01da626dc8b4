"""Accuracy and cost of the slab-transport references; writes benchmarks/results/reference_transport.json.

Per eps: CPU seconds at the base resolution, and the relative L2 distance (cell-width weighted, last output time) to a run
with three times the cells and twice the steps (`x_t`), and to one with half as many velocity nodes again (`v`).  Cells of the
uniform part nest when their number is multiplied by an odd factor; only coinciding centres are compared.
"""

import json
import time
from pathlib import Path

import numpy as np

from solvers.limits.diffusion import Limit
from solvers.problem.read import read_case
from solvers.schemes.discrete_ordinates import Options, Scheme

ROOT = Path(__file__).parent
CELLS, STEPS, NODES = 40, 16, 16


def solve(eps: float, nodes: int, cells: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    case = read_case(ROOT.parent / "cases/transport_inflow.toml", overrides=[f"velocity.nodes={nodes}"])
    scheme, options = Scheme(), Options(cells=cells, steps=steps)
    start = time.process_time()
    last = list(scheme.march(case, eps, options))[-1]
    seconds = time.process_time() - start
    return scheme.coordinates(case, options)["x"], np.diff(scheme.edges(case, options)), last.fields["rho"], seconds


def distance(coarse: tuple, fine: tuple) -> float:
    x, h, rho, _ = coarse
    nearest = np.abs(fine[0] - x[:, None]).argmin(axis=1)
    same = np.abs(fine[0][nearest] - x) < 1e-12
    gap = (rho - fine[2][nearest])[same]
    return float(np.sqrt((h[same] * gap**2).sum() / (h[same] * rho[same] ** 2).sum()))


def main() -> None:
    case = read_case(ROOT.parent / "cases/transport_inflow.toml")
    rows = []
    for eps in case.knudsen.evaluate:
        base = solve(eps, NODES, CELLS, STEPS)
        row = {"eps": eps, "cpu_seconds": base[3], "cells": base[0].size}
        row["x_t"] = distance(base, solve(eps, NODES, 3 * CELLS, 2 * STEPS))
        row["v"] = distance(base, solve(eps, 3 * NODES // 2, CELLS, STEPS))
        if eps <= 1e-8:
            limit = Limit().solve(case, {"x": base[0]}, np.array([case.domain.t_end]))["rho"][0]
            row["limit"] = distance(base, (base[0], base[1], limit, 0.0))
        rows.append(row)
        print(row, flush=True)
    report = {"case": "transport_inflow", "nodes": NODES, "steps": STEPS, "rows": rows}
    (ROOT / "results/reference_transport.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
