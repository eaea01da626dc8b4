"""What the verifications of gases share: a case in plain words, a march from any distribution, the observed order."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..problem.case import Case
from ..problem.check import Outcome
from ..problem.read import case_from_data
from ..problem.registry import schemes
from ..problem.scheme import Array
from ..problem.status import Snapshot

UNIFORM = {"rho": "1", "u": "0", "T": "1"}
#: the smooth periodic data of problems.md (47)
WAVES = {"rho": "1 + 0.5*sin(2*pi*x)", "u": "0", "T": "1 + 0.5*sin(2*pi*x + 0.2)"}


def make_case(
    equation: Mapping[str, Any],
    initial: Mapping[str, str],
    times: tuple[float, ...],
    *,
    ends: str = "periodic",
    x: tuple[float, float] = (-0.5, 0.5),
    v: tuple[float, float] = (-10.0, 10.0),
    nodes: int = 64,
) -> Case:
    """A gas (`equation` holds kind, nu, velocity_dimension, ...) that is observed at `times`."""
    velocity: dict[str, Any] = {"kind": "trapezoid", "range": list(v), "nodes": nodes}
    if equation["kind"] == "esbgk":
        velocity |= {"kind": "trapezoid_2d", "range2": [-12.0, 12.0], "nodes2": 48}
    return case_from_data(
        {
            "name": "gas",
            "title": "Gas",
            "equation": dict(equation),
            "domain": {"x": list(x), "t_end": times[-1], "output_times": list(times)},
            "velocity": velocity,
            "knudsen": {"evaluate": [1.0]},
            "initial": dict(initial),
            "boundary": {"left": ends, "right": ends},
        }
    )


def centres(name: str, case: Case, **settings: Any) -> Array:
    """Cell centres of the scheme."""
    scheme = schemes.load(name)()
    x: Array = scheme.coordinates(case, scheme.Options(scheme=name, **settings))["x"]
    return x


def march(name: str, case: Case, eps: float, f: Array | None = None, **settings: Any) -> list[Snapshot]:
    """The snapshots at the output times, from f (component, x, v) or from the initial data of the case."""
    scheme = schemes.load(name)()
    start = None if f is None else {"f": f, "t": 0.0, "step": 0}
    snapshots = scheme.march(case, eps, scheme.Options(scheme=name, **settings), start)
    return [snapshot for snapshot in snapshots if snapshot.fields]


def distance(computed: Array, exact: Array) -> float:
    """Relative L2 distance."""
    return float(np.linalg.norm(computed - exact) / np.linalg.norm(exact))


def order(what: str, cells: tuple[float, ...], errors: list[float], least: float, axis: str = "cells") -> Outcome:
    """What the observed order of the finest two errors lacks to `least`; the curves are logarithms to base ten."""
    n, e = np.log10(cells), np.log10(errors)
    observed = float((e[-2] - e[-1]) / (n[-1] - n[-2]))
    quantity = f"{what}: order {observed:.2f}, lacks to {least:g}"
    return Outcome(quantity, max(least - observed, 0.0), 0.0, f"log10 {axis}", n, e, e[0] - least * (n - n[0]))
