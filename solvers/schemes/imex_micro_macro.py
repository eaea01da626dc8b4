r"""Micro-macro IMEX scheme on a velocity grid for the semiconductor equation: an independent check of `hermite_parity`.

$$ f = \rho M + \varepsilon g, \quad \langle g\rangle = 0, \qquad \partial_t\rho + \partial_x\langle vg\rangle = 0, $$
$$ \partial_tg = \underbrace{-\tfrac1\varepsilon(I-\Pi)(v\,\partial_xg - E\,\partial_vg)}_{\text{explicit}}
   \;\underbrace{-\tfrac1{\varepsilon^2}\big(g + vMS\big)}_{\text{implicit}}, \qquad S = \partial_x\rho + \tfrac{\rho E}\theta,
   \quad \Pi h = M\langle h\rangle . $$

rho at the centres, g at the faces and at `velocities` cells of equal width on [-v_max, v_max], M scaled to sum one; v d_x g and
E d_v g by third-order upwind differences, S and the flux by central ones, Poisson's equation solved at every stage.  In time
ARS(2,2,2) (IMEX Euler for the smallest eps): the explicit part gives rho and hence S of the stage, the implicit one is then a
division.  At a contact
g = (c - rho_b) M/eps for what enters, g of what leaves obeys its own equation with one-sided differences, and
$\rho_b = c + 2\varepsilon\langle g\rangle_{\rm out}$ makes <g> = 0; S there contains rho_b, so that a stage solves for it.

Order 2 in t and x (1 at contacts whose kinetic layer is not resolved).  Asymptotic-preserving: for eps -> 0 explicit ARS for
drift-diffusion, with dt ~ dx^2; in between explicit transport of g needs dt of about eps dx/v_max, most near eps = dx/v_max.

References: Lemou, Mieussens (2008), SIAM J. Sci. Comput. 31, 334, DOI 10.1137/07069479X; Jang, Li, Qiu, Xiong (2015),
J. Comput. Phys. 281, 199, DOI 10.1016/j.jcp.2014.10.025; Ascher, Ruuth, Spiteri (1997), Appl. Numer. Math. 25, 151, section
2.5, DOI 10.1016/S0168-9274(97)00056-1.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from solvers.compile import njit, prange

from ..problem.maxwellian import maxwellian
from ..problem.scheme import COARSER, Array, SchemeOptions
from ..problem.scheme import Scheme as SchemeBase
from ..problem.status import BadInput, NumericalError, Snapshot

if TYPE_CHECKING:
    from ..problem.case import Case

GAMMA = 1.0 - 1.0 / np.sqrt(2.0)
DELTA = 1.0 - 1.0 / (2.0 * GAMMA)
#: below this eps (v_max/dx + max|E|/dv) IMEX Euler is stable whatever the step, while ARS, whose last stage takes the explicit
#: part 1.7 times, is only below 0.1
IDLE = 0.6


class Options(SchemeOptions):
    """`cells`, `velocities` (even) on [-v_max, v_max], `cfl` in units of the stability limit."""

    scheme: str = "imex_micro_macro"
    cells: int = Field(default=243, ge=8, le=100_000)
    cfl: float = Field(default=0.7, gt=0.0, le=1.0)
    velocities: int = Field(default=108, ge=8, le=100_000, multiple_of=2)
    v_max: float = Field(default=8.0, gt=0.0)
    steps_per_snapshot: int = Field(default=256, ge=1)


@njit(cache=True, error_model="numpy")
def poisson(rho, doping, beta, h, potentials, phi, E, work):
    """Phi at the centres and E at the faces; potentials are given half a cell outside.  Thomas' algorithm."""
    n = rho.size
    scale = h * h / beta
    for i in range(n):
        diagonal = -3.0 if i == 0 or i == n - 1 else -2.0
        right = scale * (rho[i] - doping[i])
        if i == 0:
            right -= 2.0 * potentials[0]
        if i == n - 1:
            right -= 2.0 * potentials[1]
        pivot = diagonal - (work[i - 1] if i > 0 else 0.0)
        work[i] = 1.0 / pivot
        phi[i] = (right - (phi[i - 1] if i > 0 else 0.0)) / pivot
    for i in range(n - 2, -1, -1):
        phi[i] -= work[i] * phi[i + 1]
    for f in range(1, n):
        E[f] = -(phi[f] - phi[f - 1]) / h
    # the half-cell differences hold at a quarter of a cell: extrapolated to the ends
    first, last = -2.0 * (phi[0] - potentials[0]) / h, -2.0 * (potentials[1] - phi[n - 1]) / h
    E[0] = first - (E[1] - first) / 3.0
    E[n] = last - (E[n - 1] - last) / 3.0


