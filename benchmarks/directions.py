"""What a direction costs: every method against the floor, against the peers, and beyond the two products it cannot avoid.

    python benchmarks/directions.py [--threads 1 2] [--seconds 1.0] [--no-peers]

The floor is one J @ J.T and one w @ J by torch on the same float32 matrix (m, P). Runners take turns with the floor, so that
whatever else the machine does meets all of them; a ratio is minimum over minimum, its spread the quartiles of the ratios turn
by turn. One thread is timed in CPU time of the process, two in wall time (on an idle machine), a GPU in wall time with a
synchronisation; the small algebra of numpy has one thread always. Peers are torchjd and conflictfree
(`pip install 'kinetic-ap[peers]'`), left out where they are not installed.
Writes benchmarks/results/directions-<cpu or cuda>.json; thread counts that were not asked for keep their last table.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch

import hrgrad
from hrgrad.gram import combine, gramian

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = ((4, 10**6), (8, 10**6), (16, 10**6), (32, 10**6), (8, 10**5), (32, 10**5), (64, 10**5), (8, 10**4), (2, 10**5))
TORCHJD = {
    "ls": "Sum", "rlw": "Random", "mgda": "MGDA", "pcgrad": "PCGrad", "gradvac": "GradVac", "cagrad": "CAGrad",
    "graddrop": "GradDrop", "imtlg": "IMTLG", "alignedmtl": "AlignedMTL", "nashmtl": "NashMTL", "fairgrad": "FairGrad",
    "config": "ConFIG", "upgrad": "UPGrad",
}  # fmt: skip
SCALARIZERS = {
    "uw": "UW", "dwa": "DWA", "famo": "FAMO", "gls": "GeometricMean", "imtll": "IMTLL", "stch": "STCH", "rlw": "Random",
    "ls": "Sum",
}  # fmt: skip
CONFLICTFREE = {"config": "ConFIGOperator", "pcgrad": "PCGradOperator", "imtlg": "IMTLGOperator"}
Runner = Callable[[], Any]


def gradients(m: int, size: int, device: str, kind: str = "generic") -> torch.Tensor:
    """m gradients that spread over m + 1 directions only, so that cosines are of order one."""
    rng = np.random.default_rng(m)
    A = rng.normal(size=(m, m + 1))
    match kind:
        case "mild":
            A += 0.5 * rng.normal(size=m + 1)
        case "severe":
            A -= 0.95 * A.mean(axis=0)
        case "clusters":
            A = rng.normal(size=m + 1) + 0.3 * A
            A[0] = -A[1:].mean(axis=0) + 0.3 * rng.normal(size=m + 1)
    basis = torch.randn(m + 1, size, generator=torch.Generator().manual_seed(0))
    return (torch.from_numpy(A).float() @ basis).to(device)


def race(runners: dict[str, Runner], seconds: float, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Turn by turn until every runner has had its share of time; at least three turns each."""
    spent: dict[str, list[float]] = {name: [] for name in runners}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for run in runners.values():
            run()
        for turn in range(400):
            running = [n for n in runners if n == "floor" or turn < 3 or sum(spent[n]) < seconds]
            if running == ["floor"]:
                break
            for name in running:
                start = clock()
                runners[name]()
                spent[name].append(clock() - start)
    return spent


def ratios(spent: dict[str, list[float]], against: str = "floor") -> dict[str, dict[str, Any]]:
    base = spent[against]
    table = {}
    for name, times in spent.items():
        turns = np.array(times) / np.array(base[: len(times)])
        low, high = np.percentile(turns, [25, 75])
        table[name] = {
            "ms": round(1e3 * min(times), 4),
            "ratio": round(min(times) / min(base), 3),
            "spread": [round(float(low), 3), round(float(high), 3)],
            "turns": len(times),
        }
        if f"{name} torchjd" in spent:  # how many times slower the peer is, turn by turn
            theirs = spent[f"{name} torchjd"]
            turns = np.array(theirs[: len(times)]) / np.array(times[: len(theirs)])
            table[name]["torchjd"] = [round(float(q), 3) for q in np.percentile(turns, [25, 50, 75])]
    return table


