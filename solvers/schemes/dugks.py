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

from solvers.compile import njit, prange
from solvers.discrete_equilibrium import equilibrium_row
from solvers.problem.case import Case
from solvers.problem.refinement import RefinedOptions
from solvers.problem.scheme import Array
from solvers.problem.scheme import Scheme as AbstractScheme
from solvers.problem.status import BadInput, Snapshot

from .imex import (
    BLOCKS,
    SIDES,
    boundary_states,
    centres,
    check_walls,
    components_of,
    equal_steps,
    filled,
    initial_distribution,
    integrals,
    maxwell,
    not_positive,
    relaxation,
    row_sums,
)

GHOSTS = 2
PERIODIC, FREE, SPECULAR, INFLOW = (SIDES[name] for name in ("periodic", "free", "specular", "inflow"))


@njit(cache=True, fastmath={"contract"})
def mix(row, lam, mu, gas, out, M, bits, memory, v, w, measures):
    """out = f - mu tau (G - f) from row = f - lam tau (G - f), one cell (component, v).  False if there is no equilibrium.

    gas = (dense, nu, directions that are reduced); `dense` is the part of tau that is proportional to rho, tau = 1 if zero.
    """
    dense, nu, reduced = gas[0], gas[1], gas[2]
    rho, momentum, energy = row_sums(row[0], measures)
    if not rho > 0.0:
        return False
    u = momentum / rho
    theta = energy / rho - u * u
    T = theta
    if row.shape[0] == 2:
        T = (theta + 0.5 * reduced * row_sums(row[1], measures)[0] / rho) / (1.0 + reduced)
    if dense > 0.0:
        lam, mu = lam * dense * rho, mu * dense * rho
    T11 = (1.0 - nu) * T + nu * (theta + (1.0 - nu) * lam * T) / (1.0 + (1.0 - nu) * lam)
    T22 = T + (T - T11) / reduced if reduced > 0.0 else T
    if not (T11 > 0.0 and T22 > 0.0):
        return False
    if not equilibrium_row(rho, u, T11, v, w, M, bits, bits.view(np.float64), memory):
        return False
    keep = (1.0 + mu) / (1.0 + lam)
    for c in range(row.shape[0]):
        share = (lam - mu) / (1.0 + lam)
        if c == 1:
            share *= 2.0 * T22
        source, target = row[c], out[c]
        for k in range(v.size):
            target[k] = keep * source[k] + share * M[k]
    return True


@njit(cache=True)
def fill_ghosts(f, kinds, states, v):
    """Ghost cells of f (cell, component, v)."""
    cells = f.shape[0]
    for side in range(2):
        step = 1 if side == 0 else -1
        edge = GHOSTS if side == 0 else cells - 1 - GHOSTS
        for g in range(1, GHOSTS + 1):
            ghost = edge - g * step
            if kinds[side] == PERIODIC:
                f[ghost] = f[ghost + step * (cells - 2 * GHOSTS)]
            elif kinds[side] == FREE:
                f[ghost] = f[edge]
            elif kinds[side] == SPECULAR:
                f[ghost] = f[edge + (g - 1) * step, :, ::-1]
            else:
                rho, u, T = states[side]
                for k in range(v.size):
                    f[ghost, 0, k] = maxwell(rho, u, T, v[k])
                    if f.shape[1] == 2:
                        f[ghost, 1, k] = 2.0 * T * f[ghost, 0, k]


@njit(cache=True, error_model="numpy")
def upwind_row(left2, left, right, right2, v, ratio, out):
    """Values at the face between `left` and `right`, traced back by v h; ratio = h/dx."""
    for k in range(v.size):
        if v[k] > 0.0:
            a, b, start, place = left[k] - left2[k], right[k] - left[k], left[k], 0.5 - v[k] * ratio
        else:
            a, b, start, place = right[k] - left[k], right2[k] - right[k], right[k], -0.5 - v[k] * ratio
        slope = 2.0 * a * b / (a + b) if a * b > 0.0 else 0.0
        out[k] = start + slope * place