@njit(cache=True, error_model="numpy", parallel=True)
def transport(g, E, J, T, v, M, dv, h, eps):
    """T = -(I - Pi)(v d_x g - E d_v g)/eps at the faces; J (faces,) is used for the mean at the contacts."""
    faces, n = g.shape
    half = n // 2
    last = faces - 1
    for f in prange(faces):
        row = T[f]
        for k in range(half):  # v < 0: from the right
            if f == 0:
                slope = (-3.0 * g[0, k] + 4.0 * g[1, k] - g[2, k]) / (2.0 * h)
            elif f >= last - 1:
                slope = (g[last, k] - g[last - 2, k]) / (2.0 * h)
            else:
                slope = (-g[f + 2, k] + 6.0 * g[f + 1, k] - 3.0 * g[f, k] - 2.0 * g[f - 1, k]) / (6.0 * h)
            row[k] = v[k] * slope
        for k in range(half, n):
            if f == last:
                slope = (3.0 * g[last, k] - 4.0 * g[last - 1, k] + g[last - 2, k]) / (2.0 * h)
            elif f <= 1:
                slope = (g[2, k] - g[0, k]) / (2.0 * h)
            else:
                slope = (2.0 * g[f + 1, k] + 3.0 * g[f, k] - 6.0 * g[f - 1, k] + g[f - 2, k]) / (6.0 * h)
            row[k] = v[k] * slope
        c = -E[f] / (6.0 * dv)
        if c > 0.0:
            row[0] += c * (2.0 * g[f, 1] + 3.0 * g[f, 0])
            row[1] += c * (2.0 * g[f, 2] + 3.0 * g[f, 1] - 6.0 * g[f, 0])
            for k in range(2, n - 1):
                row[k] += c * (2.0 * g[f, k + 1] + 3.0 * g[f, k] - 6.0 * g[f, k - 1] + g[f, k - 2])
            row[n - 1] += c * (3.0 * g[f, n - 1] - 6.0 * g[f, n - 2] + g[f, n - 3])
        else:
            row[n - 1] += c * (-3.0 * g[f, n - 1] - 2.0 * g[f, n - 2])
            row[n - 2] += c * (6.0 * g[f, n - 1] - 3.0 * g[f, n - 2] - 2.0 * g[f, n - 3])
            for k in range(1, n - 2):
                row[k] += c * (-g[f, k + 2] + 6.0 * g[f, k + 1] - 3.0 * g[f, k] - 2.0 * g[f, k - 1])
            row[0] += c * (-g[f, 2] + 6.0 * g[f, 1] - 3.0 * g[f, 0])
        if f == 0:
            mean = (J[1] - J[0]) / h
        elif f == last:
            mean = (J[last] - J[last - 1]) / h
        else:
            mean = 0.0
            for k in range(n):
                mean += row[k]
            mean *= dv
        for k in range(n):
            row[k] = -(row[k] - M[k] * mean) / eps


@njit(cache=True, error_model="numpy")
def slopes(rho, E, traces, theta, h, S):
    """S = d_x rho + rho E/theta at the faces; `traces` are rho at the contacts."""
    n = rho.size
    for f in range(1, n):
        S[f] = (rho[f] - rho[f - 1]) / h + 0.5 * (rho[f] + rho[f - 1]) * E[f] / theta
    S[0] = (-8.0 / 3.0 * traces[0] + 3.0 * rho[0] - rho[1] / 3.0) / h + traces[0] * E[0] / theta
    S[n] = (8.0 / 3.0 * traces[1] - 3.0 * rho[n - 1] + rho[n - 2] / 3.0) / h + traces[1] * E[n] / theta