def our_runner(name: str, J: torch.Tensor, losses: torch.Tensor) -> Runner:
    aggregator = hrgrad.Aggregator(name, generator=torch.Generator().manual_seed(0))
    return lambda: aggregator(J, losses)


def one_row_runner(name: str, J: torch.Tensor, **options: Any) -> Runner:
    """A momentum method that gets one new gradient per step."""
    m, method, turn = len(J), hrgrad.load_method(name), [0]
    read = method.Options.read(**options)
    problem = hrgrad.Problem(J)
    state = [method.direction(problem, None, method.initial_state(m, read), read)[1]]

    def run() -> None:
        k = turn[0] = (turn[0] + 1) % m
        one = hrgrad.Problem(J[k : k + 1], m=m, rows=(k,))
        found, state[0] = method.direction(one, None, state[0], read)
        found.update(one)

    return run


def peer_runners(J: torch.Tensor, peers: set[str]) -> dict[str, Runner]:
    m, runners = len(J), {}
    if "torchjd" in peers:
        from torchjd import aggregation

        given = {"CAGrad": {"c": 0.5}, "FairGrad": {"alpha": 2.0}, "NashMTL": {"n_tasks": m}}
        for name, title in TORCHJD.items():
            runners[f"{name} torchjd"] = lambda A=getattr(aggregation, title)(**given.get(title, {})): A(J)
    if "conflictfree" in peers:
        from conflictfree import grad_operator
        from conflictfree.momentum_operator import PseudoMomentumOperator

        for name, title in CONFLICTFREE.items():
            operator = getattr(grad_operator, title)()
            runners[f"{name} conflictfree"] = lambda o=operator: o.calculate_gradient(J)
        if m > 2:  # its closed form for two gradients is that of ConFIG already
            whole, single, turn = PseudoMomentumOperator(m), PseudoMomentumOperator(m), [0]
            single.calculate_gradient(list(range(m)), list(J))

            def one_row() -> None:
                k = turn[0] = (turn[0] + 1) % m
                single.calculate_gradient(k, J[k])

            runners["mconfig conflictfree"] = lambda: whole.calculate_gradient(list(range(m)), list(J))
            runners["mconfig one row conflictfree"] = one_row
    return runners


def aggregation_table(m: int, size: int, device: str, peers: set[str], seconds: float, clock: Any) -> dict[str, Any]:
    J = gradients(m, size, device)
    w, losses = torch.rand(m, device=device), torch.rand(m, dtype=torch.float64) + 0.5
    runners: dict[str, Runner] = {"floor": lambda: (J @ J.T, w @ J), "sum of J": lambda: w @ J}
    runners["Gramian and sum"] = lambda: (gramian(J), combine(w, J))
    names = [name for name in hrgrad.method_names() if hrgrad.load_method(name).needs != "losses"]
    runners |= {name: our_runner(name, J, losses) for name in [*names, "ls", "rlw"]}
    runners["mconfig one row"] = one_row_runner("mconfig", J)
    runners["hrgrad momentum one row"] = one_row_runner("hrgrad", J, momentum=True)
    return ratios(race(runners | peer_runners(J, peers), seconds, clock))


def overhead_table(device: str, seconds: float, clock: Any) -> dict[str, dict[str, float]]:
    """ms of a whole direction less its Gramian and its sum, at P = 4096; the worst of four kinds of conflict."""
    table: dict[str, dict[str, float]] = {}
    names = [name for name in hrgrad.method_names() if hrgrad.load_method(name).needs == "gramian"]
    for m in (2, 4, 8, 16, 32, 64):
        worst: dict[str, float] = {}
        for kind in ("generic", "mild", "severe", "clusters"):
            J = gradients(m, 4096, device, kind)
            w, losses = torch.rand(m, dtype=torch.float64), torch.rand(m, dtype=torch.float64) + 0.5
            runners: dict[str, Runner] = {"floor": lambda J=J, w=w: (gramian(J).cpu(), combine(w, J))}
            runners |= {name: our_runner(name, J, losses) for name in names}
            spent = race(runners, 0.1 * seconds, clock)
            for name in names:
                worst[name] = max(worst.get(name, 0.0), 1e3 * (min(spent[name]) - min(spent["floor"])))
        table[str(m)] = {name: round(value, 3) for name, value in worst.items()}
    return table


