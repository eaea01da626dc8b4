r"""Asymptotic-preserving IMEX finite differences for BGK: ARS(4,4,3) in time, WENO5 in space, conservative equilibria.

$$ \partial_t f + v\,\partial_x f = \tfrac1\varepsilon (M[f] - f), \qquad
   f^{(i)} = \underbrace{f^n - \Delta t\sum_{j<i}\tilde a_{ij}\,D f^{(j)} + \Delta t\sum_{0<j<i}a_{ij}\,K^{(j)}}_{g}
   + a_{ii}\Delta t\,K^{(i)}, \quad K = \frac{M-f}{\varepsilon}, \quad i = 1\dots4, \quad f^{n+1} = f^{(4)} . $$

`D` is v times the fifth-order WENO derivative of point values (`solvers.weno`).  The implicit stages are solved explicitly:
the collision term has no moments, so the moments of g are those of the stage, M is known, and
$f^{(i)} = g + \frac{\lambda}{1+\lambda}(M-g)$ with $\lambda = a_{ii}\Delta t/\varepsilon$.  M is the discrete equilibrium
(`solvers.discrete_equilibrium`), so mass, momentum and energy are kept to round-off in every cell.

Third order in time, fifth in space on smooth data.  Linear stability (von Neumann analysis of fifth-order upwinding with
every $\varepsilon\ge0$): dt <= 1.25 dx/max|v|.  The last stage is the step in both tableaus (globally stiffly accurate),
hence for eps -> 0 at fixed steps the explicit third-order scheme of the tableau for the Euler equations (asymptotic-
preserving).  Not positive: neither WENO5 nor the tableau with its negative weights keeps f > 0; a density or temperature
that is not positive is reported.  With `velocity_dimension = 3` a second distribution f2 = int (v_y^2 + v_z^2) f is carried,
with equilibrium 2 T M (Chu).

Ends: `free` repeats the last cell; `specular` mirrors; at an `inflow` end and a `diffuse` wall the values of the entering
directions at the end face are given, rho_w M(0, T_w) at the wall with rho_w such that the numerical mass flux is zero to
round-off.  Ghost cells of the entering directions lie on the line through the face value and the first cell, those of the
leaving ones are extrapolated from three cells: second order.

One pass per stage fuses transport, tableau and collision for a tile of cells after the other, which stays in the second cache;
cells are contiguous, so every loop over them is made of vector instructions, however few velocities there are.  A stage adds its
rates to the explicit parts of the later ones at once, so five copies of f are all that is kept.

References: Ascher, Ruuth, Spiteri (1997), Appl. Numer. Math. 25, 151, section 2.8, DOI 10.1016/S0168-9274(97)00056-1;
Jiang, Shu (1996), J. Comput. Phys. 126, 202, DOI 10.1006/jcph.1996.0130; Pieraccini, Puppo (2007), J. Sci. Comput. 32, 1,
DOI 10.1007/s10915-006-9116-6; Mieussens (2000), J. Comput. Phys. 162, 429, DOI 10.1006/jcph.2000.6548; Chu (1965), Phys.
Fluids 8, 12, DOI 10.1063/1.1761077.
"""

from collections.abc import Iterator, Mapping
from math import pi
from typing import Any

import numpy as np
from pydantic import Field

from solvers.compile import get_num_threads, njit, prange
from solvers.discrete_equilibrium import (
    D0,
    D1,
    D2,
    ONE,
    QUANTITIES,
    RHO,
    SCALE,
    SHARE,
    TEMPERATURE,
    TILE,
    U,
    aligned,
    equilibria,
    equilibrium_tile,
    fails,
    powers,
)
from solvers.problem.case import Case
from solvers.problem.maxwellian import make_maxwellian
from solvers.problem.moments import moments
from solvers.problem.refinement import RefinedOptions
from solvers.problem.scheme import Array
from solvers.problem.scheme import Scheme as AbstractScheme
from solvers.problem.status import BadInput, NumericalError, Snapshot
from solvers.weno import weno5