@njit(cache=True, error_model="numpy")
def relax(g, rho, E, traces, ends, v, M, dv, theta, h, eps, rest, S):
    """g becomes g - rest v M S, with rho at the contacts such that <g> = 0 for it there: one linear equation each."""
    faces, n = g.shape
    half, last = n // 2, faces - 1
    for side in range(2):
        f = 0 if side == 0 else last
        leaving, speed = 0.0, 0.0
        for k in range(half) if side == 0 else range(half, n):
            leaving += g[f, k] * dv
            speed += v[k] * M[k] * dv
        traces[side] = 0.0
        slopes(rho, E, traces, theta, h, S)
        slope = (-8.0 / 3.0 / h if side == 0 else 8.0 / 3.0 / h) + E[f] / theta
        known = ends[side] + 2.0 * eps * (leaving - rest * speed * S[f])
        traces[side] = known / (1.0 + 2.0 * eps * rest * speed * slope)
    slopes(rho, E, traces, theta, h, S)
    for f in range(faces):
        for k in range(n):
            g[f, k] -= rest * v[k] * M[k] * S[f]


@njit(cache=True, error_model="numpy")
def close(g, traces, ends, v, M, dv, eps, J):
    """What enters at the contacts, rho there, and the flux J at all faces."""
    faces, n = g.shape
    half, last = n // 2, faces - 1
    leaving = 0.0
    for k in range(half):
        leaving += g[0, k]
    traces[0] = ends[0] + 2.0 * eps * leaving * dv
    for k in range(half, n):
        g[0, k] = -2.0 * leaving * dv * M[k]
    leaving = 0.0
    for k in range(half, n):
        leaving += g[last, k]
    traces[1] = ends[1] + 2.0 * eps * leaving * dv
    for k in range(half):
        g[last, k] = -2.0 * leaving * dv * M[k]
    for f in range(faces):
        s = 0.0
        for k in range(n):
            s += v[k] * g[f, k]
        J[f] = s * dv


@njit(cache=True, error_model="numpy")
def advance(
    rho, g, traces, z, phi, E, work, steps, dt, h, v, M, dv, doping, ends, potentials, theta, beta, eps, source=None
):
    """`steps` steps of ARS(2,2,2) in place; z (2,) are the fluxes through the contacts integrated in time.

    source  (generation (2, cells), of g (2, faces, velocities)) at the two explicit stages, or None: none in a case, but
            manufactured solutions need it
    """
    rho1, g1, J, J1, T, T1, S, thomas = work
    cells = rho.size
    share = GAMMA * dt
    weight = eps * eps / (eps * eps + share)
    rest = share / (eps * eps + share)
    for _ in range(steps):
        close(g, traces, ends, v, M, dv, eps, J)
        transport(g, E, J, T, v, M, dv, h, eps)
        if source is not None:
            T += source[1][0]
        for i in range(cells):
            rho1[i] = rho[i] - share * (J[i + 1] - J[i]) / h
        if source is not None:
            rho1 += share * source[0][0]
        poisson(rho1, doping, beta, h, potentials, phi, E, thomas)
        for f in range(cells + 1):
            for k in range(v.size):
                g1[f, k] = weight * (g[f, k] + share * T[f, k])
        relax(g1, rho1, E, traces, ends, v, M, dv, theta, h, eps, rest, S)
        close(g1, traces, ends, v, M, dv, eps, J1)
        transport(g1, E, J1, T1, v, M, dv, h, eps)
        if source is not None:
            T1 += source[1][1]
        for i in range(cells):
            rho[i] -= dt * (DELTA * (J[i + 1] - J[i]) + (1.0 - DELTA) * (J1[i + 1] - J1[i])) / h
        if source is not None:
            rho += dt * (DELTA * source[0][0] + (1.0 - DELTA) * source[0][1])
        z[0] += dt * (DELTA * J[0] + (1.0 - DELTA) * J1[0])
        z[1] += dt * (DELTA * J[cells] + (1.0 - DELTA) * J1[cells])
        poisson(rho, doping, beta, h, potentials, phi, E, thomas)
        for f in range(cells + 1):
            for k in range(v.size):
                collision = (g1[f, k] - g[f, k] - share * T[f, k]) / GAMMA
                known = g[f, k] + dt * (DELTA * T[f, k] + (1.0 - DELTA) * T1[f, k]) + (1.0 - GAMMA) * collision
                g[f, k] = weight * known
        relax(g, rho, E, traces, ends, v, M, dv, theta, h, eps, rest, S)
    close(g, traces, ends, v, M, dv, eps, J)


