"""Cost of the Jacobian of m = 8 losses against one backward pass of their sum; writes benchmarks/results/jacobian-cpu.json.

    python benchmarks/jacobian.py [--repeat 15]

The losses are mean squares of a tanh network on points of their own (one Knudsen number each). Forward pass included on both
sides, process CPU time of one thread, median over repetitions that alternate between the ways, so that a ratio compares the
same minutes of the machine. `shared graph` are the same losses from one graph, as when only the residual depends on k.
"""

import argparse
import itertools
import json
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

import hrgrad

OUT = Path(__file__).resolve().parent / "results" / "jacobian-cpu.json"
TASKS = 8
#: width, hidden layers, points per loss, type
SIZES = ((128, 4, 256, "float32"), (128, 4, 256, "float64"), (64, 4, 256, "float64"), (32, 2, 128, "float64"))


def network(theta: Tensor, x: Tensor, sizes: list[int]) -> Tensor:
    """tanh layers; theta (P,) with x (B, 3), or (m, P) with (m, B, 3). One split: its backward pass is one concatenation."""
    layers = list(itertools.pairwise(sizes))
    parts = theta.split([n for a, b in layers for n in (a * b, b)], -1)
    for k, (a, b) in enumerate(layers):
        W, bias = parts[2 * k].unflatten(-1, (a, b)), parts[2 * k + 1].unsqueeze(-2)
        x = torch.baddbmm(bias, x, W) if x.ndim == 3 else torch.addmm(bias, x, W)
        x = torch.tanh(x) if k + 1 < len(layers) else x
    return x[..., 0]


def measure(width: int, depth: int, points: int, dtype: str, repeat: int) -> dict[str, float]:
    sizes = [3, *[width] * depth, 1]
    size = sum(a * b + b for a, b in itertools.pairwise(sizes))
    generator = torch.Generator().manual_seed(0)
    kind = getattr(torch, dtype)
    theta = 0.3 * torch.randn(size, generator=generator, dtype=kind)
    x = torch.rand(TASKS, points, 3, generator=generator, dtype=kind)

    def shared() -> tuple[Tensor, Tensor]:
        leaf = theta.detach().requires_grad_()
        return network(leaf, x.flatten(0, 1), sizes).view(TASKS, points).square().mean(1), leaf

    def one_backward() -> object:
        losses, leaf = shared()
        return torch.autograd.grad(losses.sum(), leaf)

    def separate() -> object:
        return hrgrad.jacobian(lambda copies: network(copies, x, sizes).square().mean(1), theta, TASKS)[1]

    def graph_row_by_row() -> object:
        return hrgrad.jacobian(*shared(), chunk=1)

    def graph_batched() -> object:
        return hrgrad.jacobian(*shared(), chunk=TASKS)

    def vectorised() -> object:
        row = torch.func.grad(lambda t, points: network(t, points, sizes).square().mean())
        return torch.func.vmap(row, in_dims=(None, 0))(theta, x)

    ways = (one_backward, separate, graph_row_by_row, graph_batched, vectorised)
    torch.testing.assert_close(separate(), vectorised())
    torch.testing.assert_close(graph_batched(), vectorised())
    seconds: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(repeat):
        for way in ways:
            start = time.process_time()
            way()
            seconds[way.__name__].append(time.process_time() - start)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    base = middle.pop("one_backward")
    ratios = {name.replace("_", " "): round(value / base, 2) for name, value in middle.items()}
    return {"parameters": size, "one backward, ms": round(1e3 * base, 2), **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    repeat = parser.parse_args().repeat
    torch.set_num_threads(1)
    rows = {
        f"{depth} x {width}, {points} points, {dtype}": measure(width, depth, points, dtype, repeat)
        for width, depth, points, dtype in SIZES
    }
    machine = f"{platform.machine()}, 1 thread of 2 shared CPU cores, torch {torch.__version__}"
    OUT.write_text(json.dumps({"machine": machine, "tasks": TASKS, "rows": rows}, indent=1) + "\n")
    print(OUT.read_text())


if __name__ == "__main__":
    main()
