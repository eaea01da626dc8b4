r"""The error of a reference, estimated by the reference itself: Richardson's extrapolation with the observed order.

The scheme is run with N, N/r and N/r^2 cells (and steps; r = 3, when centres of coarse cells are centres of fine ones, unless
the scheme says otherwise), and on the N/r grid with 2/3 and 4/9 of the n velocity nodes.  Of three resolutions with ratio r, distances

$$ d_1 = \|\phi_{\rm medium}-\phi_{\rm coarse}\|, \quad d_2 = \|\phi_{\rm fine}-\phi_{\rm medium}\|, \quad
   p = \log_r\frac{d_1}{d_2}, $$

the error of the fine one is about $F\,d_2/(r^p-1)$.  For the grid: F = 1.25 where the observed p is within 10 % of the
order to expect (the claimed one, or less where the solution is not smooth); otherwise F = 3 and p is clipped to [1/2, that
order]; with two resolutions only, F = 3 and p = 1.

Norms are taken at the centres of the coarser grid.  Where p is lower than expected there is a layer thinner than its cells: whether
a centre lies in it is chance, and so are d and p.  Then the coarser solution is carried to the centres of the finer grid by cubic
ENO, and the bar is that of F = 1.25 and p clipped to [1/2, 1], if it is less: 1/2 is the order of a captured discontinuity in L2, and
a layer of finite width is resolved the better the finer the grid, so that orders rise and $d_2/(r^p-1)$ bounds the sum of all the
distances to come.

For the velocities (r = 3/2): F = 1.25 and no upper end for p, since the sets converge exponentially on smooth f, faster than any
power; with two sets only, the whole d_2.
Both parts are added; relative to $\|\phi_N\|$ at each time (dimensionless).

References: Roache (1994), J. Fluids Eng. 116, 405 (grid convergence index), DOI 10.1115/1.2910291; Oberkampf, Roy (2010),
Verification and Validation in Scientific Computing, section 8.6 (the choice of F), DOI 10.1017/CBO9780511760396.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .problem.case import Case
from .problem.distance import cell_weights, on_grid, relative_l2
from .problem.scheme import Array, Scheme
from .problem.status import BadInput, NumericalError, Snapshot

LEAST_ORDER = 0.5
#: the highest that is counted on where a layer is thinner than a coarse cell
LAYER_ORDER = 1.0
SAFE_OBSERVED, SAFE_ASSUMED = 1.25, 3.0
#: ratio of the numbers of nodes of a velocity set and its `coarser`
FEWER = 1.5
#: coarser grids
GRIDS = 2
#: distances below this are round-off
ROUND_OFF = 1e-15


@dataclass(frozen=True)
class Estimate:
    """What is known about the error of one field at one time (relative L2).

    error     the estimate, grid and velocities together; NaN if the scheme cannot be coarsened or the field vanishes
    grid      the part of x and t;  velocity   the part of the velocity set
    order     observed order in the cells, NaN if it was assumed
    distances from each coarser grid to the next finer one, coarsest first
    """

    error: float = float("nan")
    grid: float = float("nan")
    velocity: float = float("nan")
    order: float = float("nan")
    distances: tuple[float, ...] = ()


@dataclass
class Run:
    """One coarse run; `solution` holds its fields by output time."""

    case: Case
    options: Any
    work: float
    axes: Mapping[str, Array]
    solution: dict[str, Mapping[str, Array]] = field(default_factory=dict)


class Estimator:
    """The coarse runs of one Knudsen number, and the estimate that a fine solution gives with them.

    Iterate `march()` to its end, then ask `estimate` for each filled snapshot of the fine run.
    """

    def __init__(self, scheme: Scheme, case: Case, eps: float, options: Any) -> None:
        self.scheme, self.eps, self.options = scheme, eps, options
        self.axes = scheme.coordinates(case, options)
        self.claimed = scheme.expected_order(case, eps)
        self.grids: list[Run] = []
        self.velocities: list[Run] = []  # coarsest first, like the grids; all on the finest of the coarse grids
        coarse = scheme.coarser(options)
        while coarse is not None and len(self.grids) < GRIDS:
            self.grids.insert(0, self._run(case, coarse))
            coarse = scheme.coarser(coarse)
        fewer = scheme.fewer_velocities(case, self.grids[-1].options) if self.grids else None
        while fewer is not None and len(self.velocities) < 2:
            self.velocities.insert(0, self._run(*fewer))
            fewer = scheme.fewer_velocities(*fewer)
        self.runs = [*self.grids, *self.velocities]
        fine = self._work(case, options)
        self.share = sum(run.work for run in self.runs) / (fine + sum(run.work for run in self.runs))

    def _work(self, case: Case, options: Any) -> float:
        plan = self.scheme.plan(case, self.eps, options)
        return float(plan["unknowns"] * plan["steps"])

    def _run(self, case: Case, options: Any) -> Run:
        return Run(case, options, self._work(case, options), self.scheme.coordinates(case, options))

    def march(self) -> Iterator[Snapshot]:
        """Progress of the coarse runs, from 0 to `share` of the whole work; a run that fails is left out."""
        total = sum(run.work for run in self.runs)
        done = 0.0
        for run in self.runs:
            try:
                for snapshot in self.scheme.march(run.case, self.eps, run.options):
                    if snapshot.fields:
                        run.solution[_key(snapshot.t)] = snapshot.fields
                    share = self.share * (done + run.work * snapshot.progress) / total
                    yield Snapshot(share, snapshot.step, self.eps, snapshot.t)
            except (NumericalError, BadInput):  # a set of nodes may be refused as too coarse
                run.solution.clear()
            done += run.work

    def estimate(self, t: float, name: str, value: Array) -> Estimate:
        """The error of field `name`, values over (x[, y]) of the fine run at output time `t`."""
        key = _key(t)
        grids = [run for run in self.grids if key in run.solution]
        if not grids:
            return Estimate()
        solutions = [(run.axes, run.solution[key][name]) for run in grids]
        distances = _distances([*solutions, (self.axes, value)])
        order = _order(distances, self.scheme.ratio)
        layered = order < 0.9 * self.claimed and all(axes["x"].size < self.axes["x"].size for axes, _ in solutions)
        if layered:
            distances = _distances([*solutions, (self.axes, value)], on_finer=True)
            order = _order(distances, self.scheme.ratio)
        safe = SAFE_OBSERVED if abs(order - self.claimed) <= 0.1 * self.claimed else SAFE_ASSUMED
        two = SAFE_ASSUMED / (self.scheme.ratio - 1.0)
        grid = _richardson(distances, self.scheme.ratio, min(order, self.claimed), safe, two)
        if layered:
            grid = min(grid, _richardson(distances, self.scheme.ratio, min(order, LAYER_ORDER), SAFE_OBSERVED, two))
        velocity = 0.0
        if self.velocities:
            fewer = [(run.axes, run.solution[key][name]) for run in self.velocities if key in run.solution]
            apart = _distances([*fewer, solutions[-1]])
            velocity = _richardson(apart, FEWER, _order(apart, FEWER), SAFE_OBSERVED, 1.0)
        return Estimate(grid + velocity, grid, velocity, order, distances)


def _key(t: float) -> str:
    """An output time up to the round-off of the steps that led there."""
    return f"{t:.9g}"


def _distances(solutions: list[tuple[Mapping[str, Array], Array]], on_finer: bool = False) -> tuple[float, ...]:
    """Relative L2 distances of each solution (axes, values) to the next finer one, on its own grid or on the finer one."""
    found = []
    for (axes, coarse), (finer_axes, fine) in itertools.pairwise(solutions):
        chosen = finer_axes if on_finer else axes
        there = {axis: chosen[axis] for axis in ("x", "y") if axis in chosen}
        both = on_grid(coarse[None], axes, there), on_grid(fine[None], finer_axes, there)
        found.append(relative_l2(*both, cell_weights(there)))
    return tuple(found)


def _order(distances: tuple[float, ...], ratio: float) -> float:
    """Observed order of three resolutions, NaN with fewer."""
    if len(distances) < 2:
        return float("nan")
    return float(np.log(max(distances[0], ROUND_OFF) / max(distances[1], ROUND_OFF)) / np.log(ratio))


def _richardson(distances: tuple[float, ...], ratio: float, order: float, safe: float, two: float) -> float:
    """Estimated error of the finest solution; `two` is the factor of d_2 if there are two resolutions; NaN for none."""
    if not distances or not np.isfinite(distances).all():
        return float("nan")
    last = max(distances[-1], ROUND_OFF)
    if not np.isfinite(order):
        return two * last
    return float(max(safe * last / (ratio ** max(order, LEAST_ORDER) - 1.0), ROUND_OFF))
