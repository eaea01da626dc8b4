"""True errors and cost of the plane-transport reference; writes benchmarks/results/reference_2d.json.

The truth is established without the scheme under test:

* eps = 1 and 0.3: the collision series of the integral equation, rho = sum_n rho_n, rho_0 the uncollided density and
  rho_(n+1)(t, x) = < int_0^min(t, eps d) rho_n(t - s, x - omega s/eps) exp(-s/eps^2) ds/eps^2 > along every ray, with angles
  split at corners and fronts (constant sigma_S = 1, Q = 1, the symmetries of the square), each order on a Chebyshev grid.
* eps <= 3e-3: the diffusion limit with the slip condition rho = (1/2 + 1/pi) eps d_n rho at the walls, true to O(eps^2).
* every eps: a run with 3/2 times the elements, twice the steps and 4/3 times the angles (`fine`), on the same centres.

Errors are relative L2 over all cells, per output time and over all of them, as in `kinetic compare`.  Seconds are CPU time.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from solvers.compile import njit
from solvers.limits.diffusion import barycentric, chebyshev
from solvers.problem.read import read_case
from solvers.schemes.discrete_ordinates_2d import Scheme

ROOT = Path(__file__).parent
N, LEVELS, RAY, ANGLES = 96, 40, 12, 8


@njit(cache=True)
def cubic(x, at):
    """Index of the first of four neighbouring nodes and their Lagrange weights."""
    i = min(max(np.searchsorted(x, at) - 2, 0), x.size - 4)
    w = np.ones(4)
    for a in range(4):
        for b in range(4):
            if a != b:
                w[a] *= (at - x[i + b]) / (x[i + a] - x[i + b])
    return i, w


@njit(cache=True)
def arcs(x, y, reach):
    """Sorted angles at which the ray back from (x, y) changes the wall it meets, or ceases to meet one."""
    found = np.empty(12)
    n = 0
    for cx in (-1.0, 1.0):
        for cy in (-1.0, 1.0):
            found[n] = np.arctan2(y - cy, x - cx)
            n += 1
    for normal, delta in ((0.0, x + 1.0), (np.pi, 1.0 - x), (0.5 * np.pi, y + 1.0), (-0.5 * np.pi, 1.0 - y)):
        if delta < reach:
            for sign in (-1.0, 1.0):
                angle = normal + sign * np.arccos(delta / reach)
                found[n] = (angle + np.pi) % (2.0 * np.pi) - np.pi
                n += 1
    return np.sort(found[:n])


@njit(cache=True)
def collide(first, eps, grid, times, old, z, w, zs, ws, points, out):
    """rho_0 (first) or the next order from `old` (times, x, y), at `points` (k, 2) and all times but zero."""
    for k in range(points.shape[0]):
        x, y = points[k, 0], points[k, 1]
        for level in range(1, times.size):
            t = times[level]
            breaks = arcs(x, y, t / eps)
            total = 0.0
            for a in range(breaks.size):
                low = breaks[a]
                high = breaks[a + 1] if a + 1 < breaks.size else breaks[0] + 2.0 * np.pi
                for m in range(z.size):
                    # the points crowd at both ends of an arc, where the ray grazes a wall
                    u = z[m]
                    theta = low + (high - low) * u * u * (3.0 - 2.0 * u)
                    weight = w[m] * (high - low) * 6.0 * u * (1.0 - u)
                    c, s = np.cos(theta), np.sin(theta)
                    d = 1e300
                    if c > 1e-300:
                        d = min(d, (x + 1.0) / c)
                    if c < -1e-300:
                        d = min(d, (x - 1.0) / c)
                    if s > 1e-300:
                        d = min(d, (y + 1.0) / s)
                    if s < -1e-300:
                        d = min(d, (y - 1.0) / s)
                    length = min(t, eps * d)
                    if first:
                        total += weight * eps**2 * -np.expm1(-length / eps**2)
                        continue
                    for r in range(zs.size):
                        back = length * zs[r]
                        it, wt = cubic(times, t - back)
                        ix, wx = cubic(grid, x - c * back / eps)
                        iy, wy = cubic(grid, y - s * back / eps)
                        value = 0.0
                        for p in range(4):
                            for q in range(4):
                                row = 0.0
                                for o in range(4):
                                    row += wy[o] * old[it + p, ix + q, iy + o]
                                value += wt[p] * wx[q] * row
                        total += weight * ws[r] * length * value * np.exp(-back / eps**2) / eps**2
            out[level, k] = total / (2.0 * np.pi)


def collision_series(eps: float, t_end: float, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Times, rho(t, x, y) at the centres, and the number of collisions that were needed."""
    grid = -np.cos(np.pi * np.arange(N + 1) / N)
    times = np.linspace(0.0, t_end, LEVELS + 1)
    gauss = {n: np.polynomial.legendre.leggauss(n) for n in (ANGLES, RAY, 24)}
    rule = {n: (0.5 * (z + 1.0), 0.5 * w) for n, (z, w) in gauss.items()}
    octant = [(i, j) for i in range(N // 2 + 1) for j in range(i + 1)]
    points = np.array([(grid[i], grid[j]) for i, j in octant])

    def spread(values: np.ndarray) -> np.ndarray:
        full = np.empty((times.size, N + 1, N + 1))
        for k, (i, j) in enumerate(octant):
            for a, b in ((i, j), (j, i)):
                for c in (a, N - a):
                    for d in (b, N - b):
                        full[:, c, d] = values[:, k]
        return full

    def order(first: bool, old: np.ndarray, at: np.ndarray) -> np.ndarray:
        out = np.zeros((times.size, len(at)))
        collide(first, eps, grid, times, old, *rule[24 if first else ANGLES], *rule[RAY], at, out)
        return out

    old = spread(order(True, np.zeros((1, 1, 1)), points))
    mesh = np.array([(x, y) for x in centres for y in centres])
    total = order(True, np.zeros((1, 1, 1)), mesh).reshape(times.size, centres.size, -1)
    collisions = 0
    while collisions < 100:
        collisions += 1
        # at the centres themselves: on the grid the kink at the distance t/eps from the walls falls between nodes
        part = order(False, old, mesh).reshape(total.shape)
        old = spread(order(False, old, points))
        total = total + part
        if np.abs(part).max() < 1e-7 * np.abs(total).max():
            break
    return times, total, collisions


def slip_solution(eps: float, centres: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Diffusion with rho = (1/2 + 1/pi) eps d_n rho, by Chebyshev collocation and diagonalisation."""
    n = 96
    x, D = chebyshev(n)
    rows = np.array([np.eye(n)[0], np.eye(n)[-1]]) + (0.5 + 1.0 / np.pi) * eps * np.array([-D[0], D[-1]])
    G = np.zeros((n, n - 2))
    G[1:-1] = np.eye(n - 2)
    G[[0, -1]] = -np.linalg.inv(rows[:, [0, -1]]) @ rows[:, 1:-1]
    values, V = np.linalg.eig((0.5 * D @ D @ G)[1:-1])
    values, V = values.real, V.real
    weights = (-1.0) ** np.arange(n)
    weights[[0, -1]] *= 0.5
    P = barycentric(x, weights, centres) @ G @ V
    c = np.linalg.solve(V, np.ones(n - 2))
    rate = values[:, None] + values
    return np.array([P @ (np.outer(c, c) * np.expm1(rate * t) / rate) @ P.T for t in times])


def solve(eps: float, *overrides: str) -> tuple[np.ndarray, float]:
    case = read_case(ROOT.parent / "cases/transport_2d.toml", overrides=overrides)
    scheme = Scheme()
    options = scheme.Options.model_validate(case.reference)
    start = time.process_time()
    rho = np.array([s.fields["rho"] for s in scheme.march(case, eps, options) if s.fields])
    return rho, time.process_time() - start


def error(rho: np.ndarray, truth: np.ndarray) -> list[float]:
    """Relative L2 per time, then over all times."""
    gap, norm = ((rho - truth) ** 2).sum((1, 2)), (truth**2).sum((1, 2))
    return [float(e) for e in np.sqrt([*(gap / norm), gap.sum() / norm.sum()])]


def main(chosen: list[float]) -> None:
    case = read_case(ROOT.parent / "cases/transport_2d.toml")
    cells, times = case.reference["cells"], np.array(case.domain.output_times)
    elements, steps = 3 * case.reference["elements"] // 2, 2 * case.reference["steps"]
    centres = -1.0 + 2.0 * (np.arange(cells) + 0.5) / cells
    solve(0.5, "reference.elements=6", "reference.steps=2", "velocity.nodes=8")  # compile
    rows = []
    for eps in chosen or [*case.knudsen.all, 1e-8]:
        rho, seconds = solve(eps)
        row: dict[str, object] = {"eps": eps, "cpu_seconds": seconds}
        fine, cost = solve(eps, f"reference.elements={elements}", f"reference.steps={steps}", "velocity.nodes=64")
        row |= {"fine": error(rho, fine), "fine_cpu_seconds": cost}
        if eps in (1.0, 0.3):
            levels, truth, collisions = collision_series(eps, case.domain.t_end, centres)
            picked = [int(np.abs(levels - t).argmin()) for t in times]
            row |= {"true": error(rho, truth[picked]), "truth": f"collision series, {collisions} orders"}
        elif eps <= 3e-3:
            row |= {"true": error(rho, slip_solution(eps, centres, times)), "truth": "diffusion with slip"}
        rows.append(row)
        print(row, flush=True)
    if not chosen:
        report = {"case": case.name, "reference": case.reference, "velocity": case.velocity.model_dump(), "rows": rows}
        (ROOT / "results/reference_2d.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main([float(a) for a in sys.argv[1:]])
