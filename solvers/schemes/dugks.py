r"""Discrete unified gas kinetic scheme (DUGKS) for BGK: finite volumes, second order, independent of the time step of eps.

Cell averages are carried as $\tilde f = f-\tfrac{\Delta t}2\Omega$, $\Omega=(M-f)/\varepsilon$, and with h = dt/2

$$ \tilde f^{n+1}_i = \tilde f^{+,n}_i - \frac{\Delta t}{\Delta x}\,v\,\big(f_{i+1/2}-f_{i-1/2}\big)(t_n+h), \qquad
   \tilde f^+ = \tfrac43\bar f^+ - \tfrac13\tilde f, \quad
   \bar f^+ = \frac{(2\varepsilon-h)\tilde f+3hM}{2\varepsilon+\Delta t}, $$
$$ \bar f_{i+1/2}(t_n+h) = \bar f^+(x_{i+1/2}-vh,\,t_n), \qquad
   f_{i+1/2} = \frac{2\varepsilon\bar f+hM}{2\varepsilon+h} , $$

that is, the characteristic solution with trapezoidal collisions at the face, from linear reconstructions with van Leer's
slopes, upwind.  Moments of f, of f-tilde and of f-bar agree, so every M (the discrete equilibrium) is known explicitly; mass,
momentum and energy are kept to round-off.  Second order in t and x, stable for dt <= dx/max|v| at every eps, asymptotic-
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
from solvers.problem.scheme import Array, SchemeOptions
from solvers.problem.scheme import Scheme as AbstractScheme
from solvers.problem.status import BadInput, Snapshot

from .imex import (
    SIDES,
    boundary_states,
    check_walls,
    components_of,
    equal_steps,
    filled,
    initial_distribution,
    integrals,
    maxwell,
    not_positive,
    row_sums,
)

GHOSTS = 2
PERIODIC, FREE, SPECULAR, INFLOW = (SIDES[name] for name in ("periodic", "free", "specular", "inflow"))


@njit(cache=True)
def mix(row, keep, gain, out, M, bits, v, w, measures):
    """out = keep row + gain M[row] for one cell, row (component, v).  False if there is no equilibrium."""
    rho, momentum, energy = row_sums(row[0], measures)
    if not rho > 0.0:
        return False
    u = momentum / rho
    T = energy / rho - u * u
    if row.shape[0] == 2:
        T = (T + row_sums(row[1], measures)[0] / rho) / 3.0
    memory = np.zeros(3)
    if not T > 0.0 or not equilibrium_row(rho, u, T, v, w, M, bits, bits.view(np.float64), memory):
        return False
    for c in range(row.shape[0]):
        share = gain if c == 0 else 2.0 * T * gain
        for k in range(v.size):
            out[c, k] = keep * row[c, k] + share * M[k]
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
def half_step(f, bar, keep, gain, v, w, measures, rows, bits, failures):
    """bar = f-bar-plus of every cell."""
    for i in prange(GHOSTS, f.shape[0] - GHOSTS):
        if not mix(f[i], keep, gain, bar[i], rows[i], bits[i], v, w, measures):
            failures[i] = 1


@njit(cache=True, parallel=True)
def face_step(bar, faces, keep, gain, ratio, v, w, measures, rows, bits, failures):
    """faces[i] = f at the right face of cell i at the half step."""
    for i in prange(GHOSTS - 1, bar.shape[0] - GHOSTS):
        for c in range(bar.shape[1]):
            upwind_row(bar[i - 1, c], bar[i, c], bar[i + 1, c], bar[i + 2, c], v, ratio, faces[i, c])
        if not mix(faces[i], keep, gain, faces[i], rows[i], bits[i], v, w, measures):
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
def advance(f, bar, faces, steps, dt, dx, eps, kinds, states, v, w, measures, rows, bits, failures):
    """`steps` steps of f-tilde in place; `states` (steps, 1, side, 3).  Returns the steps that succeeded."""
    h = 0.5 * dt
    for step in range(steps):
        half_step(f, bar, (2 * eps - h) / (2 * eps + dt), 3 * h / (2 * eps + dt), v, w, measures, rows, bits, failures)
        fill_ghosts(bar, kinds, states[step, 0], v)
        face_step(bar, faces, 2 * eps / (2 * eps + h), h / (2 * eps + h), h / dx, v, w, measures, rows, bits, failures)
        if failures.any():
            return step
        update(f, bar, faces, dt / dx, v)
    return steps


class Options(SchemeOptions):
    """`cells` on a uniform grid; `cfl` in units of dx/max|v|."""

    scheme: str = "dugks"
    cfl: float = Field(default=0.8, gt=0.0, le=1.0)
    steps_per_snapshot: int = Field(default=64, ge=1)


class Scheme(AbstractScheme):
    """`scheme = "dugks"`: the second scheme for BGK, independent of `imex`."""

    equations = ("bgk",)
    order = (2, 2)
    asymptotic_preserving = True
    conserves = ("mass", "momentum", "energy")
    positive = False
    small = ("reference.cells=32", "velocity.nodes=64")
    references = ("guo2013discrete", "guo2015discrete", "mieussens2000discrete")
    Options = Options

    def coordinates(self, case: Case, options: Options) -> dict[str, Array]:
        low, high = case.domain.x
        axes = {"x": low + (high - low) * (np.arange(options.cells) + 0.5) / options.cells}
        return axes | {"v": case.velocity.nodes_and_weights()[0]} if options.distribution else axes

    def plan(self, case: Case, eps: float, options: Options) -> dict[str, float]:
        unknowns = options.cells * case.velocity.nodes_and_weights()[0].size * components_of(case)
        steps = sum(count for _, count, _ in equal_steps(case, options, 0.0))
        return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * 5 * unknowns}

    def march(
        self, case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        v, w = case.velocity.nodes_and_weights()
        check_walls(case, v)
        sides = (case.boundary.left, case.boundary.right)
        if any(side.kind == "diffuse" for side in sides):
            raise BadInput("boundary: dugks has no diffuse walls; take reference.scheme = 'imex'")
        kinds = np.array([SIDES[side.kind] for side in sides])
        x = self.coordinates(case, options)["x"]
        dx = (case.domain.x[1] - case.domain.x[0]) / options.cells
        components = components_of(case)
        inner = slice(GHOSTS, GHOSTS + options.cells)
        f, bar, faces = (np.zeros((options.cells + 2 * GHOSTS, components, v.size)) for _ in range(3))
        rows, bits = np.zeros((f.shape[0], v.size)), np.zeros((f.shape[0], v.size), np.int64)
        failures, measures = np.zeros(f.shape[0], np.int64), np.array([w, w * v, w * v * v])
        if resume is None:
            now, t, step = initial_distribution(case, x, eps, components, v, w), 0.0, 0
            start = integrals(now, v, w)
        else:
            now, t, step = np.array(resume["f"]), float(resume["t"]), int(resume["step"])
            start = np.array(resume.get("start", integrals(now, v, w)))
        for end, count, dt in equal_steps(case, options, t):
            # between f and f-tilde: the equilibrium is that of either
            f[inner] = now.transpose(1, 0, 2)
            half_step(f, bar, 1.0 + 0.5 * dt / eps, -0.5 * dt / eps, v, w, measures, rows, bits, failures)
            f[inner] = bar[inner]
            remaining = count
            while remaining:
                steps = min(remaining, options.steps_per_snapshot)
                states = boundary_states(case, eps, t + dt * (np.arange(steps)[:, None] + 0.5))
                done = advance(f, bar, faces, steps, dt, dx, eps, kinds, states, v, w, measures, rows, bits, failures)
                t, step, remaining = t + done * dt, step + done, remaining - steps
                if done < steps:
                    i = int(np.flatnonzero(failures)[0]) - GHOSTS
                    raise not_positive(x[np.clip(i, 0, x.size - 1)], t, eps)
                if remaining:
                    yield Snapshot(t / case.domain.t_end, step, eps, t)
            t, share = end, 2 * eps / (2 * eps + dt)
            half_step(f, bar, share, 1.0 - share, v, w, measures, rows, bits, failures)
            now = bar[inner].transpose(1, 0, 2).copy()  # with one component it would be a view of bar
            yield filled(case, options, now, t, step, eps, v, w, start)
