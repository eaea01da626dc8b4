r"""Asymptotic-preserving IMEX finite differences for ES-BGK, reduced in v2: ARS(4,4,3) in time, WENO5 in space.

For u2 = 0 and f even in v2 the reduced distributions f1 = int f dv2 and f2 = 2 int v2^2 f dv2 obey a closed system, for the
Gaussian with a diagonal tensor is a product of Gaussians in v1 and v2 (no approximation):

$$ \partial_t f_k + v_1\,\partial_x f_k = \frac\tau\varepsilon(G_k - f_k), \qquad G_1 = \rho\,N(v_1; u, \mathcal T_{11}),
   \quad G_2 = 2\,\mathcal T_{22}\,G_1, \quad \mathcal T_{kk} = (1-\nu)T + \nu\,\Theta_{kk} . $$

Space, tableau, ends and stability (dt <= 1.25 dx/max|v1|) are those of `imex`.  The stage f = g + lambda (G[f] - f),
lambda = a_ii dt tau/eps, is solved explicitly: rho, u, T of f are those of g, and the stress relaxes linearly,

$$ (1 + (1-\nu)\lambda)\,\Theta_{11} = \Theta_{11}^g + (1-\nu)\lambda\,T . $$

G is the discrete Gaussian whose sums over the nodes ARE its moments (`solvers.discrete_equilibrium`): mass, momentum and
energy are kept to round-off.  Third order in time, fifth in space on smooth data; globally stiffly accurate, so for eps -> 0
at fixed steps it is the explicit scheme for the Euler equations with gamma = 2 (asymptotic-preserving).  Not positive.

References: Andries, Le Tallec, Perlat, Perthame (2000), Eur. J. Mech. B 19, 813, DOI 10.1016/S0997-7546(00)01103-1; Filbet,
Jin (2011), J. Sci. Comput. 46, 204, DOI 10.1007/s10915-010-9394-x; Chu (1965), Phys. Fluids 8, 12, DOI 10.1063/1.1761077.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import field_validator

from solvers.compile import njit, prange
from solvers.discrete_equilibrium import equilibrium_row
from solvers.problem.case import Case
from solvers.problem.scheme import Array
from solvers.problem.scheme import Scheme as AbstractScheme
from solvers.problem.status import Snapshot
from solvers.schemes import imex
from solvers.schemes.imex import (
    BLOCKS,
    EXPLICIT,
    GHOSTS,
    IMPLICIT,
    SIDES,
    STAGES,
    axpy,
    difference,
    face_row,
    fill_ghosts,
    given_face,
    row_sums,
)


@njit(cache=True)
def gaussian_temperatures(T, theta11, lam, nu):
    """T11, T22 of the Gaussian at the end of an implicit stage whose explicit part has T and Theta11."""
    relaxed = (theta11 + (1.0 - nu) * lam * T) / (1.0 + (1.0 - nu) * lam)
    T11 = (1.0 - nu) * T + nu * relaxed
    return T11, 2.0 * T - T11


@njit(cache=True, fastmath={"contract"})
def relax_cell(g, increment, lam, dense, nu, M, bits, power, memory, v, w, measures):
    """g <- g + lam tau (G[g_new] - g_new) for one cell, g (2, v); the change goes to `increment`.  False on failure.

    `dense` is the part of tau that is proportional to rho, and tau = 1 if it is zero.
    """
    rho, momentum, energy = row_sums(g[0], measures)
    if not rho > 0.0:
        return False
    u = momentum / rho
    theta11 = energy / rho - u * u
    T = 0.5 * (theta11 + 0.5 * row_sums(g[1], measures)[0] / rho)
    if dense > 0.0:
        lam *= dense * rho
    T11, T22 = gaussian_temperatures(T, theta11, lam, nu)
    if not (T11 > 0.0 and T22 > 0.0) or not equilibrium_row(rho, u, T11, v, w, M, bits, power, memory):
        return False
    share = lam / (1.0 + lam)
    for c in range(2):
        scale = 1.0 if c == 0 else 2.0 * T22
        row, change = g[c], increment[c]
        for k in range(v.size):
            move = share * (scale * M[k] - row[k])
            change[k] = move
            row[k] += move
    return True


@njit(cache=True, parallel=True, fastmath={"contract"}, error_model="numpy")
def stage_pass(
    stage, f, old, new, rates, increments, dt, dx, gas, kinds, walls, v, w, measures, memory, rows, bits, failures
):
    """Stage `stage` (1..STAGES) from `old`, the stage before, into `new`; shapes as in `imex`, gas = (eps, dense, nu)."""
    components, cells, _ = f.shape
    eps, dense, nu = gas[0], gas[1], gas[2]
    inner, blocks = cells - 2 * GHOSTS, rows.shape[0]
    lam = IMPLICIT[stage, stage] * dt / eps
    rising = np.searchsorted(v, 0.0, side="right")
    for block in prange(blocks):
        first, last = GHOSTS + inner * block // blocks, GHOSTS + inner * (block + 1) // blocks
        left, right, g, M = rows[block, 0], rows[block, 1], rows[block, 2], rows[block, 3, 0]
        spare, power = rows[block, 4], bits[block].view(np.float64)
        for c in range(components):
            face_row(old, c, first - 1, rising, left[c])
        given_face(old, first - 1, walls, kinds, rising, left)
        for i in range(first, last):
            for c in range(components):
                face_row(old, c, i, rising, right[c])
            given_face(old, i, walls, kinds, rising, right)
            for c in range(components):
                rate, start, into = rates[stage - 1, i, c], f[c, i], g[c]
                near, far = left[c], right[c]
                difference(near, far, v, dx, start, dt * EXPLICIT[stage, stage - 1], rate, into)
                for j in range(stage - 1):
                    axpy(dt * EXPLICIT[stage, j], rates[j, i, c], into)
                for j in range(1, stage):
                    axpy(IMPLICIT[stage, j] / IMPLICIT[j, j], increments[j - 1, i, c], into)
            increment = spare if stage == STAGES else increments[stage - 1, i]
            if not relax_cell(g, increment, lam, dense, nu, M, bits[block], power, memory[i], v, w, measures):
                failures[i] = 1
            for c in range(components):
                new[c, i] = g[c]
            left, right = right, left


@njit(cache=True)
def advance(
    f, stages, rates, increments, steps, dt, dx, gas, kinds, states, walls, v, w, measures, memory, rows, bits, failures
):
    """`steps` steps in place; `states` (steps, stage, side, 3).  Returns the steps that succeeded."""
    rising = np.searchsorted(v, 0.0, side="right")
    for step in range(steps):
        for stage in range(1, STAGES + 1):
            old = f if stage == 1 else stages[stage % 2]
            # no cell of f is read by others in the last stage
            new = f if stage == STAGES else stages[(stage + 1) % 2]
            fill_ghosts(old, kinds, states[step, stage - 1], walls, rising, v, w)
            buffers = (f, old, new, rates, increments)
            stage_pass(stage, *buffers, dt, dx, gas, kinds, walls, v, w, measures, memory, rows, bits, failures)
            if failures.any():
                return step
    return steps


class Options(imex.Options):
    """`cells` on a uniform grid; `cfl` in units of dx/max|v1| (at most 1.25); no `distribution`."""

    scheme: str = "imex_esbgk"
    cells: int = 900

    @field_validator("distribution")
    @classmethod
    def _reduced(cls, value: bool) -> bool:
        if value:
            raise ValueError("the scheme is reduced in v2 and holds no f(x, v1, v2): set it to false")
        return value


class Scheme(AbstractScheme):
    """`scheme = "imex_esbgk"`: the general scheme for ES-BGK."""

    equations = ("esbgk",)
    order = (3, 5)
    asymptotic_preserving = True
    conserves = ("mass", "momentum", "energy")
    positive = False
    small = ("reference.cells=32", "velocity.nodes=64")
    references = ("ascher1997implicit", "borges2008improved", "mieussens2000discrete")
    Options = Options

    def coordinates(self, case: Case, options: Options) -> dict[str, Array]:
        low, high = case.domain.x
        dx = (high - low) / options.cells
        return {"x": low + dx * (np.arange(options.cells) + 0.5)}

    def plan(self, case: Case, eps: float, options: Options) -> dict[str, float]:
        unknowns = 2 * options.cells * case.velocity.nodes_and_weights()[0].size
        steps = sum(count for _, count, _ in imex.equal_steps(case, options, 0.0))
        return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * (2 * STAGES + 2) * unknowns}

    def march(
        self, case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        v, w = case.velocity.nodes_and_weights()
        imex.check_walls(case, v)
        x = self.coordinates(case, options)["x"]
        dx = (case.domain.x[1] - case.domain.x[0]) / options.cells
        kinds = np.array([SIDES[side.kind] for side in (case.boundary.left, case.boundary.right)])
        gas = np.array([eps, *imex.relaxation(case)])
        inner = slice(GHOSTS, GHOSTS + options.cells)
        f = np.zeros((2, options.cells + 2 * GHOSTS, v.size))
        stages = np.zeros((2, *f.shape))
        rates, increments = (np.zeros((n, f.shape[1], 2, v.size)) for n in (STAGES, STAGES - 1))
        blocks = min(BLOCKS, options.cells // 8)
        memory, failures = np.zeros((f.shape[1], 3)), np.zeros(f.shape[1], np.int64)
        rows, bits = np.zeros((blocks, 5, 2, v.size)), np.zeros((blocks, v.size), np.int64)
        walls = np.zeros((2, 2, v.size))
        measures = np.array([w, w * v, w * v * v])
        if resume is None:
            f[:, inner], t, step = imex.initial_distribution(case, x, eps, 2, v, w), 0.0, 0
            start = imex.integrals(f[:, inner], v, w, 1)
        else:
            f[:, inner], t, step = resume["f"], float(resume["t"]), int(resume["step"])
            start = np.array(resume.get("start", imex.integrals(f[:, inner], v, w, 1)))
        for end, count, dt in imex.equal_steps(case, options, t):
            memory[:] = 0.0  # a march that is resumed here gives the same bits
            remaining = count
            while remaining:
                steps = min(remaining, options.steps_per_snapshot)
                times = t + dt * (np.arange(steps)[:, None] + EXPLICIT.sum(1)[:STAGES])
                done = advance(
                    f, stages, rates, increments, steps, dt, dx, gas, kinds, imex.boundary_states(case, eps, times),
                    walls, v, w, measures, memory, rows, bits, failures,
                )  # fmt: skip
                t, step, remaining = t + done * dt, step + done, remaining - steps
                if done < steps:
                    raise imex.not_positive(x[int(np.flatnonzero(failures)[0]) - GHOSTS], t, eps)
                if remaining:
                    yield Snapshot(t / case.domain.t_end, step, eps, t)
            t = end
            yield imex.filled(case, options, f[:, inner].copy(), t, step, eps, v, w, start)