# ARS(4,4,3), Ascher, Ruuth, Spiteri (1997), section 2.8; row 0 is the old time, row 4 the new one
IMPLICIT = np.array(
    [
        [0, 0, 0, 0, 0],
        [0, 1 / 2, 0, 0, 0],
        [0, 1 / 6, 1 / 2, 0, 0],
        [0, -1 / 2, 1 / 2, 1 / 2, 0],
        [0, 3 / 2, -3 / 2, 1 / 2, 1 / 2],
    ]
)
EXPLICIT = np.array(
    [[0, 0, 0, 0], [1 / 2, 0, 0, 0], [11 / 18, 1 / 18, 0, 0], [5 / 6, -5 / 6, 1 / 2, 0], [1 / 4, 7 / 4, 3 / 4, -7 / 4]]
)
STAGES = 4  # implicit stages
STABLE_CFL = 1.25
GHOSTS = 3
LANES = 8  # of a vector instruction: threads share the cells in such units
PERIODIC, FREE, SPECULAR, DIFFUSE, INFLOW = range(5)
SIDES = {"periodic": PERIODIC, "free": FREE, "specular": SPECULAR, "diffuse": DIFFUSE, "inflow": INFLOW}

# numpy's error model: the check for a zero divisor would keep a loop out of vector instructions
face_value = njit(inline="always", fastmath={"contract"}, error_model="numpy")(weno5)
maxwell = njit(inline="always")(make_maxwellian(np.exp, np.sqrt))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def rising_faces(f, out):
    """WENO5 values of a row f of cells at faces for v > 0: f[2] and f[3] are on both sides of the first one."""
    for j in range(out.size):
        out[j] = face_value(f[j], f[j + 1], f[j + 2], f[j + 3], f[j + 4])


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def falling_faces(f, out):
    """The same for v < 0."""
    for j in range(out.size):
        out[j] = face_value(f[j + 5], f[j + 4], f[j + 3], f[j + 2], f[j + 1])


@njit(cache=True)
def fill_ghosts(f, kinds, states, walls, rising, v, w):
    """Ghost cells of f (component, v, cell) at both ends and the entering face values `walls` (side, component, v).

    `states` (side, 3) holds rho, u, T of the gas at an in-flow end, or T of a wall.
    """
    components, n, cells = f.shape
    for side in range(2):
        step = 1 if side == 0 else -1
        edge = GHOSTS if side == 0 else cells - 1 - GHOSTS
        entering = (rising, n) if side == 0 else (0, rising)
        leaving = (0, rising) if side == 0 else (rising, n)
        for c in range(components):
            for g in range(1, GHOSTS + 1):
                ghost = edge - g * step
                if kinds[side] == PERIODIC:
                    f[c, :, ghost] = f[c, :, ghost + step * (cells - 2 * GHOSTS)]
                elif kinds[side] == FREE:
                    f[c, :, ghost] = f[c, :, edge]
                elif kinds[side] == SPECULAR:
                    f[c, :, ghost] = f[c, ::-1, edge + (g - 1) * step]
                else:
                    # the parabola through three cells, not below zero
                    p = 0.5 * (g + 1) * (g + 2)
                    q, r = -g * (g + 2.0), 0.5 * g * (g + 1)
                    for k in range(leaving[0], leaving[1]):
                        value = p * f[c, k, edge] + q * f[c, k, edge + step] + r * f[c, k, edge + 2 * step]
                        f[c, k, ghost] = max(value, 0.0)
        if kinds[side] == DIFFUSE or kinds[side] == INFLOW:
            rho, u, T = states[side]
            for k in range(entering[0], entering[1]):
                walls[side, 0, k] = maxwell(1.0, u, T, v[k])
            if kinds[side] == DIFFUSE:
                rho = wall_density(f, edge, step, leaving, entering, walls[side, 0], v, w)
            for k in range(entering[0], entering[1]):
                walls[side, 0, k] *= rho
                if components == 2:
                    walls[side, 1, k] = 2.0 * T * walls[side, 0, k]
            for c in range(components):
                for g in range(1, GHOSTS + 1):
                    for k in range(entering[0], entering[1]):
                        line = 2.0 * g * walls[side, c, k] - (2.0 * g - 1.0) * f[c, k, edge]
                        f[c, k, edge - g * step] = max(line, 0.0)


