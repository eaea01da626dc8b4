"""Error of rho at one Knudsen number after so many CPU seconds: fine-tuning a trained network against training from scratch.

    python benchmarks/finetune.py --pretrain 30 --seconds 1,2,5

A network with `encoder = "mad"` is trained for all Knudsen numbers first (its seconds are told apart).  Then one Knudsen number
alone is trained: from scratch, from that network with all weights (MAD-LM), and with the code of eps alone (MAD-L).
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "finetune.json"
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from apnn.options import TrainOptions, train_options_model  # noqa: E402
from apnn.train import predict, train  # noqa: E402
from benchmarks.variants import reference  # noqa: E402
from kinetic_cli.finetune import narrowed  # noqa: E402
from solvers.problem.case import Case  # noqa: E402
from solvers.problem.distance import cell_weights, relative_l2  # noqa: E402
from solvers.problem.read import read_case  # noqa: E402
from solvers.problem.result import Result  # noqa: E402

ENDLESS = {"clock": "cpu", "diagnose": 0, "second_steps": 1_000_000, "steps": 0}


def error(case: Case, options: TrainOptions, theta: np.ndarray, eps: float, truth: Result) -> float:
    """Relative L2 error of rho over all output times."""
    axes = truth.coordinates
    rho = predict(case, options, {"theta": theta}, [eps], axes["t"], axes["x"])["rho"][0]
    found = relative_l2(rho, truth.fields["rho"][truth.index("eps", eps)], cell_weights(axes))
    return float(f"{found:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", default="transport_periodic")
    parser.add_argument("--knudsen", type=float, default=3e-3)
    parser.add_argument("--pretrain", type=float, default=30.0)
    parser.add_argument("--seconds", default="1,2,5", help="CPU seconds of one thread, increasing")
    chosen = parser.parse_args()
    seconds, truth = [float(part) for part in chosen.seconds.split(",")], reference(chosen.case)
    case = read_case(ROOT / "cases" / f"{chosen.case}.toml")
    kind = train_options_model(case.equation.kind)
    case = case.model_copy(update={"train": {**case.train, **ENDLESS, "network": "mlp", "encoder": "mad"}})
    whole = kind(**{**case.train, "time_limit": chosen.pretrain})
    *_, last = train(case, whole)
    start = np.array(last.state["theta"])
    table: dict[str, object] = {
        "case": chosen.case,
        "knudsen": chosen.knudsen,
        "pretrained": {"cpu_seconds": chosen.pretrain, "error": error(case, whole, start, chosen.knudsen, truth)},
        "cpu_seconds": seconds,
    }
    for label, freeze, theta in (
        ("from scratch", False, None),
        ("all weights", False, start),
        ("code alone", True, start),
    ):
        narrow = narrowed(case, [chosen.knudsen], freeze, {**ENDLESS, "time_limit": seconds[-1]}, [])
        options, errors = kind(**narrow.train), []
        for snapshot in train(narrow, options, start=theta):
            if snapshot.scalars["seconds"] >= seconds[len(errors)]:
                errors.append(error(narrow, options, snapshot.state["theta"], chosen.knudsen, truth))
                if len(errors) == len(seconds):
                    break
        table[label] = errors
        print(label, errors, flush=True)
    OUT.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
