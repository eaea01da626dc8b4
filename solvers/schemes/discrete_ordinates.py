r"""Fully implicit discrete ordinates (S_N) for slab transport: discontinuous Galerkin in x, SDIRK3 in t, direct solve.

With $f = \rho + \varepsilon g$, $\langle g\rangle = 0$, and the upwind DG derivative $D_k$ of direction $v_k$,

$$ \dot\rho + \tfrac1\varepsilon\langle vD\rho\rangle + \langle vDg\rangle + \sigma_A\rho = Q, \qquad
   \varepsilon^2\dot g_k + (v_kD_k - \langle vD\rangle)\rho + \varepsilon(v_kD_kg_k - \langle vDg\rangle)
   + (\sigma_S+\varepsilon^2\sigma_A)g_k = 0 . $$

This is the S_N DG system itself, written so that neither $\varepsilon^2\partial_t$ nor the flux drowns in the collision
term: $\rho$ is an unknown of its own and its equation a difference of fluxes, so mass is kept.

* x: Legendre polynomials of degree 2 per cell (order 3); upwind DG of degree >= 1 has the diffusion limit also at
  boundaries (Adams 2001).  Ends with in-flow get a geometric mesh: panels of ratio RATIO, `graded` cells in
  each, down to LAYER times eps, so that kinetic boundary layers are resolved.  Results are given on ONE grid, that of the
  smallest eps of the case, for every eps and every coarser mesh.
* t: L-stable three-stage SDIRK of order 3 (Alexander 1977), steps trebled every `repeat` steps from START times the full
  step, which is about the first output time over `steps`: the initial layer is graded into, or damped by L-stability where it
  is not seen.
* the linear systems are block tridiagonal over the cells, factorised once per step size (`_block_tridiagonal`).

The number of steps does not depend on eps, that of unknowns grows like the logarithm of 1/eps.  At eps ~ 1 the in-flow
problem has jumps that move along x = v t/eps, and a source behind a dark wall makes kinks there.  For eps^2/sigma_S >= SPLIT^2
they are taken out exactly (first-collision split), and the smoother rest alone is marched, by sweeps on a mesh and at times of
its own that are graded like the third power towards the walls and the start.

References: Alexander (1977), SIAM J. Numer. Anal. 14, 1006, DOI 10.1137/0714068; Adams (2001), Nucl. Sci. Eng. 137, 298,
DOI 10.13182/NSE00-41; Larsen, Morel, Miller (1987), J. Comput. Phys. 69, 283, DOI 10.1016/0021-9991(87)90170-7.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.interpolate import CubicSpline

from ..problem.scheme import COARSER, Array, SchemeOptions
from ..problem.scheme import Scheme as SchemeBase
from ..problem.status import BadInput, NumericalError, Snapshot
from ..problem.velocity.slab_double_gauss import VelocitySet as DoubleGauss
from ._block_tridiagonal import Chain
from ._collided_sweep import Sweeper
from ._first_collision import Split, make_split

if TYPE_CHECKING:
    from ..problem.case import Case

DEGREE = 2
LAYER = 0.2  # smallest panel in units of the smallest eps: rho is like x ln x at the wall
RATIO = 8.0  # of the panels of the graded mesh
SPLIT = 0.03  # from this eps on, in-flow and a uniform source are split into their uncollided part and the rest
COLLIDED_CELLS = 3  # cells of the collided rest in those of the mesh
COLLIDED_STEPS = 6  # its steps up to the first output time in those at full size
ORDINATES = 8  # ordinates of the collided rest in those of the case
START = 1.6e-4  # first step in units of the full step
GROWTH = 3.0  # of the steps
GAMMA = 0.435866521508459
STAGES = (
    (GAMMA,),
    (0.5 * (1.0 - GAMMA), GAMMA),
    (-(6.0 * GAMMA**2 - 16.0 * GAMMA + 1.0) / 4.0, (6.0 * GAMMA**2 - 20.0 * GAMMA + 5.0) / 4.0, GAMMA),
)
NODES = (GAMMA, 0.5 * (1.0 + GAMMA), 1.0)


class Options(SchemeOptions):
    """`cells` in the uniform part of the mesh, `steps` per output interval at full size, `repeat` before trebling.

    `graded` cells in each panel of the graded part (a divisor of `cells`); 0 leaves the mesh uniform.
    `coarsened`, a divisor of both: the mesh has that many times fewer cells than the grid on which results are given.
    """

    scheme: str = "discrete_ordinates"
    cells: int = Field(default=45, ge=4, le=20_000)
    steps: int = Field(default=27, ge=2, le=100_000)
    repeat: int = Field(default=3, ge=1, le=1000)
    graded: int = Field(default=9, ge=0, le=1000)
    coarsened: int = Field(default=1, ge=1, le=1000)

    @property
    def mesh(self) -> "Options":
        """Options whose `cells` and `graded` are those of the mesh."""
        divided = {"cells": self.cells // self.coarsened, "graded": self.graded // self.coarsened, "coarsened": 1}
        return self.model_copy(update=divided)


def make_edges(lo: float, hi: float, cells: int, graded: int, smallest: tuple[float, float]) -> Array:
    """Cell edges: panels of `graded` cells, the first and the last panel cut by RATIO until at most `smallest` wide."""
    graded = max(graded, 1)
    panels = list(np.linspace(lo, hi, cells // graded + 1))
    h = panels[1] - panels[0]
    left = [lo + h / RATIO**j for j in range(1, 40) if h / RATIO ** (j - 1) > smallest[0]]
    right = [hi - h / RATIO**j for j in range(1, 40) if h / RATIO ** (j - 1) > smallest[1]]
    return divide(np.array(sorted([*panels, *left, *right])), graded)


def divide(edges: Array, parts: int | NDArray[np.int_]) -> Array:
    """Edges of a mesh whose cells are divided into equal parts."""
    count = np.broadcast_to(parts, edges.size - 1)
    pieces = [np.linspace(a, b, k + 1)[:-1] for a, b, k in zip(edges[:-1], edges[1:], count, strict=True)]
    return np.append(np.concatenate(pieces), edges[-1])


def collided_edges(case: "Case", options: Any) -> Array:
    """Edges of the mesh of the collided rest, whose density is like x ln x at a wall and moves with x/t from the first."""
    lo, hi = case.domain.x
    s = np.linspace(-1.0, 1.0, COLLIDED_CELLS * options.mesh.cells + 1)
    return lo + 0.5 * (hi - lo) * (1.0 + np.sign(s) * (1.0 - (1.0 - np.abs(s)) ** 3))


def basis(xi: Array) -> Array:
    """Orthonormal Legendre polynomials for the mean over [-1, 1], shape (DEGREE + 1, xi)."""
    return np.polynomial.legendre.legvander(xi, DEGREE).T * np.sqrt(2.0 * np.arange(DEGREE + 1) + 1.0)[:, None]


def locate(edges: Array, x: Array) -> tuple[Array, Array, NDArray[np.int_], Array]:
    """Widths and centres of the cells; the cell of each x and the basis there, shape (DEGREE + 1, x)."""
    h, centre = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    at = np.searchsorted(edges, x) - 1
    return h, centre, at, basis(2.0 * (x - centre[at]) / h[at])


def make_matrices() -> tuple[dict[int, Array], Array, Array]:
    """Upwind DG matrices of h d_x within a cell (v > 0: 1, v < 0: -1); the basis at its two ends.

    From the upwind cell comes -outer(left, right) for v > 0 and outer(right, left) for v < 0.
    """
    xi, w = np.polynomial.legendre.leggauss(DEGREE + 1)
    right, left, phi = basis(np.array([1.0]))[:, 0], basis(np.array([-1.0]))[:, 0], basis(xi)
    slope = np.polynomial.legendre.legval(
        xi, np.polynomial.legendre.legder(np.diag(np.sqrt(2.0 * np.arange(DEGREE + 1) + 1.0)))
    )  # columns of diag are the basis, so slope is (DEGREE + 1, xi)
    stiff = (slope * w) @ phi.T
    return {1: np.outer(right, right) - stiff, -1: -np.outer(left, left) - stiff}, left, right


def flux(edges: Array, means: Array, x: Array) -> Array:
    """J at x from its cell means, which is what the weak form balances: in a layer its other modes are errors over eps."""
    through = np.append(0.0, np.cumsum(np.diff(edges) * means))
    return CubicSpline(edges, through)(x, 1)


class Scheme(SchemeBase):
    """Implicit S_N with DG(2) and SDIRK3."""

    equations = ("transport",)
    order = (3, 3)
    asymptotic_preserving = True
    conserves = ("mass",)
    positive = False
    rate = 5.0e6
    small = ("reference.cells=9", "reference.graded=3", "velocity.nodes=8", "reference.steps=4")
    Options = Options

    @staticmethod
    def edges(case: "Case", options: Any, eps: float | None = None) -> Array:
        """Edges of the grid of the results, the same for every eps of the case; or of the mesh for one, given `options.mesh`."""
        thinnest = min(case.knudsen.all) if eps is None else eps
        smallest = max(LAYER * thinnest, 1e-9 * (case.domain.x[1] - case.domain.x[0]))
        sides = (case.boundary.left, case.boundary.right)
        width = tuple(smallest if side.kind == "inflow" else np.inf for side in sides)
        if options.graded == 0:
            scale = (case.domain.x[1] - case.domain.x[0]) / options.cells
            if (layer := min(width)) < scale:
                raise BadInput(
                    f"reference.graded = 0: a uniform mesh of {options.cells} cells of width {scale:.3g} does not resolve "
                    f"the boundary layer of width {layer / LAYER:.3g} (the smallest Knudsen number); leave graded at 9"
                )
        elif options.cells % options.graded:
            raise BadInput(
                f"reference.cells = {options.cells} must be a multiple of reference.graded = {options.graded}"
            )
        return make_edges(*case.domain.x, options.cells, options.graded, width)

    def coarser(self, options: Any) -> Any | None:
        """The panels stay, each with a third of its cells; the results stay on their grid."""
        mesh, coarsened = options.mesh, COARSER * options.coarsened
        if options.cells % coarsened or options.graded % coarsened or mesh.cells // COARSER < 4:
            return None
        steps = {"steps": max(2, options.steps // COARSER), "repeat": max(1, options.repeat // COARSER)}
        return options.model_copy(update={"coarsened": coarsened, **steps})

    def finer(self, options: Any) -> Any | None:
        names = ("cells", "graded", "steps", "repeat")
        return options.model_copy(update={name: COARSER * getattr(options, name) for name in names})

    def resolution(self, options: Any) -> int:
        return int(options.mesh.cells)

    def expected_order(self, case: "Case", eps: float) -> float:
        """3/2 where in-flow is split: f of the collided rest has derivatives that jump along the rays from the corners."""
        return 1.5 if self.split(case, eps) else super().expected_order(case, eps)

    @staticmethod
    def split(case: "Case", eps: float) -> Split | None:
        """The split where sweeps converge: eps is compared with the square root of the mean sigma_S, as in eps^2/sigma_S."""
        sigma = float(np.mean(case.equation.sigma_s(x=case.sample_x())))
        return make_split(case, eps) if eps >= SPLIT * np.sqrt(sigma) else None

    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        edges = self.edges(case, options)
        return {"x": 0.5 * (edges[1:] + edges[:-1]), "v": case.velocity.nodes_and_weights()[0]}

    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        m = case.velocity.nodes_and_weights()[0].size
        if self.split(case, eps):
            cells, steps = COLLIDED_CELLS * options.mesh.cells, len(self._collided_schedule(case, options))
            unknowns = cells * (DEGREE + 1) * (m if options.distribution else ORDINATES * m)
            return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * 9 * unknowns}
        cells, steps = self.edges(case, options.mesh, eps).size - 1, sum(n for _, n in self._schedule(case, options))
        block = (DEGREE + 1) * (m + 1)
        return {"unknowns": cells * block, "steps": steps, "bytes": 8.0 * 3 * cells * block**2}

    @staticmethod
    def _schedule(case: "Case", options: Any) -> list[tuple[float, int]]:
        """(step size, number of steps) in order; the end of some entry falls on every output time."""
        plan, t = [], 0.0
        times = case.domain.output_times
        for i, end in enumerate(times):
            if i == 0:
                levels = int(np.ceil(np.log(1.0 / START) / np.log(GROWTH)))
                unit = [(GROWTH**j, options.repeat) for j in range(levels)]
                unit.append((GROWTH**levels, options.steps))
                total = sum(size * count for size, count in unit)
                plan += [(size * end / total, count) for size, count in unit]
            else:
                size = plan[-1][0]
                count = max(1, int(np.ceil((end - t) / size - 1e-9)))
                plan.append(((end - t) / count, count))
            t = end
        return plan

    @staticmethod
    def _collided_schedule(case: "Case", options: Any) -> list[tuple[float, int]]:
        """The same for the collided rest: times like the third power of their number, near those of `coarser`."""
        first = case.domain.output_times[0]
        ends = np.cbrt(np.array([0.0, *case.domain.output_times]) / first)
        plan = []
        for begin, end in itertools.pairwise(ends):
            count = int(np.ceil((end - begin) * COLLIDED_STEPS * options.steps - 1e-9))
            plan += [(float(dt), 1) for dt in np.diff(first * np.linspace(begin, end, count + 1) ** 3)]
        return plan

    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        if split := self.split(case, eps):
            yield from self._march_collided(case, eps, options, split, resume)
            return
        x, edges = self.coordinates(case, options)["x"], self.edges(case, options.mesh, eps)
        h, centre, at, phi_out = locate(edges, x)
        v, w = case.velocity.nodes_and_weights()
        p, n, m = DEGREE + 1, h.size, v.size
        left, right = case.boundary.left, case.boundary.right
        periodic = left.kind == "periodic"
        equation = case.equation
        xi, wq = np.polynomial.legendre.leggauss(p + 2)
        phi, points = basis(xi), centre[:, None] + 0.5 * h[:, None] * xi

        def project(values: Array) -> Array:
            return np.einsum("cq...,iq->ci...", values, phi * 0.5 * wq)

        def mass_matrix(values: Array) -> Array:
            return np.einsum("cq,iq,jq->cij", values * np.ones_like(points), phi * 0.5 * wq, phi)

        same, trace_left, trace_right = make_matrices()
        ahead = v > 0
        # what enters at an end is what leaves it: at -v (specular), at v (free, zero gradient), or the isotropic
        # distribution of the same flux (diffuse)
        mirror = np.searchsorted(v, -v[::-1])[::-1]

        def emit(leaving: Array) -> Array:
            share = w * np.abs(v) * leaving
            return np.tile(share / share.sum(), (m, 1))

        def couple(keep: Array, enter: Array | None = None) -> Array:
            """Matrix over (rho, g) of v D with derivative acting for directions `keep`, taking values by `enter`."""
            P = np.zeros((m, m + 1))
            P[:, 0] = 1.0
            P[:, 1:] = eps * (np.eye(m) if enter is None else enter)
            stream = np.where(keep, v, 0.0)[:, None] * P
            mean = w @ stream
            return np.vstack([mean / eps, stream - mean])

        def outer(modes: Array, components: Array) -> Array:
            """Kronecker products, modes (..., p, p) and components (m + 1, m + 1) as (..., p, m + 1, p, m + 1)."""
            return modes[..., :, None, :, None] * components[:, None, :]

        forward, backward = couple(ahead), couple(~ahead)
        A = outer(same[1] / h[:, None, None], forward) + outer(same[-1] / h[:, None, None], backward)
        A += outer(mass_matrix(equation.sigma_s(x=points)), np.diag(np.r_[0.0, np.ones(m)]))
        A += outer(mass_matrix(equation.sigma_a(x=points)), np.diag(np.r_[1.0, np.full(m, eps**2)]))
        ends = (
            (left, ahead, 0, -trace_left / h[0], trace_left),
            (right, ~ahead, n - 1, trace_right / h[-1], trace_right),
        )
        for side, keep, cell, column, trace in ends:
            if side.kind in ("specular", "diffuse", "free"):
                enter = {"specular": np.eye(m)[mirror], "diffuse": emit(~keep), "free": None}[side.kind]
                A[cell] += outer(np.outer(column, trace), couple(keep, enter))
        inertia = np.r_[1.0, np.full(m, eps**2)]
        chain = Chain(A, inertia, h, basis(np.linspace(-1.0, 1.0, p)), forward, backward, periodic)

        def forcing(t: float) -> Array:
            b = np.zeros((n, p, m + 1))
            b[..., 0] = project(equation.source(x=points, t=t) * np.ones_like(points))
            for side, keep, cell, column, _ in ends:
                if side.kind == "inflow":
                    F = np.zeros(m)
                    F[keep] = v[keep] * side.f(t=t, v=np.abs(v[keep]), eps=eps)
                    b[cell] -= np.outer(column, np.r_[(w @ F) / eps, F - w @ F])
            return b

        steady = "t" not in equation.source.names and not any(
            s.f is not None and "t" in s.f.names for s in (left, right)
        )
        constant = forcing(0.0)
        f0 = project(case.initial.f(x=points[..., None], v=v, eps=eps) * np.ones((n, p + 2, m)))
        rho0 = f0 @ w
        y = np.concatenate([rho0[..., None], (f0 - rho0[..., None]) / eps], axis=-1)
        t, done, skip = 0.0, 0, 0
        if resume is not None:
            y, t, skip = np.array(resume["y"], dtype=float), float(resume["t"]), int(resume["step"])
        plan = self._schedule(case, options)
        total = sum(count for _, count in plan)
        times, output = case.domain.output_times, 0
        closed = equation.sigma_a.constant == 0.0 and all(
            s.kind in ("periodic", "specular", "diffuse") for s in (left, right)
        )
        mass0 = float(h @ rho0[:, 0])
        clock = 0.0
        for dt, count in plan:
            for _ in range(count):
                done += 1
                clock += dt
                hit = output < len(times) and abs(clock - times[output]) <= 1e-9 * times[output]
                output += hit
                if done <= skip:
                    continue
                if chain.tau != GAMMA * dt:
                    chain.prepare(GAMMA * dt)
                k: list[Array] = []
                for a, c in zip(STAGES, NODES, strict=True):
                    state = y + dt * sum((aj * kj for aj, kj in zip(a[:-1], k, strict=True)), np.zeros_like(y))
                    b = constant if steady else forcing(t + c * dt)
                    stage = chain.solve(inertia * state + GAMMA * dt * b)
                    rate = (stage - state) / (GAMMA * dt)
                    if closed:  # the flux of size 1/eps leaves a round-off in the total mass that is known to be zero
                        rate[:, 0, 0] += h @ (b - rate)[:, 0, 0] / h.sum()
                    k.append(rate)
                y = y + dt * sum(aj * kj for aj, kj in zip(STAGES[-1], k, strict=True))
                t = clock
                if not np.isfinite(y).all():
                    raise NumericalError(f"rho is not finite at t = {t:g}, eps = {eps:g}")
                if not hit:
                    yield Snapshot(done / total, done, eps, t)
                    continue
                values = np.einsum("cpq,pc->cq", y[at], phi_out)
                J = flux(edges, y[:, 0, 1:] @ (w * v), x)
                fields = {"rho": values[:, 0], "J": J}
                if options.distribution:
                    fields["f"] = values[:, :1] + eps * values[:, 1:]
                scalars = {}
                if closed and steady and not constant.any():
                    scalars["drift_mass"] = abs(float(h @ y[:, 0, 0]) - mass0) / max(abs(mass0), 1e-300)
                yield Snapshot(done / total, done, eps, t, fields, scalars, {"y": y.copy(), "t": t, "step": done})

    def _march_collided(
        self, case: "Case", eps: float, options: Any, split: Split, resume: Mapping[str, Any] | None
    ) -> Iterator[Snapshot]:
        """The collided part on a finer mesh and, unless f is asked for, with more ordinates; see _collided_sweep."""
        x, edges = self.coordinates(case, options)["x"], collided_edges(case, options)
        h, centre, at, phi_out = locate(edges, x)
        velocity = case.velocity
        if not options.distribution:
            velocity = DoubleGauss(nodes=ORDINATES * velocity.nodes_and_weights()[0].size)
        v, w = velocity.nodes_and_weights()
        p, n, equation = DEGREE + 1, h.size, case.equation
        xi, wq = np.polynomial.legendre.leggauss(p + 2)
        phi, points = basis(xi), centre[:, None] + 0.5 * h[:, None] * xi
        sigma_s = equation.sigma_s(x=points) / eps**2
        sigma_a = equation.sigma_a(x=points)

        def project(values: Array) -> Array:
            return np.einsum(
                "cq...,iq->ci...", values * np.ones_like(sigma_s[(...,) + (None,) * (values.ndim - 2)]), phi * 0.5 * wq
            )

        scatter = np.einsum("cq,iq,jq->cij", sigma_s * np.ones_like(points), phi * 0.5 * wq, phi)
        total = scatter + np.einsum("cq,iq,jq->cij", sigma_a * np.ones_like(points), phi * 0.5 * wq, phi)
        sweeper = Sweeper(v, w, h, eps, scatter, total)
        padded = sweeper.v.ravel()
        f = sweeper.split(
            project(case.initial.f(x=points[..., None], v=padded, eps=eps) * np.ones((n, p + 2, padded.size)))
        )
        t, done, skip, output, clock = 0.0, 0, 0, 0, 0.0
        slope = np.zeros(f.shape[1:3])
        if resume is not None:
            f, slope = np.array(resume["f"], dtype=float), np.array(resume["slope"], dtype=float)
            t, skip = float(resume["t"]), int(resume["step"])
        plan = self._collided_schedule(case, options)
        total_steps, times = sum(count for _, count in plan), case.domain.output_times

        def source(t: float) -> Array:
            return project(split.source(t, points))

        for dt, count in plan:
            for _ in range(count):
                done += 1
                clock += dt
                hit = output < len(times) and abs(clock - times[output]) <= 1e-9 * times[output]
                output += hit
                if done <= skip:
                    continue
                if sweeper.tau != GAMMA * dt:
                    sweeper.prepare(GAMMA * dt)
                k: list[Array] = []
                begin = sweeper.mean(f)
                for a, c in zip(STAGES, NODES, strict=True):
                    state = f.copy()
                    for aj, kj in zip(a[:-1], k, strict=True):
                        state += (dt * aj) * kj
                    stage, rho = sweeper.solve(state, source(t + c * dt), begin + c * dt * slope)
                    if len(k) < len(STAGES) - 1:
                        k.append((stage - state) / (GAMMA * dt))
                f, slope = stage, (rho - begin) / dt  # stiffly accurate: the last stage is the new state
                t = clock
                if not np.isfinite(rho).all():
                    raise NumericalError(f"rho is not finite at t = {t:g}, eps = {eps:g}")
                if not hit:
                    yield Snapshot(done / total_steps, done, eps, t)
                    continue
                whole = sweeper.join(f)
                J = flux(edges, whole[:, 0] @ (w * v) / eps, x)
                fields = {
                    "rho": np.einsum("cp,pc->c", rho[at], phi_out) + split.moment(0, t, x),
                    "J": J + split.moment(1, t, x),
                }
                if options.distribution:
                    fields["f"] = np.einsum("cpk,pc->ck", whole[at], phi_out) + split.f(t, x[:, None], v)
                yield Snapshot(
                    done / total_steps, done, eps, t, fields, {}, {"f": f.copy(), "slope": slope, "t": t, "step": done}
                )