@njit(cache=True)
def wall_density(f, edge, step, leaving, entering, shape, v, w):
    """Density of the wall Maxwellian `shape` (of density one) with which no mass passes the face."""
    out = into = 0.0
    for k in range(leaving[0], leaving[1]):
        out += (
            w[k]
            * abs(v[k])
            * face_value(
                f[0, k, edge + 2 * step],
                f[0, k, edge + step],
                f[0, k, edge],
                f[0, k, edge - step],
                f[0, k, edge - 2 * step],
            )
        )
    for k in range(entering[0], entering[1]):
        into += w[k] * abs(v[k]) * shape[k]
    return max(out, 0.0) / into


@njit(cache=True)
def face_row(f, first, walls, kinds, k, rising, out):
    """Values of a row f of cells (with ghosts) at the left faces of the cells from `first` on; from k = `rising` on v > 0.

    `walls` (side,) holds the values that enter at the ends.
    """
    given = kinds[0] == INFLOW or kinds[0] == DIFFUSE, kinds[1] == INFLOW or kinds[1] == DIFFUSE
    if k >= rising:
        rising_faces(f[first - 3 : first + 2 + out.size], out)
        if given[0] and first == GHOSTS:
            out[0] = walls[0]
    else:
        falling_faces(f[first - 3 : first + 2 + out.size], out)
        if given[1] and first + out.size - 1 == f.size - GHOSTS:
            out[out.size - 1] = walls[1]


# Loops with few arrays each, none under two names: where the compiler cannot rule out overlaps there are no vector instructions.
@njit(cache=True, fastmath={"contract"})
def explicit_row(face, start, factor, speed, row):
    """rate = -v d_x f from the faces and g = start + factor rate into `row`, one behind the other; speed = v/dx."""
    for j in range(start.size):
        rate = speed * (face[j] - face[j + 1])
        row[j] = rate
        row[TILE + j] = start[j] + factor * rate


@njit(cache=True, fastmath={"contract"})
def sum_rows(cells, rows, w, work):
    """Add the shares of four nodes to rho, rho u and the integral of v^2 f; w (4, 5) are the weights times powers of v."""
    for j in range(cells):
        a, b, c, d = rows[TILE + j], rows[3 * TILE + j], rows[5 * TILE + j], rows[7 * TILE + j]
        work[RHO + j] += (w[0, 0] * a + w[1, 0] * b) + (w[2, 0] * c + w[3, 0] * d)
        work[U + j] += (w[0, 1] * a + w[1, 1] * b) + (w[2, 1] * c + w[3, 1] * d)
        work[TEMPERATURE + j] += (w[0, 2] * a + w[1, 2] * b) + (w[2, 2] * c + w[3, 2] * d)


@njit(cache=True, fastmath={"contract"})
def sum_second(cells, rows, w, work):
    """Add the shares of four nodes to the integral of f2."""
    for j in range(cells):
        a, b, c, d = rows[TILE + j], rows[3 * TILE + j], rows[5 * TILE + j], rows[7 * TILE + j]
        work[SCALE + j] += (w[0, 0] * a + w[1, 0] * b) + (w[2, 0] * c + w[3, 0] * d)


@njit(cache=True, fastmath={"contract"})
def relax_row(row, M, share, scale, out):
    """out = g + change with change = share (scale M - g) in place of g."""
    for j in range(out.size):
        g = row[TILE + j]
        change = share[j] * (scale[j] * M[j] - g)
        row[TILE + j] = change
        out[j] = g + change


@njit(cache=True, fastmath={"contract"})
def combine(start, factor, share, row, out):
    """out = start + factor rate + share change."""
    for j in range(out.size):
        out[j] = start[j] + factor * row[j] + share * row[TILE + j]


@njit(cache=True, fastmath={"contract"})
def accumulate(factor, share, row, out):
    """out += factor rate + share change."""
    for j in range(out.size):
        out[j] += factor * row[j] + share * row[TILE + j]


@njit(inline="always", error_model="numpy")
def gaussian_temperatures(T, theta11, lam, nu, reduced):
    """T11, T22 of the Gaussian at the end of an implicit stage whose explicit part has T and Theta11."""
    relaxed = (theta11 + (1.0 - nu) * lam * T) / (1.0 + (1.0 - nu) * lam)
    T11 = (1.0 - nu) * T + nu * relaxed
    return T11, T + (T - T11) / reduced if reduced > 0.0 else T


