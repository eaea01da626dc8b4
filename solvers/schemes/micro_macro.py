r"""Implicit micro-macro scheme in parities on a staggered, smoothly graded mesh: an independent check of `discrete_ordinates`.

With $f(\pm v) = r\pm\varepsilon j$, $v>0$, and $r = \rho + s$, $\langle s\rangle = 0$,

$$ \partial_t\rho + \partial_x\langle vj\rangle + \sigma_A\rho = Q, \qquad
   \partial_ts + (I-\Pi)\,v\,\partial_xj = -\Big(\frac{\sigma_S}{\varepsilon^2}+\sigma_A\Big)s, \qquad
   \varepsilon^2\partial_tj + v\,\partial_x(\rho+s) = -(\sigma_S+\varepsilon^2\sigma_A)\,j . $$

rho and s at the centres, j at the faces; every derivative is a difference of two neighbours, so nothing is upwinded and
nothing dissipated.  A stage of the time integration with step $\tau$ gives $\tau vj = \phi^* - \kappa\,\delta(\rho+s)$,
$\kappa = \tau^2v^2/\big((\varepsilon^2+\tau\sigma)\,\delta x\big)$, hence the macro and the micro system

$$ h(1+\tau\sigma_A)\rho - \delta(\langle\kappa\rangle\,\delta\rho)
   = hR - \delta\langle\phi^*\rangle + \delta\langle\kappa\,\delta s\rangle, $$
$$ h\Big(1+\tau\frac{\sigma}{\varepsilon^2}\Big)s - \delta(\kappa\,\delta s)
   = hs^* - \delta(\phi^* - \kappa\,\delta\rho) + hR - h(1+\tau\sigma_A)\rho , $$

tridiagonal each and solved in turn: the second-moment method, which contracts like diffusion-synthetic acceleration (by
about 0.2 at worst) because the macro system is the exact mean of the micro one.  For eps -> 0 it is the implicit three-point
scheme for diffusion; $\varepsilon^2$ never meets a number of size one, and mass is a telescoping sum.

* x: a mesh $x(\xi)$ that crowds logarithmically towards in-flow ends, down to LAYER times the smallest eps of the case.
* ends: half a cell between the wall and the first centre carries $j$ with $r+\varepsilon j = F$ (in-flow), $j = 0$
  (specular), or $r+\varepsilon j = c$ with $\langle vj\rangle = 0$ (diffuse).
* t: SDIRK4, five stages, L-stable and stiffly accurate, order 4; times $t_n\sim n^4$ up to the first output time resolve
  initial layers and the start at discontinuous data, uniform steps after it.
* eps >= SPLIT: the uncollided part of in-flow and of a uniform source is taken out exactly and the rest gets ORDINATES times the nodes.

Order 4 in t, 2 in x, uniformly in eps; steps and unknowns do not depend on eps.

References: Lemou, Mieussens (2008), SIAM J. Sci. Comput. 31, 334, DOI 10.1137/07069479X; Jin, Pareschi, Toscani (2000), SIAM
J. Numer. Anal. 38, 913, DOI 10.1137/S0036142998347978; Boscarino, Pareschi, Russo (2013), SIAM J. Sci. Comput. 35, A22, DOI
10.1137/110842855 (implicit diffusion in the limit); Adams, Larsen (2002), Prog. Nucl. Energy 40, 3, DOI
10.1016/S0149-1970(01)00023-3 (second-moment method); Hairer, Wanner (1996), Solving Ordinary Differential Equations II, table
IV.6.5, DOI 10.1007/978-3-642-05221-7.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from solvers.compile import njit

from ..problem.scheme import COARSER, Array, SchemeOptions
from ..problem.scheme import Scheme as SchemeBase
from ..problem.status import BadInput, NumericalError, Snapshot
from ..problem.velocity.slab_double_gauss import VelocitySet as DoubleGauss
from ._first_collision import make_split

if TYPE_CHECKING:
    from ..problem.case import Case

LAYER = 0.1  # the mesh is uniform below this distance from an in-flow end, in units of the smallest eps
CROWD = 0.03  # cells per e-fold of the distance to an end, in units of the cells of the uniform part
SPLIT = 0.03  # from this eps on, in-flow and a uniform source are split into their uncollided part and the rest
ORDINATES = 4  # ordinates of the collided rest in those of the case
POWER = 4  # of the graded times
TOLERANCE = 1e-12  # relative change of rho that ends the iteration
SWEEPS = 200
GAMMA = 0.25
STAGES = np.array(
    [
        [1 / 4, 0, 0, 0, 0],
        [1 / 2, 1 / 4, 0, 0, 0],
        [17 / 50, -1 / 25, 1 / 4, 0, 0],
        [371 / 1360, -137 / 2720, 15 / 544, 1 / 4, 0],
        [25 / 24, -49 / 48, 125 / 16, -85 / 12, 1 / 4],
    ]
)
NODES = STAGES.sum(axis=1)
PERIODIC, INFLOW, SPECULAR, DIFFUSE = range(4)
KINDS = {"periodic": PERIODIC, "inflow": INFLOW, "specular": SPECULAR, "diffuse": DIFFUSE}


class Options(SchemeOptions):
    """`cells` of the graded mesh, `steps` up to the first output time."""

    scheme: str = "micro_macro"
    cells: int = Field(default=729, ge=8, le=1_000_000)
    steps: int = Field(default=54, ge=2, le=100_000)


def make_mesh(lo: float, hi: float, cells: int, smallest: tuple[float, float]) -> tuple[Array, Array]:
    """Faces and centres x(xi) of a mesh whose cells shrink like the distance to an end, down to `smallest` there."""
    length = hi - lo
    left, right = (min(b / length, 1.0) for b in smallest)
    a, b = (CROWD if end < 1.0 else 0.0 for end in (left, right))

    def stretch(y: Array) -> Array:
        return y + a * np.log1p(y / left) - b * np.log((1.0 - y + right) / (1.0 + right))

    target = stretch(np.array(1.0)) * np.arange(2 * cells + 1) / (2.0 * cells)
    low, high = np.zeros(target.size), np.ones(target.size)
    for _ in range(64):
        middle = 0.5 * (low + high)
        above = stretch(middle) > target
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    points = lo + length * low
    points[0], points[-1] = lo, hi
    return points[::2].copy(), points[1::2].copy()


@njit(cache=True, error_model="numpy")
def solve_macro(K, pivot, b):
    """Back substitution of the factors of diag - K on both sides, in place."""
    n = b.size
    b[0] *= pivot[0]
    for i in range(1, n):
        b[i] = (b[i] + K[i] * b[i - 1]) * pivot[i]
    for i in range(n - 2, -1, -1):
        b[i] += K[i + 1] * pivot[i] * b[i + 1]


@njit(cache=True, error_model="numpy")
def factor(tau, eps, h, d, sigma, sigma_a, sigma_face, v, w, ends, kappa, keep, K, wall, pivot, pivot_rho, loop, ring):
    """All that depends on the step tau alone: conductances kappa and both systems as triangular factors.

    phi* = keep j*;  K = <kappa>, zero at ends that let no flux through, wall = <kappa> at the ends themselves;
    loop, ring = inverse of the periodic systems without their corners times the corner vector (Sherman, Morrison)
    """
    n, m = pivot.shape
    e2 = eps * eps
    for f in range(n + 1):
        end = ends[0] if f == 0 else (ends[1] if f == n else PERIODIC)
        K[f] = 0.0
        for k in range(m):
            under = e2 + tau * sigma_face[f]
            if end in (INFLOW, DIFFUSE):
                under += tau * v[k] * eps / d[f]
            open_face = 0.0 if end == SPECULAR else 1.0
            kappa[f, k] = open_face * tau * tau * v[k] * v[k] / (d[f] * under)
            keep[f, k] = open_face * tau * v[k] * e2 / under
            K[f] += w[k] * kappa[f, k]
    for side in range(2):
        wall[side] = K[side * n]
        if ends[side] == DIFFUSE:
            K[side * n] = 0.0
    corner = 1.0 if ends[0] == PERIODIC else 0.0
    for i in range(n):
        extra = corner if i == 0 or i == n - 1 else 0.0
        diagonal = h[i] * (1.0 + tau * sigma_a[i]) + K[i] + K[i + 1] + extra * K[0]
        if i > 0:
            diagonal -= K[i] * K[i] * pivot_rho[i - 1]
        pivot_rho[i] = 1.0 / diagonal
        ring[i] = extra
        for k in range(m):
            diagonal = h[i] * (1.0 + tau * (sigma[i] / e2)) + kappa[i, k] + kappa[i + 1, k] + extra * kappa[0, k]
            loop[i, k] = extra
            if i > 0:
                diagonal -= kappa[i, k] * kappa[i, k] * pivot[i - 1, k]
                loop[i, k] += kappa[i, k] * loop[i - 1, k]
            pivot[i, k] = 1.0 / diagonal
            loop[i, k] *= pivot[i, k]
    solve_macro(K, pivot_rho, ring)
    for i in range(n - 2, -1, -1):
        for k in range(m):
            loop[i, k] += kappa[i + 1, k] * pivot[i, k] * loop[i + 1, k]


@njit(cache=True, error_model="numpy")
def solve_micro(h, w, ends, kappa, K, pivot, loop, phi, s, rho, gain, F, work, y, P, mean):
    """s (n, v) unprojected into y, its mean, and the flux P of its second moment that the macro system needs.

    phi, s are the known phi*, s*; gain = h R - h (1 + tau sigma_a) rho; F (2, v) what enters at the ends
    """
    n, m = s.shape
    periodic = ends[0] == PERIODIC
    for k in range(m):
        before = rho[n - 1] if periodic else F[0, k]
        work[k] = phi[0, k] - kappa[0, k] * (rho[0] - before)
    for i in range(n):
        for k in range(m):
            after = rho[i + 1] if i < n - 1 else (rho[0] if periodic else F[1, k])
            flux = phi[i + 1, k] - kappa[i + 1, k] * (after - rho[i])
            b = h[i] * s[i, k] - (flux - work[k]) + gain[i]
            if i > 0:
                b += kappa[i, k] * y[i - 1, k]
            y[i, k] = b * pivot[i, k]
            work[k] = flux
    for i in range(n - 2, -1, -1):
        for k in range(m):
            y[i, k] += kappa[i + 1, k] * pivot[i, k] * y[i + 1, k]
    if periodic:
        for k in range(m):
            share = kappa[0, k] * (y[0, k] + y[n - 1, k]) / (1.0 - kappa[0, k] * (loop[0, k] + loop[n - 1, k]))
            work[k] = share
        for i in range(n):
            for k in range(m):
                y[i, k] += work[k] * loop[i, k]
    for i in range(n):
        total = 0.0
        for k in range(m):
            total += w[k] * y[i, k]
        mean[i] = total
    second_moment(w, ends, kappa, y, mean, P)


@njit(cache=True, error_model="numpy")
def second_moment(w, ends, kappa, y, mean, P):
    """P = <kappa (y - mean)> differenced over every face."""
    n, m = y.shape
    for f in range(1, n):
        total, jump = 0.0, mean[f] - mean[f - 1]
        for k in range(m):
            total += w[k] * kappa[f, k] * (y[f, k] - y[f - 1, k] - jump)
        P[f] = total
    first, last = 0.0, 0.0
    for k in range(m):
        first += w[k] * kappa[0, k] * (y[0, k] - mean[0])
        last += w[k] * kappa[n, k] * (y[n - 1, k] - mean[n - 1])
    P[0], P[n] = first, -last
    if ends[0] == PERIODIC:
        P[0] = P[n] = first - last


@njit(cache=True, error_model="numpy")
def solve_stage(
    tau, h, sigma_a, v, w, ends, kappa, K, wall, pivot, pivot_rho, loop, ring, phi, s, R, F, rho, y, P, mean, work, gain
):
    """rho, s (in y) and tau v j (in phi) of a stage from the known R, s* and phi*; y starts the iteration.

    Returns the number of iterations, negative if it did not converge; F at diffuse ends is what the wall emits.
    """
    n, m = s.shape
    periodic = ends[0] == PERIODIC
    b, flux = np.empty(n), np.empty(n + 1)
    mean[:] = 0.0
    second_moment(w, ends, kappa, y, mean, P)
    last, count = np.inf, 0
    while count < SWEEPS:
        count += 1
        for f in range(n + 1):
            total = 0.0
            for k in range(m):
                total += w[k] * phi[f, k]
            flux[f] = total - P[f]
        for side in range(2):
            f = side * n
            if ends[side] == INFLOW:
                for k in range(m):
                    flux[f] += (1.0 - 2.0 * side) * w[k] * kappa[f, k] * F[side, k]
            elif ends[side] == DIFFUSE:
                wall_flux = flux[f]
                F[side, 0] = wall_flux / wall[side]  # kept until rho is known
                flux[f] = 0.0
        for i in range(n):
            b[i] = h[i] * R[i] - (flux[i + 1] - flux[i])
        solve_macro(K, pivot_rho, b)
        if periodic:
            share = K[0] * (b[0] + b[n - 1]) / (1.0 - K[0] * (ring[0] + ring[n - 1]))
            for i in range(n):
                b[i] += share * ring[i]
        if periodic or K[0] + K[n] == 0.0:  # the round-off in a total that no flux changes
            defect, whole = 0.0, 0.0
            for i in range(n):
                defect += h[i] * (R[i] - (1.0 + tau * sigma_a[i]) * b[i])
                whole += h[i] * (1.0 + tau * sigma_a[i])
            for i in range(n):
                b[i] += defect / whole
        change, size = 0.0, 0.0
        for i in range(n):
            change = max(change, abs(b[i] - rho[i]))
            size = max(size, abs(b[i]))
            rho[i] = b[i]
            gain[i] = h[i] * (R[i] - (1.0 + tau * sigma_a[i]) * b[i])
        if ends[0] == DIFFUSE:
            F[0, :] = rho[0] - F[0, 0]
        if ends[1] == DIFFUSE:
            F[1, :] = rho[n - 1] + F[1, 0]
        solve_micro(h, w, ends, kappa, K, pivot, loop, phi, s, rho, gain, F, work, y, P, mean)
        if change <= TOLERANCE * size or (change <= 1e-8 * size and change >= 0.7 * last):
            break
        last = change
    for i in range(n):
        for k in range(m):
            y[i, k] -= mean[i]
    for f in range(1, n):
        for k in range(m):
            phi[f, k] -= kappa[f, k] * (rho[f] - rho[f - 1] + (y[f, k] - y[f - 1, k]))
    for k in range(m):
        first, final = rho[0] + y[0, k], rho[n - 1] + y[n - 1, k]
        phi[0, k] -= kappa[0, k] * (first - (final if periodic else F[0, k]))
        phi[n, k] -= kappa[n, k] * ((first if periodic else F[1, k]) - final)
    return count if count < SWEEPS else -count


@njit(cache=True, error_model="numpy")
def advance(dt, rho, s, j, source, F, mesh, physics, factors, slopes, work):
    """One step of SDIRK4 in place; source (stage, n), F (stage, 2, v).  Returns the iterations, negative on failure."""
    h, d, ends, v, w = mesh
    eps, sigma, sigma_a, sigma_face = physics
    kappa, keep, K, wall, pivot, pivot_rho, loop, ring = factors
    slope_rho, slope_s, slope_j = slopes
    R, known_s, phi, known_j, y, stage_rho, P, mean, line, gain = work
    n, m = s.shape
    tau = GAMMA * dt
    factor(tau, eps, h, d, sigma, sigma_a, sigma_face, v, w, ends, kappa, keep, K, wall, pivot, pivot_rho, loop, ring)
    y[:] = s
    stage_rho[:] = rho
    total = 0
    for stage in range(5):
        for i in range(n):
            known = rho[i]
            for q in range(stage):
                known += dt * STAGES[stage, q] * slope_rho[q, i]
            R[i] = known + tau * source[stage, i]
        known_s[:] = s
        known_j[:] = j
        for q in range(stage):
            a = dt * STAGES[stage, q]
            for i in range(n):
                for k in range(m):
                    known_s[i, k] += a * slope_s[q, i, k]
            for f in range(n + 1):
                for k in range(m):
                    known_j[f, k] += a * slope_j[q, f, k]
        for f in range(n + 1):
            for k in range(m):
                phi[f, k] = keep[f, k] * known_j[f, k]
        used = solve_stage(
            tau, h, sigma_a, v, w, ends, kappa, K, wall, pivot, pivot_rho, loop, ring,
            phi, known_s, R, F[stage], stage_rho, y, P, mean, line, gain,
        )  # fmt: skip
        if used < 0:
            return used
        total += used
        for i in range(n):
            slope_rho[stage, i] = (stage_rho[i] - R[i]) / tau + source[stage, i]
            for k in range(m):
                slope_s[stage, i, k] = (y[i, k] - known_s[i, k]) / tau
        if ends[0] == PERIODIC or K[0] + K[n] == 0.0:  # the total again, from which the differences above took digits
            defect = 0.0
            for i in range(n):
                defect += h[i] * (slope_rho[stage, i] + sigma_a[i] * stage_rho[i] - source[stage, i])
            slope_rho[stage] -= defect / h.sum()
        for f in range(n + 1):
            for k in range(m):
                slope_j[stage, f, k] = (phi[f, k] / (tau * v[k]) - known_j[f, k]) / tau
    rho[:] = stage_rho
    s[:] = y
    for f in range(n + 1):
        for k in range(m):
            j[f, k] = phi[f, k] / (tau * v[k])
    return total


class Scheme(SchemeBase):
    """`scheme = "micro_macro"`: implicit, staggered, without upwinding."""

    equations = ("transport",)
    order = (4, 2)
    asymptotic_preserving = True
    conserves = ("mass",)
    positive = False
    rate = 7.0e6
    small = ("reference.cells=54", "velocity.nodes=8", "reference.steps=6")
    Options = Options

    @staticmethod
    def mesh(case: "Case", options: Any) -> tuple[Array, Array]:
        """Faces and centres, the same for every eps of the case."""
        width = case.domain.x[1] - case.domain.x[0]
        smallest = max(LAYER * min(case.knudsen.all), 1e-10 * width)
        left, right = (smallest if s.kind == "inflow" else width for s in (case.boundary.left, case.boundary.right))
        return make_mesh(*case.domain.x, options.cells, (left, right))

    def coarser(self, options: Any) -> Any | None:
        """A third of the cells and of the steps."""
        coarse = super().coarser(options)
        return coarse and coarse.model_copy(update={"steps": max(2, options.steps // COARSER)})

    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        return {"x": self.mesh(case, options)[1], "v": case.velocity.nodes_and_weights()[0]}

    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        unknowns = options.cells * case.velocity.nodes_and_weights()[0].size
        unknowns *= self._ordinates(case, eps, options)
        return {"unknowns": unknowns, "steps": len(self._times(case, options)) - 1, "bytes": 8.0 * 13 * unknowns}

    @staticmethod
    def _times(case: "Case", options: Any) -> Array:
        """All times from 0 on, output times among them."""
        first, *later = case.domain.output_times
        times = [first * (np.arange(options.steps + 1) / options.steps) ** POWER]
        size = first * POWER / options.steps
        for end in later:
            t = times[-1][-1]
            times.append(np.linspace(t, end, max(1, int(np.ceil((end - t) / size - 1e-9))) + 1)[1:])
        return np.concatenate(times)

    @staticmethod
    def _ordinates(case: "Case", eps: float, options: Any) -> int:
        return ORDINATES if eps >= SPLIT and make_split(case, eps) and not options.distribution else 1

    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        sides = (case.boundary.left, case.boundary.right)
        for side in sides:
            if side.kind not in KINDS:
                raise BadInput(f"boundary: micro_macro has no '{side.kind}' ends; take scheme = 'discrete_ordinates'")
        equation, velocity = case.equation, case.velocity
        split = make_split(case, eps) if eps >= SPLIT else None
        if (more := self._ordinates(case, eps, options)) > 1:
            velocity = DoubleGauss(nodes=more * velocity.nodes_and_weights()[0].size)
        nodes, weights = velocity.nodes_and_weights()
        v, w = nodes[nodes > 0], 2.0 * weights[nodes > 0]
        edges, x = self.mesh(case, options)
        n, m, h = x.size, v.size, np.diff(edges)
        periodic = sides[0].kind == "periodic"
        gap = np.concatenate([[x[0] - edges[0]], np.diff(x), [edges[-1] - x[-1]]])
        if periodic:
            gap[[0, -1]] = gap[0] + gap[-1]
        ones = np.ones(n)
        sigma_s, sigma_a = equation.sigma_s(x=x) * ones, equation.sigma_a(x=x) * ones
        sigma_face = (equation.sigma_s(x=edges) + eps**2 * equation.sigma_a(x=edges)) * np.ones(n + 1)
        ends = np.array([KINDS[side.kind] for side in sides])
        mesh = (h, gap, ends, v, w)
        physics = (eps, sigma_s + eps**2 * sigma_a, sigma_a, sigma_face)

        def parts(points: Array) -> tuple[Array, Array]:
            there = np.ones((points.size, m))
            plus, minus = (case.initial.f(x=points[:, None], v=u, eps=eps) * there for u in (v, -v))
            return 0.5 * (plus + minus), (plus - minus) / (2.0 * eps)

        r, j = parts(x)[0], parts(edges)[1]
        for side, at in zip(sides, (0, -1), strict=True):
            if side.kind == "specular":
                j[at] = 0.0
        rho = r @ w
        s = r - rho[:, None]
        start, first = float(h @ rho), 0
        if resume is not None:
            rho, s, j = (np.array(resume[name], dtype=float) for name in ("rho", "s", "j"))
            first = int(resume["step"])
        factors = (
            np.zeros((n + 1, m)), np.zeros((n + 1, m)), np.zeros(n + 1), np.zeros(2),
            np.zeros((n, m)), np.zeros(n), np.zeros((n, m)), np.zeros(n),
        )  # fmt: skip
        slopes = np.zeros((5, n)), np.zeros((5, n, m)), np.zeros((5, n + 1, m))
        work = (
            np.zeros(n), np.zeros((n, m)), np.zeros((n + 1, m)), np.zeros((n + 1, m)), np.zeros((n, m)),
            np.zeros(n), np.zeros(n + 1), np.zeros(n), np.zeros(m), np.zeros(n),
        )  # fmt: skip

        def source(t: float) -> Array:
            return split.source(t, x) if split else equation.source(x=x, t=t) * ones

        def inflow(t: float) -> Array:
            F = np.zeros((2, m))
            for row, side in zip(F, sides, strict=True):
                if side.kind == "inflow" and not split:
                    row[:] = side.f(t=t, v=v, eps=eps)
            return F

        times = self._times(case, options)
        outputs, closed = case.domain.output_times, not (sigma_a.any() or "inflow" in {side.kind for side in sides})
        closed = closed and not any(np.any(source(t)) for t in (0.0, *outputs))
        for step in range(first, times.size - 1):
            t, dt = times[step], times[step + 1] - times[step]
            used = advance(
                dt, rho, s, j,
                np.array([source(t + c * dt) for c in NODES]), np.array([inflow(t + c * dt) for c in NODES]),
                mesh, physics, factors, slopes, work,
            )  # fmt: skip
            t = times[step + 1]
            if used < 0 or not np.isfinite(rho).all():
                raise NumericalError(
                    f"the second-moment iteration does not converge at t = {t:g}, eps = {eps:g}; "
                    "more reference.steps may help"
                )
            progress = (step + 1) / (times.size - 1)
            if not any(t == end for end in outputs):
                yield Snapshot(progress, step + 1, eps, t)
                continue
            inner = 0.5 * (j[1:] + j[:-1])
            fields = {"rho": rho.copy(), "J": inner @ (w * v)}
            if split:
                fields["rho"] += split.moment(0, t, x)
                fields["J"] += split.moment(1, t, x)
            if options.distribution:
                even = rho[:, None] + s
                f = np.hstack([(even - eps * inner)[:, ::-1], even + eps * inner])
                fields["f"] = f + split.f(t, x[:, None], nodes) if split else f
            scalars = {}
            if closed:
                scalars["drift_mass"] = abs(float(h @ rho) - start) / max(abs(start), 1e-300)
            state = {"rho": rho.copy(), "s": s.copy(), "j": j.copy(), "t": t, "step": step + 1}
            yield Snapshot(progress, step + 1, eps, t, fields, scalars, state)
