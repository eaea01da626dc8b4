"""Residual evaluations per second of every formulation: against the bound of its matrix products, and against nested autograd.

    python benchmarks/residuals.py

One evaluation is the losses of one training batch and their gradient, one thread.  All times of a case are taken in turns, and
the least of each counts:

    tangents   our networks: value and tangents in one product, one reverse pass
    nested     the same network, points and residuals with d_t and d_x by `torch.autograd.grad(..., create_graph=True)`, one call
               an output; the rows agree to 1e-9, which is checked.  Its features are differentiated as well and cannot be kept;
               those of gases are integrals over v
    float32    `tangents` in the first-order phase's float32
    compiled   `tangents` through torch.compile (`train.compile`), compilation not counted
    bound      floating-point operations of the matrix products of `tangents` over the rate of one product (W, W) (W, rows),
               which is up to twice that of (rows, W) (W, W)

`share` = bound / tangents, `ratio` = nested / tangents; `compilation` is what it costs, in CPU seconds.  Written to
results/residuals.json.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # every compilation is paid for
ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "residuals.json"
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from apnn.options import formulations, train_options_model  # noqa: E402
from apnn.train import Model  # noqa: E402
from solvers.problem.read import read_case  # noqa: E402

CASES = {"bgk": "bgk_smooth", "transport": "transport_periodic"}
CHANGES = {"precision": "float32"}, {"compile": True}
TURNS = 7


def tangents(model: Model, theta: Tensor) -> Tensor:
    leaf = theta.clone().requires_grad_()
    loss = torch.stack(list(model.losses(leaf, 0).values())).sum(0).mean()
    return torch.autograd.grad(loss, leaf)[0]


def nested_rows(model: Model, theta: Tensor) -> dict[str, Tensor]:
    """Residual rows with derivatives by nested reverse passes."""
    batch, known = model.batch(0), model.formulation
    eps = batch.eps
    t, x = batch.t.clone().requires_grad_(), getattr(batch, "x", model._places(0)[2]).clone().requires_grad_()
    value = model.network(theta, known.features(eps, t, x).unsqueeze(-3))
    slopes = [torch.autograd.grad(column.sum(), (t, x), create_graph=True) for column in value.unbind(-1)]
    columns = [torch.stack(part, dim=-1).unsqueeze(-3) for part in zip(*slopes, strict=True)]
    rows: dict[str, Tensor] = known.residuals(known.ansatz(torch.cat([value, *columns], dim=-3), batch), batch)
    return rows


def nested(model: Model, theta: Tensor) -> Tensor:
    leaf = theta.clone().requires_grad_()
    loss = torch.stack([row.square().flatten(1).mean(1) for row in nested_rows(model, leaf).values()]).sum(0).mean()
    return torch.autograd.grad(loss, leaf)[0]


def least(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Least CPU seconds of each, taken in turns."""
    found: dict[str, float] = {}
    for _ in range(TURNS):
        for name, run in runs.items():
            begin = time.process_time()
            run()
            found[name] = min(found.get(name, float("inf")), time.process_time() - begin)
    return found


def measure(name: str, width: int) -> dict[str, Any]:
    """One formulation with an `mlp` of two hidden layers."""
    case = read_case(ROOT / "cases" / f"{CASES[name.split('_')[0]]}.toml")
    given = {**case.train, "formulation": name, "network": "mlp", "width": width, "depth": 2}
    model = Model(case, train_options_model(case.equation.kind)(**given), "cpu")
    theta = model.initial(torch.Generator().manual_seed(0))
    batch = model.batch(0)
    for key, row in model.rows(theta, batch).items():
        torch.testing.assert_close(nested_rows(model, theta)[key], row, rtol=1e-9, atol=1e-9)
    with FlopCounterMode(display=False) as counter:
        tangents(model, theta)
    points = batch.inputs.shape[:-1].numel()
    a, b = torch.randn(width, width, dtype=theta.dtype), torch.randn(width, points, dtype=theta.dtype)
    single, fast = (Model(case, model.options.model_copy(update=change), "cpu") for change in CHANGES)
    begin = os.times()
    tangents(fast, theta)
    compilation = sum(os.times()[:4]) - sum(begin[:4])
    seconds = least(
        {
            "tangents": lambda: tangents(model, theta),
            "float32": lambda: tangents(single, theta.float()),
            "compiled": lambda: tangents(fast, theta),
            "nested": lambda: nested(model, theta),
            "product": lambda: a @ b,
        }
    )
    rate = 2.0 * points * width**2 / seconds["product"]
    bound = counter.get_total_flops() / rate
    return {
        "points": batch.t.numel(),
        "points_per_second": round(batch.t.numel() / seconds["tangents"]),
        "milliseconds": {key: round(1e3 * seconds[key], 2) for key in ("tangents", "float32", "compiled", "nested")},
        "compilation": round(compilation, 1),
        "gflops_of_product": round(rate / 1e9, 1),
        "share": round(bound / seconds["tangents"], 2),
        "ratio": round(seconds["nested"] / seconds["tangents"], 1),
    }


def main() -> None:
    torch.set_num_threads(1)
    table = {}
    for name in formulations.names():
        # transport_pinn reads a formula at every evaluation, which the counter of operations cannot enter
        if name.split("_")[0] in CASES and not name.startswith(("transport_2d", "transport_pinn")):
            for width in (32, 128):
                table[f"{name}, width {width}"] = measure(name, width)
                print(name, width, table[f"{name}, width {width}"], flush=True)
    OUT.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