@njit(cache=True, error_model="numpy")
def advance_euler(
    rho, g, traces, z, phi, E, work, steps, dt, h, v, M, dv, doping, ends, potentials, theta, beta, eps, source=None
):
    """`steps` steps of IMEX Euler in place, g before rho: for eps so small that dt ~ dx^2 makes the order in t idle."""
    _, _, J, _, T, _, S, thomas = work
    cells = rho.size
    weight = eps * eps / (eps * eps + dt)
    rest = dt / (eps * eps + dt)
    close(g, traces, ends, v, M, dv, eps, J)
    for _ in range(steps):
        transport(g, E, J, T, v, M, dv, h, eps)
        if source is not None:
            T += source[1][0]
        for f in range(cells + 1):
            for k in range(v.size):
                g[f, k] = weight * (g[f, k] + dt * T[f, k])
        relax(g, rho, E, traces, ends, v, M, dv, theta, h, eps, rest, S)
        close(g, traces, ends, v, M, dv, eps, J)
        for i in range(cells):
            rho[i] -= dt * (J[i + 1] - J[i]) / h
        if source is not None:
            rho += dt * source[0][0]
        z[0] += dt * J[0]
        z[1] += dt * J[cells]
        poisson(rho, doping, beta, h, potentials, phi, E, thomas)