@njit(cache=True, parallel=True)
def convert(f, out, lam, mu, gas, memory, v, w, measures, rows, bits, failures):
    """`mix` of every cell of f."""
    inner, blocks = f.shape[0] - 2 * GHOSTS, rows.shape[0]
    for block in prange(blocks):
        M, power = rows[block, 0], bits[block]
        for i in range(GHOSTS + inner * block // blocks, GHOSTS + inner * (block + 1) // blocks):
            if not mix(f[i], lam, mu, gas, out[i], M, power, memory[i], v, w, measures):
                failures[i] = 1


@njit(cache=True, parallel=True)
def face_step(bar, faces, lam, ratio, gas, memory, v, w, measures, rows, bits, failures):
    """faces[i] = f at the right face of cell i at the half step."""
    first, count, blocks = GHOSTS - 1, bar.shape[0] - 2 * GHOSTS + 1, rows.shape[0]
    for block in prange(blocks):
        M, traced, power = rows[block, 0], rows[block, 1:], bits[block]
        for i in range(first + count * block // blocks, first + count * (block + 1) // blocks):
            for c in range(bar.shape[1]):
                upwind_row(bar[i - 1, c], bar[i, c], bar[i + 1, c], bar[i + 2, c], v, ratio, traced[c])
            if not mix(traced, lam, 0.0, gas, faces[i], M, power, memory[i], v, w, measures):
                failures[i] = 1


@njit(cache=True, parallel=True)
def update(f, bar, faces, dt_dx, v):
    """f <- 4/3 bar - 1/3 f - dt/dx v (difference of the faces)."""
    for i in prange(GHOSTS, f.shape[0] - GHOSTS):
        for c in range(f.shape[1]):
            row, plus, near, far = f[i, c], bar[i, c], faces[i - 1, c], faces[i, c]
            for k in range(v.size):
                row[k] = 4.0 / 3.0 * plus[k] - row[k] / 3.0 - dt_dx * v[k] * (far[k] - near[k])


@njit(cache=True)
def advance(f, bar, faces, steps, dt, dx, eps, gas, kinds, states, memory, v, w, measures, rows, bits, failures):
    """`steps` steps of f-tilde in place; `states` (steps, 1, side, 3).  Returns the steps that succeeded."""
    quarter = 0.25 * dt / eps
    scratch = (v, w, measures, rows, bits, failures)
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
    rate = 9.2e7
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
        inner, blocks = slice(GHOSTS, GHOSTS + options.cells), min(BLOCKS, options.cells // 8)
        f, bar, faces = (np.zeros((options.cells + 2 * GHOSTS, components, v.size)) for _ in range(3))
        memory, failures = np.zeros((2, f.shape[0], 3)), np.zeros(f.shape[0], np.int64)
        rows, bits = np.zeros((blocks, 1 + components, v.size)), np.zeros((blocks, v.size), np.int64)
        scratch = (v, w, np.array([w, w * v, w * v * v]), rows, bits, failures)
        if resume is None:
            now, t, step = initial_distribution(case, x, eps, components, v, w), 0.0, 0
            start = integrals(now, v, w, reduced)
        else:
            now, t, step = np.array(resume["f"]), float(resume["t"]), int(resume["step"])
            start = np.array(resume.get("start", integrals(now, v, w, reduced)))
        for end, count, dt in equal_steps(case, options, t):
            memory[:] = 0.0  # a march that is resumed here gives the same bits
            f[inner] = now.transpose(1, 0, 2)
            convert(f, bar, 0.0, 0.5 * dt / eps, gas, memory[0], *scratch)
            f[inner] = bar[inner]
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
            now = bar[inner].transpose(1, 0, 2).copy()  # with one component it would be a view of bar
            yield filled(case, options, now, t, step, eps, v, w, start)
