r"""Asymptotic-preserving IMEX finite differences for BGK: ARS(2,2,2) in time, WENO5 in space, conservative equilibria.

$$ \partial_t f + v\,\partial_x f = \tfrac1\varepsilon (M[f] - f), \qquad \gamma = 1-\tfrac{1}{\sqrt2},\quad
   \delta = 1-\tfrac{1}{2\gamma} $$
$$ f^{(1)} = f^n - \gamma\Delta t\,D f^n + \tfrac{\gamma\Delta t}{\varepsilon}(M^{(1)} - f^{(1)}) $$
$$ f^{n+1} = f^n - \Delta t\,(\delta D f^n + (1-\delta) D f^{(1)})
   + \tfrac{\Delta t}{\varepsilon}\big((1-\gamma)(M^{(1)} - f^{(1)}) + \gamma(M^{n+1} - f^{n+1})\big) $$

`D` is v times the fifth-order WENO derivative of point values.  The implicit stages are solved explicitly: the collision
term has no moments, so the moments of the explicit part g are those of the stage, M is known, and
$f = (g + \lambda M)/(1+\lambda)$ with $\lambda = \gamma\Delta t/\varepsilon$.

M is the discrete equilibrium $M_k = \exp(a_0 + a_1 c_k + a_2 c_k^2)$, c = v - u, whose sums over the nodes ARE the moments
(Newton to round-off), so mass, momentum and energy are kept exactly in every cell.  Second order in time, fifth in space
on smooth data; stable for dt <= dx/(2 max|v|) whatever eps (the explicit half is a
two-stage Runge-Kutta method, whose amplification with fifth-order upwinding grows beyond that: 1.0004 per step at 0.45, 1.16
at 0.9, seen first in the tails of f); globally stiffly accurate, hence for eps -> 0 at fixed steps the
ARS explicit scheme for the Euler equations (asymptotic-preserving).  With `velocity_dimension = 3` a second distribution
f2 = int (v_y^2 + v_z^2) f is carried, with equilibrium 2 T M (Chu).

References: Ascher, Ruuth, Spiteri (1997), Appl. Numer. Math. 25, 151, section 2.5, DOI 10.1016/S0168-9274(97)00056-1;
Jiang, Shu (1996), J. Comput. Phys. 126, 202, DOI 10.1006/jcph.1996.0130; Pieraccini, Puppo (2007), J. Sci. Comput. 32, 1,
DOI 10.1007/s10915-006-9116-6; Mieussens (2000), J. Comput. Phys. 162, 429, DOI 10.1006/jcph.2000.6548.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from solvers.compile import njit, prange
from solvers.problem.case import Case
from solvers.problem.maxwellian import make_maxwellian
from solvers.problem.moments import moments
from solvers.problem.scheme import Array, SchemeOptions
from solvers.problem.scheme import Scheme as AbstractScheme
from solvers.problem.status import BadInput, NumericalError, Snapshot
from solvers.weno import weno5

GAMMA = 1.0 - 1.0 / np.sqrt(2.0)
DELTA = 1.0 - 1.0 / (2.0 * GAMMA)
GHOSTS = 3
PERIODIC, FREE, SPECULAR, DIFFUSE, INFLOW = range(5)
SIDES = {"periodic": PERIODIC, "free": FREE, "specular": SPECULAR, "diffuse": DIFFUSE, "inflow": INFLOW}
NEWTON_STEPS = 30


face_value = njit(inline="always")(weno5)
maxwell = njit(inline="always")(make_maxwellian(np.exp, np.sqrt))


@njit(cache=True)
def equilibrium(rho, u, T, v, w, out):
    """Discrete equilibrium with the moments (rho, u, T) into `out`; False if Newton does not reach round-off."""
    n = v.size
    a0, a1, a2 = np.log(rho / np.sqrt(2.0 * np.pi * T)), 0.0, -0.5 / T
    best = 1e300
    for _ in range(NEWTON_STEPS):
        s0 = s1 = s2 = s3 = s4 = 0.0
        for k in range(n):
            c = v[k] - u
            m = np.exp(a0 + c * (a1 + c * a2))
            out[k] = m
            m *= w[k]
            s0 += m
            m *= c
            s1 += m
            m *= c
            s2 += m
            m *= c
            s3 += m
            s4 += m * c
        r0, r1, r2 = rho - s0, -s1, rho * T - s2
        size = abs(r0) / rho + abs(r1) / (rho * np.sqrt(T)) + abs(r2) / (rho * T)
        # round-off is reached when the residual stops falling
        if size < 1e-15 or (size < 1e-12 and size >= 0.5 * best):
            return True
        best = size
        # Newton: the Jacobian is the matrix of moments s0..s4
        d = s0 * (s2 * s4 - s3 * s3) - s1 * (s1 * s4 - s2 * s3) + s2 * (s1 * s3 - s2 * s2)
        if not d > 0.0:
            return False
        e0 = (r0 * (s2 * s4 - s3 * s3) - s1 * (r1 * s4 - s3 * r2) + s2 * (r1 * s3 - s2 * r2)) / d
        e1 = (s0 * (r1 * s4 - r2 * s3) - r0 * (s1 * s4 - s2 * s3) + s2 * (s1 * r2 - s2 * r1)) / d
        e2 = (s0 * (s2 * r2 - s3 * r1) - s1 * (s1 * r2 - s2 * r1) + r0 * (s1 * s3 - s2 * s2)) / d
        a0, a1, a2 = a0 + e0, a1 + e1, a2 + e2
    return False


@njit(cache=True)
def fill_ghosts(f, kinds, states, v, w):
    """Ghost cells of f (component, cell, v) for both ends; `states` (side, 3) holds rho, u, T of in-flow or wall."""
    components, cells, n = f.shape
    last = cells - 1
    for g in range(GHOSTS):
        for c in range(components):
            for side in range(2):
                ghost = g if side == 0 else last - g
                mirror = 2 * GHOSTS - 1 - g if side == 0 else last - (2 * GHOSTS - 1 - g)
                edge = GHOSTS if side == 0 else last - GHOSTS
                if kinds[side] == PERIODIC:
                    f[c, ghost] = f[c, ghost + cells - 2 * GHOSTS] if side == 0 else f[c, ghost - cells + 2 * GHOSTS]
                elif kinds[side] == FREE:
                    f[c, ghost] = f[c, edge]
                elif kinds[side] == SPECULAR:
                    f[c, ghost] = f[c, mirror, ::-1]
                else:
                    rho, u, T = states[side]
                    if kinds[side] == DIFFUSE:
                        into = out = 0.0
                        sign = 1.0 if side == 0 else -1.0
                        for k in range(n):
                            flux = sign * v[k] * w[k]
                            if flux > 0.0:
                                into += flux * np.exp(-(v[k] ** 2) / (2.0 * T)) / np.sqrt(2.0 * np.pi * T)
                            else:
                                out -= flux * f[0, edge, k]
                        rho, u = out / into, 0.0
                    scale = 1.0 if c == 0 else 2.0 * T
                    for k in range(n):
                        f[c, ghost, k] = scale * maxwell(rho, u, T, v[k])


@njit(cache=True, parallel=True)
def transport(f, faces, rate, v, dx):
    """rate = -v d_x f by WENO5; `faces` holds the values at the right face of every cell; (component, cell, v)."""
    components, cells, n = f.shape
    rising = np.searchsorted(v, 0.0, side="right")  # two loops without a branch: they run in vector instructions
    for i in prange(GHOSTS - 1, cells - GHOSTS):
        for c in range(components):
            a, b, d = f[c, i - 2], f[c, i - 1], f[c, i]
            p, q, r = f[c, i + 1], f[c, i + 2], f[c, i + 3]
            target = faces[c, i]
            for k in range(rising):
                target[k] = face_value(r[k], q[k], p[k], d[k], b[k])
            for k in range(rising, n):
                target[k] = face_value(a[k], b[k], d[k], p[k], q[k])
    for i in prange(GHOSTS, cells - GHOSTS):
        for c in range(components):
            for k in range(n):
                rate[c, i, k] = -v[k] * (faces[c, i, k] - faces[c, i - 1, k]) / dx


@njit(cache=True, parallel=True)
def relax(g, equilibria, ratio, v, w, failures):
    """Solve the implicit stage in place: g <- (g + ratio M[g])/(1 + ratio) cell by cell."""
    components, cells, n = g.shape
    for i in prange(GHOSTS, cells - GHOSTS):
        rho = momentum = energy = 0.0
        for k in range(n):
            m = w[k] * g[0, i, k]
            rho += m
            momentum += m * v[k]
        u = momentum / rho
        for k in range(n):
            energy += w[k] * g[0, i, k] * (v[k] - u) ** 2
        T = energy / rho
        if components == 2:
            extra = 0.0
            for k in range(n):
                extra += w[k] * g[1, i, k]
            T = (T + extra / rho) / 3.0
        if not (rho > 0.0 and T > 0.0) or not equilibrium(rho, u, T, v, w, equilibria[i]):
            failures[i] = 1
        else:
            for c in range(components):
                scale = 1.0 if c == 0 else 2.0 * T
                for k in range(n):
                    g[c, i, k] = (g[c, i, k] + ratio * scale * equilibria[i, k]) / (1.0 + ratio)


@njit(cache=True, parallel=True)
def first_stage(f, rate, stage, dt):
    """stage = f + gamma dt rate."""
    components, cells, _ = f.shape
    for i in prange(GHOSTS, cells - GHOSTS):
        for c in range(components):
            stage[c, i] = f[c, i] + GAMMA * dt * rate[c, i]


@njit(cache=True, parallel=True)
def second_stage(f, rate, stage, rate_stage, dt):
    """f <- explicit part of the last stage; (1-gamma)/gamma (stage - g) is the collision term of the first."""
    components, cells, n = f.shape
    share = (1.0 - GAMMA) / GAMMA
    for i in prange(GHOSTS, cells - GHOSTS):
        for c in range(components):
            for k in range(n):
                collision = stage[c, i, k] - f[c, i, k] - GAMMA * dt * rate[c, i, k]
                explicit = DELTA * rate[c, i, k] + (1.0 - DELTA) * rate_stage[c, i, k]
                f[c, i, k] += dt * explicit + share * collision


@njit(cache=True)
def advance(f, stage, faces, rate, rate_stage, equilibria, failures, steps, dt, dx, eps, kinds, states, v, w):
    """`steps` steps of ARS(2,2,2) in place; `states` (steps, 2 stages, side, 3).  Returns the steps that succeeded."""
    ratio = GAMMA * dt / eps
    for step in range(steps):
        fill_ghosts(f, kinds, states[step, 0], v, w)
        transport(f, faces, rate, v, dx)
        first_stage(f, rate, stage, dt)
        relax(stage, equilibria, ratio, v, w, failures)
        fill_ghosts(stage, kinds, states[step, 1], v, w)
        transport(stage, faces, rate_stage, v, dx)
        second_stage(f, rate, stage, rate_stage, dt)
        relax(f, equilibria, ratio, v, w, failures)
        if failures.any():
            return step
    return steps


class Options(SchemeOptions):
    """`cells` on a uniform grid; `cfl` in units of dx/max|v| (at most 0.5, see the module)."""

    cfl: float = Field(default=0.4, gt=0.0, le=0.5)
    steps_per_snapshot: int = Field(default=32, ge=1)


class Scheme(AbstractScheme):
    """`scheme = "imex"`: the general scheme for BGK."""

    equations = ("bgk",)
    order = (2, 5)
    asymptotic_preserving = True
    conserves = ("mass", "momentum", "energy")
    positive = False
    small = ("reference.cells=32", "velocity.nodes=64")
    Options = Options

    def coordinates(self, case: Case, options: Options) -> dict[str, Array]:
        low, high = case.domain.x
        dx = (high - low) / options.cells
        axes = {"x": low + dx * (np.arange(options.cells) + 0.5)}
        return axes | {"v": case.velocity.nodes_and_weights()[0]} if options.distribution else axes

    def plan(self, case: Case, eps: float, options: Options) -> dict[str, float]:
        v, _ = case.velocity.nodes_and_weights()
        unknowns = options.cells * v.size * (2 if case.equation.velocity_dimension == 3 else 1)
        dt = options.cfl * (case.domain.x[1] - case.domain.x[0]) / options.cells / np.abs(v).max()
        return {"unknowns": unknowns, "steps": np.ceil(case.domain.t_end / dt), "bytes": 6.0 * 8.0 * unknowns}

    def march(
        self, case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        v, w = case.velocity.nodes_and_weights()
        sides = (case.boundary.left, case.boundary.right)
        if any(side.kind == "specular" for side in sides) and not np.allclose(v, -v[::-1]):
            raise BadInput("boundary: a specular wall needs a velocity set that is symmetric about 0")
        x = self.coordinates(case, options)["x"]
        dx = (case.domain.x[1] - case.domain.x[0]) / options.cells
        limit = options.cfl * dx / np.abs(v).max()
        kinds = np.array([SIDES[side.kind] for side in sides])
        components = 2 if case.equation.velocity_dimension == 3 else 1
        inner = slice(GHOSTS, GHOSTS + options.cells)
        f = np.zeros((components, options.cells + 2 * GHOSTS, v.size))
        f[:, inner] = initial_distribution(case, x, eps, components, v, w)
        stage, faces, rate, rate_stage = (np.zeros_like(f) for _ in range(4))
        equilibria, failures = np.zeros(f.shape[1:]), np.zeros(f.shape[1], dtype=np.int64)
        t, step = 0.0, 0
        if resume is not None:
            f[:, inner], t, step = resume["f"], resume["t"], resume["step"]
        start = integrals(f[:, inner], v, w)
        scale = np.abs(start) + np.array([0.0, np.sqrt(start[0] * start[2]), 0.0])
        for end in case.domain.output_times:
            if end <= t * (1 + 1e-12):
                continue
            remaining = int(np.ceil((end - t) / limit - 1e-9))
            dt = (end - t) / remaining
            while remaining:
                steps = min(remaining, options.steps_per_snapshot)
                states = boundary_states(case, eps, t, dt, steps)
                buffers = (f, stage, faces, rate, rate_stage, equilibria, failures)
                done = advance(*buffers, steps, dt, dx, eps, kinds, states, v, w)
                t, step, remaining = t + done * dt, step + done, remaining - steps
                if done < steps:
                    cell = int(np.flatnonzero(failures)[0]) - GHOSTS
                    raise NumericalError(
                        f"density or temperature is not positive at x = {x[cell]:.4g}, t = {t:.4g}, eps = {eps:g}; "
                        "more reference.cells or a wider velocity range may help"
                    )
                progress = t / case.domain.t_end
                if remaining:
                    yield Snapshot(progress, step, eps, t)
            t = end
            total = integrals(f[:, inner], v, w)
            drift = (total - start) / scale
            names = ("drift_mass", "drift_momentum", "drift_energy")
            closed = all(side.kind == "periodic" for side in sides)
            scalars = dict(zip(names, drift.tolist(), strict=True)) if closed else {}
            fields = macroscopic(f[:, inner], v, w)
            if options.distribution:
                fields["f"] = f[0, inner].copy()
            yield Snapshot(
                t / case.domain.t_end, step, eps, t, fields, scalars, {"f": f[:, inner].copy(), "t": t, "step": step}
            )


def initial_distribution(case: Case, x: Array, eps: float, components: int, v: Array, w: Array) -> Array:
    """Discrete equilibrium of the initial data, shape (component, x, v); problems.md (44)."""
    rho, u, T = (getattr(case.initial, name)(x=x, eps=eps) for name in ("rho", "u", "T"))
    f = np.empty((components, x.size, v.size))
    for i in range(x.size):
        if not equilibrium(rho[i], u[i], T[i], v, w, f[0, i]):
            raise BadInput(
                f"velocity: the nodes cannot hold the state u = {u[i]:.4g}, T = {T[i]:.4g} at x = {x[i]:.4g}"
            )
    if components == 2:
        f[1] = 2.0 * T[:, None] * f[0]
    return f


def boundary_states(case: Case, eps: float, t: float, dt: float, steps: int) -> Array:
    """(rho, u, T) of in-flow and diffuse sides at the two stage times of every step, shape (steps, 2, side, 3)."""
    times = t + dt * (np.arange(steps)[:, None] + np.array([0.0, GAMMA]))
    states = np.ones((steps, 2, 2, 3))
    for k, side in enumerate((case.boundary.left, case.boundary.right)):
        for j, name in enumerate(("rho", "u", "T")):
            if (formula := getattr(side, name)) is not None:
                states[:, :, k, j] = formula(t=times, eps=eps)
    return states


def macroscopic(f: Array, v: Array, w: Array) -> dict[str, Array]:
    """rho, u, T, q of f (component, x, v); with two components T and q hold the reduced directions, too."""
    rho, u, T, q = moments(f[0], v, w)
    if len(f) == 2:
        T = (T + f[1] @ w / rho) / 3.0
        q = q + 0.5 * ((v - u[:, None]) * f[1]) @ w
    return {"rho": rho, "u": u, "T": T, "q": q}


def integrals(f: Array, v: Array, w: Array) -> Array:
    """Mean mass, momentum and energy."""
    energy = 0.5 * (f[0] @ (w * v**2))
    if len(f) == 2:
        energy = energy + 0.5 * (f[1] @ w)
    return np.array([(f[0] @ w).mean(), (f[0] @ (w * v)).mean(), energy.mean()])