@njit(cache=True, fastmath={"contract", "nnan", "nsz"}, error_model="numpy")
def gaussian_moments(cells, over, ahead, gas, work):
    """From the sums of g to the moments of G for the relaxation to f = g + lam tau (G - f), and on to f - mu tau (G - f).

    lam = `over`, mu = `ahead`; SHARE is that of G - g in the end.  False if a density or temperature is not positive.
    gas = (dense, nu, reduced directions); `dense` is the part of tau that is proportional to rho, and tau = 1 if it is zero.
    """
    dense, nu, reduced = gas[0], gas[1], gas[2]
    least = 1e300
    for j in range(cells):
        rho = work[RHO + j]
        u = work[U + j] / rho
        theta11 = work[TEMPERATURE + j] / rho - u * u
        T = (theta11 + 0.5 * reduced * work[SCALE + j] / rho) / (1.0 + reduced)
        tau = dense * rho if dense > 0.0 else 1.0
        lam, mu = over * tau, ahead * tau
        T11, T22 = gaussian_temperatures(T, theta11, lam, nu, reduced)
        work[U + j], work[TEMPERATURE + j], work[SCALE + j] = u, T11, 2.0 * T22
        work[SHARE + j], work[ONE + j] = (lam - mu) / (1.0 + lam), 1.0
        least = min(least, min(rho, min(T11, T22)))
    return least > 0.0


@njit(cache=True)
def gaussian_tile(cells, first, rows, over, ahead, gas, v, measures, memory, work, M, failures):
    """M and what `relax_row` needs of the tile that begins with cell `first`, whose g is in rows (component, v, 2 TILE)."""
    for start in (RHO, U, TEMPERATURE, SCALE):
        work[start : start + TILE] = 0.0
    for c in range(rows.shape[0]):
        flat = rows[c].reshape(rows[c].size)
        for k in range(0, measures.shape[0], 4):
            four = flat[2 * TILE * k : 2 * TILE * (k + 4)]
            if c == 0:
                sum_rows(cells, four, measures[k : k + 4], work)
            else:
                sum_second(cells, four, measures[k : k + 4], work)
    for d, start in enumerate((D0, D1, D2)):
        work[start : start + cells] = memory[d, first : first + cells]
    if not (gaussian_moments(cells, over, ahead, gas, work) and equilibrium_tile(cells, work, v, measures, M)):
        for j in range(cells):
            if not work[SCALE + j] > 0.0 or fails(j, work):
                failures[first + j] = 1
    for d, start in enumerate((D0, D1, D2)):
        memory[d, first : first + cells] = work[start : start + cells]


@njit(cache=True)
def portion(block, blocks, cells):
    """Cells of one of `blocks` threads, from .. to, in units of LANES."""
    units = (cells + LANES - 1) // LANES
    return units * block // blocks * LANES, min(units * (block + 1) // blocks * LANES, cells)