def scalarization_table(m: int, seconds: float, clock: Any) -> dict[str, Any]:
    """Loss-based methods: from m losses to the gradients that their backward pass starts from, against torchjd's scalarizers.

    Methods with learned weights include their lesson; torchjd leaves it to the caller's optimizer, so that it gets one here.
    """
    from torchjd import scalarization

    values = torch.rand(m) + 0.5
    given = {"UW": (m,), "FAMO": (m,), "IMTLL": (m,), "STCH": (0.1,)}
    runners: dict[str, Runner] = {}
    for name, title in SCALARIZERS.items():
        method = hrgrad.load_method(name)
        options, problem = method.Options.read(), hrgrad.Problem(m=m)
        memory = [method.initial_state(m, options)]
        theirs = getattr(scalarization, title)(*given.get(title, ()))

        def ours(method: Any = method, options: Any = options, memory: Any = memory, problem: Any = problem) -> None:
            losses = values.clone().requires_grad_()
            found, memory[0] = method.direction(problem, losses.detach(), memory[0], options)
            torch.autograd.grad(losses, losses, found.weights.to(losses))

        teacher = torch.optim.Adam(theirs.parameters(), lr=1e-3) if title in ("UW", "IMTLL") else None

        def peer(theirs: Any = theirs, teacher: Any = teacher) -> None:
            losses = values.clone().requires_grad_()
            if teacher is None:
                torch.autograd.grad(theirs(losses), losses)
            else:
                teacher.zero_grad()
                theirs(losses).backward()
                teacher.step()

        runners |= {name: ours, f"{name} torchjd": peer}
    spent = race({"floor": lambda: None, **runners}, 0.1 * seconds, clock)
    return {name: round(1e3 * min(times), 4) for name, times in spent.items() if name != "floor"}


