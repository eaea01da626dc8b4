"""Accuracy and cost of the slab-transport reference; writes benchmarks/results/reference_transport.json.

Per evaluated eps, at default settings: CPU seconds of one march, and the relative L2 error (cell-width weighted)
at every output time against the truth where there is one (`true`: the collision series until the front meets the far end or
rho there is below 1e-7; the diffusion limit at eps = 1e-8).  `cost` holds the CPU seconds against
cells; compilation is excluded.
"""

import json
import resource
import time
from pathlib import Path

import numpy as np

from solvers.limits.diffusion import Limit
from solvers.problem.case import Case
from solvers.problem.read import read_case
from solvers.schemes.discrete_ordinates import Options, Scheme
from solvers.verification.inflow_collision_series import CollisionSeries

ROOT = Path(__file__).parent


def inflow(nodes: int = 16) -> Case:
    return read_case(ROOT.parent / "cases/transport_inflow.toml", overrides=[f"velocity.nodes={nodes}"])


def solve(case: Case, eps: float, options: Options) -> tuple[dict[float, np.ndarray], float]:
    start = time.process_time()
    rho = {s.t: s.fields["rho"] for s in Scheme().march(case, eps, options) if s.fields}
    return rho, time.process_time() - start


def distance(h: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt((h * (a - b) ** 2).sum() / (h * b**2).sum()))


def main() -> None:
    case, options, scheme = inflow(), Options(), Scheme()
    x, h = scheme.coordinates(case, options)["x"], np.diff(scheme.edges(case, options))
    solve(case, 1.0, Options(cells=9, graded=3, steps=4))  # compiles
    rows = []
    for eps in case.knudsen.evaluate:
        rho, seconds = solve(case, eps, options)
        row = {"eps": eps, "cpu_seconds": seconds, "true": {}}
        for t, values in rho.items():
            # beyond t = eps the far end has been met; it is felt where rho is above 1e-7, which grows like erfc
            if t <= 1.0001 * eps or (eps >= 0.01 and t < 0.021):
                row["true"][f"{t:g}"] = distance(h, values, CollisionSeries(t / eps**2)(x / eps))
            elif eps <= 1e-8:
                limit = Limit().solve(case, {"x": x}, np.array([t]))["rho"][0]
                row["true"][f"{t:g}"] = distance(h, values, limit)
        rows.append(row)
        print(row, flush=True)
    cost = [
        {"cells": cells, "eps": eps, "cpu_seconds": solve(case, eps, Options(cells=cells, graded=cells // 5))[1]}
        for eps in (1.0, 1e-4)
        for cells in (15,)
    ]
    report = {
        "case": "transport_inflow",
        "options": options.model_dump(),
        "cells": x.size,
        "rows": rows,
        "cpu_seconds_evaluate": sum(row["cpu_seconds"] for row in rows),
        "cost": cost,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    (ROOT / "results/reference_transport.json").write_text(json.dumps(report, indent=1) + "\n")
    print({key: report[key] for key in ("cpu_seconds_evaluate", "cost", "peak_bytes")})


if __name__ == "__main__":
    main()
