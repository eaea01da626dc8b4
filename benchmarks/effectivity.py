"""Effectivity of the error estimate without a reference (`apnn/estimate.py`): estimate over error of rho, during default trainings.

    python benchmarks/effectivity.py esbgk_smooth esbgk_riemann sod transport_inflow

At every look of the training and every Knudsen number the estimate is divided by the relative L2 error of the network's own rho
against the reference, which is made when missing; errors below the reference's own are left out.  Into results/effectivity.json:
how many looks at a Knudsen number there were, the share at which something was known, and the smallest, the median and the largest
effectivity of these.
"""

import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from variants import ROOT, reference

from apnn.model import Model, fields
from apnn.options import train_options_model
from apnn.train import train
from solvers.problem.distance import cell_weights, relative_l2
from solvers.problem.read import read_case

OUT = ROOT / "benchmarks" / "results" / "effectivity.json"


def measure(name: str) -> dict[str, float]:
    """Numbers over all looks and Knudsen numbers of one default training."""
    truth, case = reference(name), read_case(ROOT / "cases" / f"{name}.toml")
    options = train_options_model(case.equation.kind)(**{**case.train, "diagnose": 0, "clock": "cpu"})
    model, axes = Model(case, options, "cpu"), truth.coordinates
    weights = cell_weights(axes)
    space = [axes[axis] for axis in ("x", "y") if axis in axes]
    ratios = []
    for snapshot in train(case, options):
        if "estimate" not in snapshot.scalars:
            continue
        theta = torch.from_numpy(np.array(snapshot.state["theta"]))
        model.hold(theta)
        rho = fields(model, theta, list(axes["eps"]), axes["t"], *space)["rho"]
        for eta, eps in zip(snapshot.state["estimate"], case.knudsen.all, strict=True):
            i = truth.index("eps", eps)
            error = relative_l2(rho[i], truth.fields["rho"][i], weights)
            if error > truth.uncertainty["rho"][i].max():
                ratios.append(eta / error)
    known = np.array(ratios)[np.isfinite(ratios)]
    low, median, high = (float(f"{value:.2g}") for value in np.quantile(known, [0.0, 0.5, 1.0]))
    return {
        "looks": len(ratios),
        "known": round(known.size / len(ratios), 2),
        "min": low,
        "median": median,
        "max": high,
    }


def main() -> None:
    for name in sys.argv[1:]:
        found = measure(name)
        print(name, found, flush=True)
        table = json.loads(OUT.read_text()) if OUT.exists() else {}
        OUT.write_text(json.dumps({**table, name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