@njit(cache=True, parallel=True, fastmath={"contract"}, error_model="numpy")
def stage_pass(
    stage, f, values, dt, dx, eps, gas, kinds, walls, v, w, measures, memory, rows, faces, carried, M, work, failures
):
    """Stage `stage` (1..STAGES); f is the beginning of the step and, after the last stage, its end.

    values (stage, component, v, cell): below `stage` the stages that are done, from there on the explicit parts that the later
    ones have so far; every stage adds its own share to them.  So no rate is kept.  Scratch space of every thread: rows
    (component, v, 2 TILE), faces (TILE + LANES), carried (component, v), M (v, TILE) and work (QUANTITIES TILE).
    """
    components, n, cells = f.shape
    blocks = rows.shape[0]
    old = f if stage == 1 else values[stage - 2]
    new = f if stage == STAGES else values[stage - 1]
    lam_tau, factor = IMPLICIT[stage, stage] * dt / eps, dt * EXPLICIT[stage, stage - 1]
    rising = np.searchsorted(v, 0.0, side="right")
    for block in prange(blocks):
        begin, end = portion(block, blocks, cells - 2 * GHOSTS)
        begin, end = begin + GHOSTS, end + GHOSTS
        for first in range(begin, end, TILE):
            count = min(TILE, end - first)
            last = first + count
            known, face = work[block], faces[block]
            for c in range(components):
                for k in range(n):
                    row = rows[block, c, k]
                    if first == begin:
                        face_row(old[c, k], first, walls[:, c, k], kinds, k, rising, face[: count + 1])
                    else:
                        face[0] = carried[block, c, k]
                        face_row(old[c, k], first + 1, walls[:, c, k], kinds, k, rising, face[1 : count + 1])
                    carried[block, c, k] = face[count]
                    start = f[c, k, first:last] if stage == 1 else values[stage - 1, c, k, first:last]
                    explicit_row(face, start, factor, v[k] / dx, row)
            place = (v, measures, memory, known, M[block], failures)
            gaussian_tile(count, first, rows[block], lam_tau, 0.0, gas, *place)
            for c in range(components):
                scale = known[SCALE : SCALE + TILE] if c == 1 else known[ONE : ONE + TILE]
                for k in range(n):
                    row = rows[block, c, k]
                    relax_row(row, M[block, k], known[SHARE : SHARE + TILE], scale, new[c, k, first:last])
                    for later in range(stage + 1, STAGES + 1):
                        rate, share = dt * EXPLICIT[later, stage - 1], IMPLICIT[later, stage] / IMPLICIT[stage, stage]
                        out = values[later - 1, c, k, first:last]
                        if stage == 1:
                            combine(f[c, k, first:last], rate, share, row, out)
                        else:
                            accumulate(rate, share, row, out)


@njit(cache=True)
def advance(
    f,
    values,
    steps,
    dt,
    dx,
    eps,
    gas,
    kinds,
    states,
    walls,
    v,
    w,
    measures,
    memory,
    rows,
    faces,
    carried,
    M,
    work,
    failures,
):
    """`steps` steps in place; `states` (steps, stage, side, 3).  Returns the steps that succeeded."""
    rising = np.searchsorted(v, 0.0, side="right")
    scratch = (v, w, measures, memory, rows, faces, carried, M, work, failures)
    for step in range(steps):
        for stage in range(1, STAGES + 1):
            fill_ghosts(f if stage == 1 else values[stage - 2], kinds, states[step, stage - 1], walls, rising, v, w)
            stage_pass(stage, f, values, dt, dx, eps, gas, kinds, walls, *scratch)
            if failures.any():
                return step
    return steps


class Options(RefinedOptions):
    """`cells` on a uniform grid; `cfl` in units of dx/max|v| (at most 1.25, see the module); `refine` for small eps."""

    scheme: str = "imex"
    cfl: float = Field(default=1.0, gt=0.0, le=STABLE_CFL)
    steps_per_snapshot: int = Field(default=32, ge=1)


class Scheme(AbstractScheme):
    """`scheme = "imex"`: the general scheme for BGK."""

    equations = ("bgk",)
    order = (3, 5)
    asymptotic_preserving = True
    conserves = ("mass", "momentum", "energy")
    positive = False
    small = ("reference.cells=32", "velocity.nodes=64")
    rate = 5.0e7
    references = ("ascher1997implicit", "borges2008improved", "mieussens2000discrete")
    Options = Options

    def coordinates(self, case: Case, options: Options) -> dict[str, Array]:
        axes = {"x": centres(case, options)}
        return axes | {"v": case.velocity.nodes_and_weights()[0]} if options.distribution else axes

    def plan(self, case: Case, eps: float, options: Options) -> dict[str, float]:
        return plan(case, options)

    def march(
        self, case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        return march(case, eps, options, resume)


def plan(case: Case, options: Options) -> dict[str, float]:
    """Unknowns, steps and bytes of one march."""
    unknowns = options.cells * case.velocity.nodes_and_weights()[0].size * components_of(case)
    steps = sum(count for _, count, _ in equal_steps(case, options, 0.0))
    return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * (STAGES + 2) * unknowns}