class Scheme(SchemeBase):
    """`scheme = "imex_micro_macro"`: explicit transport on a velocity grid; slow, but a different scheme altogether."""

    equations = ("semiconductor",)
    order = (2, 2)
    asymptotic_preserving = True
    conserves = ("mass",)
    positive = False
    rate = 7.0e7
    references = ("lemou2008new", "jang2015high", "ascher1997implicit")
    small = ("reference.cells=27", "reference.velocities=36")
    Options = Options

    def coarser(self, options: Any) -> Any | None:
        coarse = super().coarser(options)
        fewer = 2 * (options.velocities // (2 * COARSER))
        return coarse and coarse.model_copy(update={"velocities": max(fewer, 8)})

    def fewer_velocities(self, case: "Case", options: Any) -> None:
        """The velocities are not those of the case; `coarser` divides them with the cells."""

    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        edges = np.linspace(*case.domain.x, options.cells + 1)
        axes = {"x": 0.5 * (edges[1:] + edges[:-1])}
        return axes | {"v": self.velocities(case, options)[0]} if options.distribution else axes

    def _speed(self, case: "Case", eps: float, options: Any) -> float:
        """v_max/dx + max|E|/dv, the field that of the start or, roughly, of the junctions."""
        *_, E, h = self._initial(case, eps, options)
        drop = abs(case.boundary.right.potential - case.boundary.left.potential) + 10.0 * case.equation.theta
        field = max(float(np.abs(E).max()), 0.1 * drop / np.sqrt(case.equation.beta))
        return float(options.v_max / h + field * options.velocities / (2.0 * options.v_max))

    @staticmethod
    def velocities(case: "Case", options: Any) -> tuple[Array, Array, float]:
        """Nodes, Maxwellian of sum one, and width."""
        edges = np.linspace(-options.v_max, options.v_max, options.velocities + 1)
        v, dv = 0.5 * (edges[1:] + edges[:-1]), float(edges[1] - edges[0])
        M = maxwellian(1.0, 0.0, case.equation.theta, v)
        return v, M / (M.sum() * dv), dv

    def _initial(self, case: "Case", eps: float, options: Any) -> tuple[Array, Array, Array, Array, Array, float]:
        """rho, doping there and at the contacts, potentials, E and the cell width at t = 0."""
        x = self.coordinates(case, options)["x"]
        h = (case.domain.x[1] - case.domain.x[0]) / options.cells
        rho = case.initial.rho(x=x, eps=eps) * np.ones(x.size)
        doping = case.equation.doping(x=x) * np.ones(x.size)
        ends = case.equation.doping(x=np.array(case.domain.x)) * np.ones(2)
        potentials = np.array([case.boundary.left.potential, case.boundary.right.potential])
        phi, E = np.zeros(x.size), np.zeros(x.size + 1)
        poisson(rho, doping, case.equation.beta, h, potentials, phi, E, np.zeros(x.size))
        return rho, doping, ends, potentials, E, h

    def schedule(self, case: "Case", eps: float, options: Any) -> list[tuple[float, int]]:
        """Step size and number of steps of every output interval."""
        speed = self._speed(case, eps, options)
        theta, h = case.equation.theta, (case.domain.x[1] - case.domain.x[0]) / options.cells
        limit = 0.5 * (0.5 * h * h / theta + eps * h / np.sqrt(theta))
        if eps * speed > IDLE:
            limit = min(limit, eps * eps / (eps * speed - GAMMA))
        limit *= options.cfl
        starts = (0.0, *case.domain.output_times[:-1])
        counts = [int(np.ceil((end - a) / limit)) for a, end in zip(starts, case.domain.output_times, strict=True)]
        return [((end - a) / n, n) for a, end, n in zip(starts, case.domain.output_times, counts, strict=True)]

    def stepper(self, case: "Case", eps: float, options: Any) -> Callable[..., None]:
        """ARS(2,2,2) where its steps are limited by transport, IMEX Euler elsewhere."""
        return advance if eps * self._speed(case, eps, options) > IDLE else advance_euler

    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        unknowns = options.cells * options.velocities
        steps = sum(n for _, n in self.schedule(case, eps, options))
        return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * 5 * unknowns}

    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        v, M, dv = self.velocities(case, options)
        if (lost := float(np.exp(-(options.v_max**2) / (2.0 * case.equation.theta)))) > 1e-6:
            raise BadInput(
                f"reference.v_max = {options.v_max:g}: M falls only to {lost:.1e} of its maximum there; take at least "
                f"{5.3 * np.sqrt(case.equation.theta):.3g}"
            )
        rho, doping, ends, potentials, E, h = self._initial(case, eps, options)
        theta, beta = case.equation.theta, case.equation.beta
        faces = (rho.size + 1, v.size)
        g, traces, z, phi = np.zeros(faces), ends.copy(), np.zeros(2), np.zeros(rho.size)
        start, t, step = h * float(rho.sum()), 0.0, 0
        if resume is not None:
            rho, g, traces, z = (np.array(resume[name], dtype=float) for name in ("rho", "g", "traces", "z"))
            t, step = float(resume["t"]), int(resume["step"])
            poisson(rho, doping, beta, h, potentials, phi, E, np.zeros(rho.size))
        flux = np.zeros(rho.size + 1)
        work = (
            np.zeros_like(rho),
            np.zeros(faces),
            flux,
            flux.copy(),
            np.zeros(faces),
            np.zeros(faces),
            flux.copy(),
            phi.copy(),
        )
        schedule = self.schedule(case, eps, options)
        total = sum(n for _, n in schedule)
        march = self.stepper(case, eps, options)
        for (dt, count), end in zip(schedule, case.domain.output_times, strict=True):
            if end <= t * (1 + 1e-12):
                continue
            remaining = count
            while remaining:
                some = min(remaining, options.steps_per_snapshot)
                march(
                    rho, g, traces, z, phi, E, work, some, dt, h, v, M, dv, doping, ends, potentials, theta, beta, eps
                )
                step, remaining = step + some, remaining - some
                if not (np.isfinite(rho).all() and np.isfinite(g).all()):
                    at = end - remaining * dt
                    raise NumericalError(
                        f"rho is not finite at t = {at:.4g}, eps = {eps:g}; a smaller reference.cfl may help"
                    )
                if remaining:
                    yield Snapshot(step / total, step, eps, end - remaining * dt)
            t = end
            J = g @ (v * dv)
            fields = {
                "rho": rho.copy(),
                "J": 0.5 * (J[1:] + J[:-1]),
                "E": 0.5 * (E[1:] + E[:-1]),
                "Phi": phi.copy(),
            }
            if options.distribution:
                fields["f"] = rho[:, None] * M + 0.5 * eps * (g[1:] + g[:-1])
            drift = abs(h * float(rho.sum()) + z[1] - z[0] - start) / start
            state = {"rho": rho.copy(), "g": g.copy(), "traces": traces.copy(), "z": z.copy(), "t": t, "step": step}
            yield Snapshot(step / total, step, eps, t, fields, {"drift_mass": float(drift)}, state)
