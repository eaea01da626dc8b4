r"""Discrete unified gas kinetic scheme (DUGKS) for BGK and ES-BGK: finite volumes of second order, steps independent of eps.

With $\Omega=\tau(G-f)/\varepsilon$ and h = dt/2 the cell averages are carried as $\tilde f = f-h\Omega$; one step is

$$ \tilde f^{n+1}_i = \tilde f^{+,n}_i - \frac{\Delta t}{\Delta x}\,v\,\big(f_{i+1/2}-f_{i-1/2}\big)(t_n+h), \qquad
   \tilde f^+ = f+h\Omega = \tfrac43\bar f^+ - \tfrac13\tilde f, \quad \bar f^+ = f+\tfrac h2\Omega, $$
$$ \bar f_{i+1/2}(t_n+h) = \bar f^+(x_{i+1/2}-vh,\,t_n), \qquad \bar f = f-\tfrac h2\Omega , $$

that is, the characteristic solution with trapezoidal collisions at the face, from linear reconstructions with van Leer's
slopes, upwind.  From $a=f-\lambda(G-f)$ to $b=f-\mu(G-f)$ ($\lambda$, $\mu$ the times above over $\varepsilon/\tau$) leads

$$ b = \frac{(1+\mu)\,a+(\lambda-\mu)\,G}{1+\lambda}, \qquad
   \big(1+(1-\nu)\lambda\big)\,\Theta_{11} = \Theta_{11}^a+(1-\nu)\lambda\,T,\quad \mathcal T_{11}=(1-\nu)T+\nu\Theta_{11} : $$

rho, u, T of a, b and f agree and the stress relaxes linearly, so every G (the discrete Gaussian, for BGK with nu = 0 and
tau = 1) is known explicitly; mass, momentum and energy are kept to round-off.  Directions that the flow does not move are
reduced as in `imex` (Chu) and `imex_esbgk`.  Second order in t and x, stable for dt <= dx/max|v| at every eps, asymptotic-
preserving.  Not positive.  It shares with `imex` the discrete equilibrium only: space, time and collisions are independent.
Diffuse walls belong to `imex`.

References: Guo, Xu, Wang (2013), Phys. Rev. E 88, 033305, (5)-(19), DOI 10.1103/PhysRevE.88.033305; Guo, Wang, Xu (2015),
Phys. Rev. E 91, 033313, DOI 10.1103/PhysRevE.91.033313 (thermal); van Leer (1977), J. Comput. Phys. 23,
276, DOI 10.1016/0021-9991(77)90095-X.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from solvers.compile import get_num_threads, njit, prange
from solvers.discrete_equilibrium import ONE, QUANTITIES, SCALE, SHARE, TILE, aligned, powers
from solvers.problem.case import Case
from solvers.problem.refinement import RefinedOptions
from solvers.problem.scheme import Array
from solvers.problem.scheme import Scheme as AbstractScheme
from solvers.problem.status import BadInput, Snapshot

from .imex import (
    LANES,
    SIDES,
    boundary_states,
    centres,
    check_walls,
    components_of,
    equal_steps,
    filled,
    gaussian_tile,
    initial_distribution,
    integrals,
    maxwell,
    not_positive,
    portion,
    relax_row,
    relaxation,
)

GHOSTS = 2
PERIODIC, FREE, SPECULAR, INFLOW = (SIDES[name] for name in ("periodic", "free", "specular", "inflow"))


@njit(cache=True)
def fill_ghosts(f, kinds, states, v):
    """Ghost cells of f (component, v, cell)."""
    cells = f.shape[2]
    for side in range(2):
        step = 1 if side == 0 else -1
        edge = GHOSTS if side == 0 else cells - 1 - GHOSTS
        for g in range(1, GHOSTS + 1):
            ghost = edge - g * step
            if kinds[side] == PERIODIC:
                f[:, :, ghost] = f[:, :, ghost + step * (cells - 2 * GHOSTS)]
            elif kinds[side] == FREE:
                f[:, :, ghost] = f[:, :, edge]
            elif kinds[side] == SPECULAR:
                f[:, :, ghost] = f[:, ::-1, edge + (g - 1) * step]
            else:
                rho, u, T = states[side]
                for k in range(v.size):
                    f[0, k, ghost] = maxwell(rho, u, T, v[k])
                    if f.shape[0] == 2:
                        f[1, k, ghost] = 2.0 * T * f[0, k, ghost]


@njit(cache=True, error_model="numpy")
def traced_row(f, place, out):
    """Values at the distance `place` dx from the centres of a row of cells, of which f holds one more at either end."""
    for j in range(out.size):
        a, b = f[j + 1] - f[j], f[j + 2] - f[j + 1]
        slope = 2.0 * a * b / (a + b) if a * b > 0.0 else 0.0
        out[j] = f[j + 1] + slope * place


@njit(cache=True)
def relax_tile(count, first, rows, over, ahead, gas, v, measures, memory, work, M, failures, out):
    """out = f - mu tau (G - f), mu = `ahead`, where rows (component, v, 2 TILE) hold f - lam tau (G - f), lam = `over`."""
    gaussian_tile(count, first, rows, over, ahead, gas, v, measures, memory, work, M, failures)
    for c in range(rows.shape[0]):
        scale = work[SCALE : SCALE + TILE] if c == 1 else work[ONE : ONE + TILE]
        for k in range(v.size):
            relax_row(rows[c, k], M[k], work[SHARE : SHARE + TILE], scale, out[c, k, first : first + count])


@njit(cache=True, parallel=True)
def convert(f, out, over, ahead, gas, memory, v, measures, rows, work, M, failures):
    """`relax_tile` of all cells of f."""
    blocks = rows.shape[0]
    for block in prange(blocks):
        begin, end = portion(block, blocks, f.shape[2] - 2 * GHOSTS)
        for first in range(begin + GHOSTS, end + GHOSTS, TILE):
            count = min(TILE, end + GHOSTS - first)
            for c in range(f.shape[0]):
                for k in range(v.size):
                    rows[block, c, k, TILE : TILE + count] = f[c, k, first : first + count]
            place = (v, measures, memory, work[block], M[block], failures, out)
            relax_tile(count, first, rows[block], over, ahead, gas, *place)


@njit(cache=True, parallel=True)
def face_step(bar, faces, over, ratio, gas, memory, v, measures, rows, work, M, failures):
    """faces[..., i] = f at the right face of cell i at the half step; ratio = h/dx."""
    blocks = rows.shape[0]
    for block in prange(blocks):
        begin, end = portion(block, blocks, bar.shape[2] - 2 * GHOSTS + 1)
        for first in range(begin + GHOSTS - 1, end + GHOSTS - 1, TILE):
            count = min(TILE, end + GHOSTS - 1 - first)
            for c in range(bar.shape[0]):
                for k in range(v.size):
                    from_left = v[k] > 0.0
                    upwind = first - 1 if from_left else first
                    place = (0.5 if from_left else -0.5) - v[k] * ratio
                    traced_row(bar[c, k, upwind : upwind + count + 2], place, rows[block, c, k, TILE : TILE + count])
            scratch = (v, measures, memory, work[block], M[block], failures, faces)
            relax_tile(count, first, rows[block], over, 0.0, gas, *scratch)


@njit(cache=True, parallel=True)
def update(f, bar, faces, dt_dx, v):
    """f <- 4/3 bar - 1/3 f - dt/dx v (difference of the faces)."""
    for k in prange(v.size):
        for c in range(f.shape[0]):
            row, plus, face = f[c, k], bar[c, k], faces[c, k]
            for i in range(GHOSTS, row.size - GHOSTS):
                row[i] = 4.0 / 3.0 * plus[i] - row[i] / 3.0 - dt_dx * v[k] * (face[i] - face[i - 1])


@njit(cache=True)
def advance(f, bar, faces, steps, dt, dx, eps, gas, kinds, states, memory, v, measures, rows, work, M, failures):
    """`steps` steps of f-tilde in place; `states` (steps, 1, side, 3).  Returns the steps that succeeded."""
    quarter = 0.25 * dt / eps
    scratch = (v, measures, rows, work, M, failures)
    for step in range(steps):
        convert(f, bar, 2.0 * quarter, -quarter, gas, memory[0], *scratch)
        fill_ghosts(bar, kinds, states[step, 0], v)
        face_step(bar, faces, quarter, 0.5 * dt / dx, gas, memory[1], *scratch)
        if failures.any():
            return step
        update(f, bar, faces, dt / dx, v)
    return steps


class Options(RefinedOptions):
    """`cells` on a uniform grid; `cfl` in units of dx/max|v|; `refine` for small eps."""

    scheme: str = "dugks"
    cfl: float = Field(default=0.8, gt=0.0, le=1.0)
    steps_per_snapshot: int = Field(default=64, ge=1)


class Scheme(AbstractScheme):
    """`scheme = "dugks"`: the second scheme for BGK and ES-BGK, independent of `imex` and `imex_esbgk`."""

    equations = ("bgk", "esbgk")
    order = (2, 2)
    asymptotic_preserving = True
    conserves = ("mass", "momentum", "energy")
    positive = False
    small = ("reference.cells=32", "velocity.nodes=64")
    rate = 1.1e8
    references = ("guo2013discrete", "guo2015discrete", "mieussens2000discrete")
    Options = Options

    def coordinates(self, case: Case, options: Options) -> dict[str, Array]:
        axes = {"x": centres(case, options)}
        return axes | {"v": case.velocity.nodes_and_weights()[0]} if options.distribution else axes

    def plan(self, case: Case, eps: float, options: Options) -> dict[str, float]:
        unknowns = options.cells * case.velocity.nodes_and_weights()[0].size * components_of(case)
        steps = sum(count for _, count, _ in equal_steps(case, options, 0.0))
        return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * 3 * unknowns}

    def march(
        self, case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        v, w = case.velocity.nodes_and_weights()
        check_walls(case, v)
        sides = (case.boundary.left, case.boundary.right)
        if any(side.kind == "diffuse" for side in sides):
            raise BadInput(
                "boundary: dugks has no diffuse walls; take reference.scheme = 'imex' (ES-BGK: 'imex_esbgk')"
            )
        if options.distribution and case.equation.kind == "esbgk":
            raise BadInput("reference.distribution: ES-BGK is reduced in v2, there is no f(x, v1, v2); set it to false")
        kinds = np.array([SIDES[side.kind] for side in sides])
        x = centres(case, options)
        dx = (case.domain.x[1] - case.domain.x[0]) / options.cells
        components, reduced = components_of(case), case.equation.velocity_dimension - 1
        gas = np.array([*relaxation(case), reduced])
        inner = slice(GHOSTS, GHOSTS + options.cells)
        threads = min(get_num_threads(), -(-options.cells // LANES))
        f, bar, faces = (aligned(components, v.size, options.cells + 2 * GHOSTS) for _ in range(3))
        memory, failures = np.zeros((2, 3, f.shape[2])), np.zeros(f.shape[2], np.int64)
        measures = powers(v, w)
        rows = aligned(threads, components, len(measures), 2 * TILE)
        work, M = aligned(threads, QUANTITIES * TILE), aligned(threads, len(measures), TILE)
        scratch = (v, measures, rows, work, M, failures)
        if resume is None:
            now, t, step = initial_distribution(case, x, eps, components, v, w), 0.0, 0
            start = integrals(now, v, w, reduced)
        else:
            now, t, step = np.array(resume["f"]), float(resume["t"]), int(resume["step"])
            start = np.array(resume.get("start", integrals(now, v, w, reduced)))
        for end, count, dt in equal_steps(case, options, t):
            memory[:] = 0.0  # a march that is resumed here gives the same bits
            f[:, :, inner] = now.swapaxes(1, 2)
            convert(f, bar, 0.0, 0.5 * dt / eps, gas, memory[0], *scratch)
            f[:, :, inner] = bar[:, :, inner]
            remaining = count
            while remaining:
                steps = min(remaining, options.steps_per_snapshot)
                states = boundary_states(case, eps, t + dt * (np.arange(steps)[:, None] + 0.5))
                done = advance(f, bar, faces, steps, dt, dx, eps, gas, kinds, states, memory, *scratch)
                t, step, remaining = t + done * dt, step + done, remaining - steps
                if done < steps:
                    i = int(np.flatnonzero(failures)[0]) - GHOSTS
                    raise not_positive(x[np.clip(i, 0, x.size - 1)], t, eps)
                if remaining:
                    yield Snapshot(t / case.domain.t_end, step, eps, t)
            t = end
            convert(f, bar, 0.5 * dt / eps, 0.0, gas, memory[0], *scratch)
            now = bar[:, :, inner].swapaxes(1, 2).copy()
            yield filled(case, options, now, t, step, eps, v, w, start)