def goals(
    table: dict[str, Any], overhead: dict[str, dict[str, float]], scalarization: dict[str, dict[str, float]]
) -> list[dict[str, Any]]:
    """The goals that were set, with what was measured; a speed-up is the peer's minimum over ours."""
    rows: list[dict[str, Any]] = []

    def at_most(text: str, found: float, limit: float) -> None:
        rows.append({"goal": text, "limit": limit, "found": round(found, 3), "met": found <= limit})

    def at_least(text: str, found: float, limit: float) -> None:
        rows.append({"goal": text, "limit": limit, "found": round(found, 3), "met": found >= limit})

    gram = [n for n in hrgrad.method_names() if hrgrad.load_method(n).needs == "gramian"]
    for threads, sizes in table.items():
        at = sizes["8 x 1000000"]
        at_most(f"hrgrad / floor, m = 8, P = 1e6, {threads}", at["hrgrad"]["ratio"], 1.0)
        worst = max(gram, key=lambda n: at[n]["ratio"])
        at_most(f"slowest Gram-space method ({worst}) / floor, m = 8, P = 1e6, {threads}", at[worst]["ratio"], 1.0)
        at_most(f"hrgrad / floor, m = 64, P = 1e5, {threads}", sizes["64 x 100000"]["hrgrad"]["ratio"], 2.0)
        for peer in ("torchjd", "conflictfree"):
            if f"config {peer}" in at:
                gain = at[f"config {peer}"]["ms"] / at["config"]["ms"]
                at_least(f"ConFIG faster than {peer}, m = 8, P = 1e6, {threads}", gain, 15.0)
        wide = sizes["32 x 100000"]
        for name in ("pcgrad", "gradvac", "cagrad", "nashmtl"):
            if f"{name} torchjd" in wide:
                gain = wide[f"{name} torchjd"]["ms"] / wide[name]["ms"]
                most = wide[f"{name} torchjd"]["ms"] / wide["Gramian and sum"]["ms"]
                text = f"{name} faster than torchjd, m = 32, P = 1e5, {threads} (Gramian and sum alone: {most:.1f})"
                at_least(text, gain, 4.0)
        least = [
            (row[name]["torchjd"][2], f"{name} at {size}")
            for size, row in sizes.items()
            for name in TORCHJD
            if "torchjd" in row.get(name, {})
        ]
        if least:
            gain, where = min(least)
            at_least(f"never slower than torchjd in three turns of four, {threads}; the closest is {where}", gain, 1.0)
    least = [
        (row[f"{name} torchjd"] / row[name], f"{name} at m = {m}")
        for m, row in scalarization.items()
        for name in SCALARIZERS
    ]
    if least:
        gain, where = min(least)
        at_least(f"loss-based methods never slower than torchjd's; the closest is {where}", gain, 1.0)
    for m, limit in (("8", 0.3), ("16", 1.0)):
        at_most(f"hrgrad beyond Gramian and sum, m = {m}, ms", overhead[m]["hrgrad"], limit)
        worst = max(overhead[m], key=lambda n: overhead[m][n])
        at_most(f"slowest method ({worst}) beyond Gramian and sum, m = {m}, ms", overhead[m][worst], limit)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=1.0, help="share of each runner at each size")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path, default=None, help="another file than benchmarks/results/directions-*.json")
    chosen = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    known = {name for name in ("torchjd", "conflictfree") if importlib.util.find_spec(name) is not None}
    peers = set() if chosen.no_peers else known
    torch.manual_seed(0)

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    table: dict[str, Any] = {}
    overhead: dict[str, dict[str, float]] = {}
    scalarization: dict[str, Any] = {}
    for threads in chosen.threads if device == "cpu" else [torch.get_num_threads()]:
        torch.set_num_threads(threads)
        clock = synchronised if device == "cuda" else time.process_time if threads == 1 else time.perf_counter
        label = f"{threads} thread{'s' * (threads > 1)}" if device == "cpu" else torch.cuda.get_device_name()
        if not overhead:
            overhead = overhead_table(device, chosen.seconds, clock)
            if "torchjd" in peers:
                scalarization = {str(m): scalarization_table(m, chosen.seconds, clock) for m in (8, 32)}
        table[label] = {}
        for m, size in SIZES:
            rows = aggregation_table(m, size, device, peers, chosen.seconds, clock)
            table[label][f"{m} x {size}"] = rows
            print(f"{label}, m = {m}, P = {size}: floor {rows['floor']['ms']:.2f} ms; ratios to it:")
            line = [f"{n} {r['ratio']:.2f}" for n, r in rows.items() if n != "floor"]
            print("   " + ", ".join(line), flush=True)
    versions = {"torch": torch.__version__, "numpy": np.__version__, "peers": sorted(peers)}
    out = chosen.out or RESULTS / f"directions-{device}.json"
    if out.exists() and (last := json.loads(out.read_text()))["versions"] == versions:
        table = {label: table.get(label, rows) for label, rows in {**last["aggregation"], **table}.items()}
    rows = goals(table, overhead, scalarization)
    for row in rows:
        print(f"{'met ' if row['met'] else 'MISS'}  {row['found']:8.3f} (limit {row['limit']})  {row['goal']}")
    machine = f"{platform.machine()}, 2 shared CPU cores" if device == "cpu" else torch.cuda.get_device_name()
    result = {
        "machine": machine, "versions": versions, "goals": rows, "overhead_ms": overhead,
        "scalarization_ms": scalarization, "aggregation": table,
    }  # fmt: skip
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