def march(case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None) -> Iterator[Snapshot]:
    """Snapshots of BGK or ES-BGK from t = 0 or from `resume`."""
    v, w = case.velocity.nodes_and_weights()
    check_walls(case, v)
    x = centres(case, options)
    dx = (case.domain.x[1] - case.domain.x[0]) / options.cells
    kinds = np.array([SIDES[side.kind] for side in (case.boundary.left, case.boundary.right)])
    components, reduced = components_of(case), case.equation.velocity_dimension - 1
    gas = np.array([*relaxation(case), reduced])
    inner, n = slice(GHOSTS, GHOSTS + options.cells), v.size
    threads = min(get_num_threads(), -(-options.cells // LANES))
    f = aligned(components, n, options.cells + 2 * GHOSTS)
    values, walls = aligned(STAGES, *f.shape), np.zeros((2, components, n))
    memory, failures = np.zeros((3, f.shape[2])), np.zeros(f.shape[2], np.int64)
    measures = powers(v, w)
    rows, faces = aligned(threads, components, len(measures), 2 * TILE), aligned(threads, TILE + LANES)
    carried, M, work = (
        np.zeros((threads, components, n)),
        aligned(threads, len(measures), TILE),
        aligned(threads, QUANTITIES * TILE),
    )
    scratch = (walls, v, w, measures, memory, rows, faces, carried, M, work, failures)
    if resume is None:
        now, t, step = initial_distribution(case, x, eps, components, v, w), 0.0, 0
        start = integrals(now, v, w, reduced)
    else:
        now, t, step = resume["f"], float(resume["t"]), int(resume["step"])
        start = np.array(resume.get("start", integrals(now, v, w, reduced)))
    f[:, :, inner] = now.swapaxes(1, 2)
    for end, count, dt in equal_steps(case, options, t):
        memory[:] = 0.0  # a march that is resumed here gives the same bits
        remaining = count
        while remaining:
            steps = min(remaining, options.steps_per_snapshot)
            states = boundary_states(case, eps, t + dt * (np.arange(steps)[:, None] + EXPLICIT.sum(1)[:STAGES]))
            done = advance(f, values, steps, dt, dx, eps, gas, kinds, states, *scratch)
            t, step, remaining = t + done * dt, step + done, remaining - steps
            if done < steps:
                raise not_positive(x[int(np.flatnonzero(failures)[0]) - GHOSTS], t, eps)
            if remaining:
                yield Snapshot(t / case.domain.t_end, step, eps, t)
        t = end
        yield filled(case, options, f[:, :, inner].swapaxes(1, 2).copy(), t, step, eps, v, w, start)


def centres(case: Case, options: Options) -> Array:
    """Cell centres."""
    low, high = case.domain.x
    return low + (high - low) / options.cells * (np.arange(options.cells) + 0.5)


def components_of(case: Case) -> int:
    """Distributions that are carried: f, and with more than one velocity dimension a second one (Chu)."""
    return 1 if case.equation.velocity_dimension == 1 else 2


def relaxation(case: Case) -> tuple[float, float]:
    """(part of tau that is proportional to rho, zero if tau = 1; nu) of BGK or ES-BGK."""
    if case.equation.kind == "bgk":
        return 0.0, 0.0
    return 0.45 * pi if case.equation.tau == "filbet_jin" else 0.0, case.equation.nu


def equal_steps(case: Case, options: Options, t: float) -> Iterator[tuple[float, int, float]]:
    """(output time, number of steps, dt) from `t` on."""
    dx = (case.domain.x[1] - case.domain.x[0]) / options.cells
    limit = options.cfl * dx / np.abs(case.velocity.nodes_and_weights()[0]).max()
    begin = 0.0
    for end in case.domain.output_times:
        count = int(np.ceil((end - begin) / limit - 1e-9))
        if end > t * (1 + 1e-12):
            yield end, count, (end - begin) / count
        begin = end


def check_walls(case: Case, v: Array) -> None:
    """BadInput where a mirror wall meets a velocity set without mirror."""
    if "specular" in (case.boundary.left.kind, case.boundary.right.kind) and not np.allclose(v, -v[::-1]):
        raise BadInput("boundary: a specular wall needs a velocity set that is symmetric about 0")


def not_positive(x: float, t: float, eps: float) -> NumericalError:
    """What a scheme that is not positive says at its end."""
    return NumericalError(
        f"density or temperature is not positive at x = {x:.4g}, t = {t:.4g}, eps = {eps:g}; "
        "more reference.cells or a wider velocity range may help"
    )


def filled(
    case: Case, options: Any, f: Array, t: float, step: int, eps: float, v: Array, w: Array, start: Array, **state: Any
) -> Snapshot:
    """Snapshot of f (component, x, v) at an output time, with the drift from the integrals `start` if the ends are closed."""
    scale = np.abs(start) + np.array([0.0, np.sqrt(start[0] * start[2]), 0.0])
    reduced = case.equation.velocity_dimension - 1
    drift = (integrals(f, v, w, reduced) - start) / scale
    names = ("drift_mass", "drift_momentum", "drift_energy")
    scalars = dict(zip(names, drift.tolist(), strict=True)) if case.boundary.left.kind == "periodic" else {}
    found = macroscopic(f, v, w, reduced)
    fields = {name: found[name] for name in case.equation.fields if name in found}
    if options.distribution:
        fields["f"] = f[0].copy()
    state = {"f": f, "t": t, "step": step, "start": start, **state}
    return Snapshot(t / case.domain.t_end, step, eps, t, fields, scalars, state)


def initial_distribution(case: Case, x: Array, eps: float, components: int, v: Array, w: Array) -> Array:
    """Discrete equilibrium of the initial data, shape (component, x, v); problems.md (44)."""
    rho, u, T = (getattr(case.initial, name)(x=x, eps=eps) for name in ("rho", "u", "T"))
    f = np.empty((components, x.size, v.size))
    bad = equilibria(rho, u, T, v, w, f)
    if bad.any():
        i = int(bad.argmax())
        raise BadInput(f"velocity: the nodes cannot hold the state u = {u[i]:.4g}, T = {T[i]:.4g} at x = {x[i]:.4g}")
    return f


def boundary_states(case: Case, eps: float, times: Array) -> Array:
    """(rho, u, T) of in-flow and diffuse sides at `times` (steps, stage), shape (steps, stage, side, 3)."""
    states = np.ones((*times.shape, 2, 3))
    for k, side in enumerate((case.boundary.left, case.boundary.right)):
        if side.kind == "diffuse":
            states[:, :, k, 1] = 0.0
        for j, name in enumerate(("rho", "u", "T")):
            if (formula := getattr(side, name)) is not None:
                states[:, :, k, j] = formula(t=times, eps=eps)
    return states


def conserved_moments(f: Array, v: Array, w: Array) -> tuple[Array, Array, Array]:
    """rho, u, T of f (component, x, v)."""
    fields = macroscopic(f, v, w)
    return fields["rho"], fields["u"], fields["T"]


def macroscopic(f: Array, v: Array, w: Array, reduced: int = 2) -> dict[str, Array]:
    """rho, u, T, q of f (component, x, v); with two components also stress sigma and anisotropy A, problems.md (50)-(59).

    The second component is the sum of the squared velocities of the `reduced` directions that are integrated out, times
    2/reduced: both in Chu's three-dimensional gas, 2 v2^2 in two dimensions.
    """
    rho, u, theta, q = moments(f[0], v, w)
    if len(f) == 1:
        return {"rho": rho, "u": u, "T": theta, "q": q}
    across = 0.5 * (f[1] @ w) / rho
    T, sigma = (theta + reduced * across) / (1.0 + reduced), theta - across
    q = q + 0.25 * reduced * (((v - u[:, None]) * f[1]) @ w)
    return {"rho": rho, "u": u, "T": T, "q": q, "A": 0.5 * sigma / T, "sigma": sigma}


def integrals(f: Array, v: Array, w: Array, reduced: int = 2) -> Array:
    """Mean mass, momentum and energy; `reduced` as in `macroscopic`."""
    energy = 0.5 * (f[0] @ (w * v**2))
    if len(f) == 2:
        energy = energy + 0.25 * reduced * (f[1] @ w)
    return np.array([(f[0] @ w).mean(), (f[0] @ (w * v)).mean(), energy.mean()])
