r"""Fully implicit discrete ordinates (S_N) in the plane: DG(2) in x and y, SDIRK3 in t, sweeps with diffusion synthesis.

With $f = \varphi + \varepsilon g$ an implicit stage $f = f_h + \gamma\Delta t\,\dot f$ ($\alpha = 1/\gamma\Delta t$,
$f_h = \rho_h + \varepsilon g_h$ known) of the S_N DG system with upwind derivative $D_\omega$ is

$$ (\varepsilon^2\alpha + \sigma + \varepsilon\,\omega\cdot D_\omega)\,g = \sigma_S\langle g\rangle - \omega\cdot D_\omega\varphi
   + \varepsilon\big(Q + \alpha\rho_h - (\alpha + \sigma_A)\varphi\big) + \varepsilon^2\alpha\, g_h . $$

Without $\sigma_S\langle g\rangle$ one sweep gives g; the isotropic $\varphi$ is right when $\langle g\rangle = 0$.  The equation

$$ z(\varphi) := \varepsilon\langle g\rangle + P^{-1}\sigma_S\langle g\rangle/\varepsilon = 0, \qquad
   P = \alpha + \sigma_A - \nabla\cdot\tfrac{1}{2(\sigma+\varepsilon^2\alpha)}\nabla , $$

linear in $\varphi$, is solved by GMRES; its operator is near the identity for every eps and mesh, so that 3 to 8 sweeps do.
Residuals count relative to the distance from in-flow sides (entering traces: to a mean free path), else the layers, tiny as
they are, would never be solved and the outflow would not be that of the mass inside.
Written for g, neither $\varepsilon^2\partial_t$ nor the flux drowns in the collision term: at eps = 1e-8 round-off is 1e-8.

* x, y: orthonormal Legendre polynomials of degree 2 per direction (order 3).  Upwind DG of this kind has the full diffusion
  limit on rectangles (Adams 2001).  In-flow sides get a few cells in threefold steps from LAYER mean free paths up to 12, so
  boundary layers are resolved at every eps at the same cost: the mesh is made per eps, results are given on a uniform grid
  of its own, so that meshes that differ by two can be compared on it.
* t: L-stable SDIRK of order 3 (Alexander 1977) from a first step of 2^-RAMP of the full one, doubled every step.
* eps >= SPLIT and constant data: the uncollided part is exact along the rays (first-collision split), which removes the kinks
  that corners and walls send along single rays; only the collided rest is marched.
* periodic sides: the entering g belongs to the unknowns of GMRES.  A specular side needs none, for the sweep goes there first
  and back from there; only where two face each other one of them is iterated.
* data that do not depend on x, or on y, between equal sides: half the domain with a specular side in the middle, the same
  numbers at half the cost in each direction.

Number of steps and unknowns do not depend on eps.  References: Alexander (1977), SIAM J. Numer. Anal. 14, 1006, DOI
10.1137/0714068; Adams (2001), Nucl. Sci. Eng. 137, 298, DOI 10.13182/NSE00-41; Adams, Larsen (2002), Prog. Nucl. Energy 40,
3, DOI 10.1016/S0149-1970(01)00023-3 (diffusion synthesis); Warsa, Wareing, Morel (2004), Nucl. Sci. Eng. 147, 218, DOI
10.13182/NSE02-14 (Krylov).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ..problem.scheme import Array, SchemeOptions
from ..problem.scheme import Scheme as SchemeBase
from ..problem.status import BadInput, NumericalError, Snapshot
from ._diffusion_synthetic_2d import DiffusionSynthetic
from ._first_collision_2d import Uncollided, applies
from ._sweep_2d import LEFT, NEAR, RIGHT, SAME, combine, subtract_mean, sweep

if TYPE_CHECKING:
    from ..problem.case import Case

SPLIT = 0.2  # from this eps on, the uncollided part is taken exactly where the data allow it
RAMP = 6  # doublings before the full step
SHARE = 0.4  # of the steps, to every interval between output times
LEAST = 6  # elements of a coarse mesh
TOLERANCE = 3e-7  # of the iteration, relative to rho at the distance from an in-flow side
ROUND_OFF = 1e-14
GAMMA = 0.435866521508459
BLOCKS = 2  # of angles, by one thread each
B1 = -(6.0 * GAMMA**2 - 16.0 * GAMMA + 1.0) / 4.0
B2 = (6.0 * GAMMA**2 - 20.0 * GAMMA + 5.0) / 4.0
C2 = 0.5 * (1.0 + GAMMA)
#: f_h of the three stages as combinations of the old value and the earlier stages
HISTORY = (
    (1.0, 0.0, 0.0),
    (1.0 - (C2 - GAMMA) / GAMMA, (C2 - GAMMA) / GAMMA, 0.0),
    (
        1.0 - B1 / GAMMA - B2 / GAMMA * (1.0 - (C2 - GAMMA) / GAMMA),
        B1 / GAMMA - B2 / GAMMA * (C2 - GAMMA) / GAMMA,
        B2 / GAMMA,
    ),
)
NODES = (GAMMA, C2, 1.0)
WEIGHTS = (B1, B2, GAMMA)
SIDES = ("left", "right", "bottom", "top")


class Options(SchemeOptions):
    """`cells` of the result and `elements` of the mesh per direction, `steps` full steps in [0, t_end], `layer` at in-flow sides.

    elements  uniform cells of the mesh, apart from the layers; the result is its polynomials at the centres of `cells`
    steps     an interval between output times gets at least SHARE of them
    layer     width of the cell at an in-flow side, in mean free paths
    split     take the uncollided part exactly where the data allow it
    """

    scheme: str = "discrete_ordinates_2d"
    cells: int = Field(default=27, ge=3, le=2_000)
    elements: int = Field(default=24, ge=3, le=2_000)
    steps: int = Field(default=24, ge=1, le=100_000)
    layer: float = Field(default=0.15, gt=0.0, le=12.0)
    split: bool = True


def make_edges(lo: float, hi: float, cells: int, first: tuple[float, float], last: tuple[float, float]) -> Array:
    """Cell edges: uniform, with edges in threefold steps from `first` up to `last` (distances) at either end."""
    h = (hi - lo) / cells
    graded = []
    for smallest, largest in zip(first, last, strict=True):
        d = min(smallest, h / 20.0)
        steps = [d * 3.0**k for k in range(60) if d * 3.0**k < min(largest, 0.6 * h)]
        graded.append(steps if np.isfinite(smallest) else [])
    return np.array(
        sorted([*np.linspace(lo, hi, cells + 1), *(lo + d for d in graded[0]), *(hi - d for d in graded[1])])
    )


def basis(xi: Array) -> Array:
    """Orthonormal Legendre polynomials for the mean over [-1, 1], shape (..., 3)."""
    return np.polynomial.legendre.legvander(xi, 2) * np.sqrt([1.0, 3.0, 5.0])


def evaluation(edges: Array, x: Array) -> Array:
    """Matrix from the coefficients (cell, mode) to the values at x; the mean of both sides on an edge."""
    matrix = np.zeros((x.size, edges.size - 1, 3))
    for side in ("left", "right"):
        cell = np.clip(np.searchsorted(edges, x, side=side) - 1, 0, edges.size - 2)
        xi = 2.0 * (x - edges[cell]) / (edges[cell + 1] - edges[cell]) - 1.0
        matrix[np.arange(x.size), cell] += 0.5 * basis(xi)
    return matrix.reshape(x.size, -1)


def gmres(
    apply: Callable[[Array], Array], b: Array, size: float, tolerance: float, restart: int = 40
) -> tuple[Array, int]:
    """x with |b - A x| <= tolerance * size and the number of applications; plain GMRES, A near the identity."""
    x = np.zeros_like(b)
    norm = float(np.linalg.norm(b))
    Q, H = np.empty((restart + 1, b.size)), np.zeros((restart + 1, restart))
    used = 0
    while norm > tolerance * size and used < 400:
        Q[0] = (b - apply(x)) / norm if used else b / norm
        e = np.zeros(restart + 1)
        e[0] = norm
        for k in range(restart):
            q = apply(Q[k])
            used += 1
            for _ in range(2):  # twice is enough (Giraud, Langou, Rozloznik 2005)
                c = Q[: k + 1] @ q
                q = q - c @ Q[: k + 1]
                H[: k + 1, k] += c
            H[k + 1, k] = np.linalg.norm(q)
            Q[k + 1] = q / max(H[k + 1, k], 1e-300)
            y, *_ = np.linalg.lstsq(H[: k + 2, : k + 1], e[: k + 2], rcond=None)
            norm = float(np.linalg.norm(H[: k + 2, : k + 1] @ y - e[: k + 2]))
            if norm <= tolerance * size or not np.isfinite(norm):
                break
        x = x + y @ Q[: k + 1]
        H[:] = 0.0
        if not np.isfinite(norm):
            break
        if norm > tolerance * size:
            norm = float(np.linalg.norm(b - apply(x)))
            used += 1
    return x, used


def folds(case: "Case", options: Options) -> tuple[bool, bool]:
    """Whether the problem is its own mirror image in x, in y, told by its formulas, and the mesh has an edge in the middle."""
    sides, equation = case.boundary, case.equation
    inside = (equation.sigma_s, equation.sigma_a, equation.source, case.initial.f)
    result = []
    for (low, high), along, names in (
        ((sides.left, sides.right), (sides.bottom, sides.top), {"x", "v1"}),
        ((sides.bottom, sides.top), (sides.left, sides.right), {"y", "v2"}),
    ):
        formulas = (*inside, low.f, *(side.f for side in along))
        alike = low == high and low.kind == "inflow"
        result.append(alike and not options.elements % 2 and not any(f and names & set(f.names) for f in formulas))
    return result[0], result[1]


def folded(case: "Case", folds: tuple[bool, bool]) -> "Case":
    """The left half of a case, the lower half, with a specular side in the middle."""
    intervals, sides = {}, {}
    for fold, axis, far in zip(folds, "xy", ("right", "top"), strict=True):
        lo, hi = getattr(case.domain, axis)
        if fold:
            intervals[axis] = (lo, 0.5 * (lo + hi))
            sides[far] = type(getattr(case.boundary, far))(kind="specular")
    return case.model_copy(
        update={"domain": case.domain.model_copy(update=intervals), "boundary": case.boundary.model_copy(update=sides)}
    )


class Discretisation:
    """Mesh, directions, cross-sections and boundary kinds of one case and eps; arrays are coefficients (x, y, 9).

    fold    whether the mesh is the left half of the domain, the lower half
    """

    def __init__(self, case: "Case", eps: float, options: Options) -> None:
        self.fold = folds(case, options)
        case = folded(case, self.fold)
        self.case, self.eps, self.elements = case, eps, options.elements
        self.kinds = tuple(getattr(case.boundary, side).kind for side in SIDES)
        self.theta, self.w = case.velocity.nodes_and_weights()
        self.v1, self.v2 = np.cos(self.theta), np.sin(self.theta)
        self.edges = tuple(
            make_edges(*interval, options.elements // (1 + self.fold[axis]), *self._grading(case, eps, options, axis))
            for axis, interval in enumerate((case.domain.x, case.domain.y))
        )
        self.h1, self.h2 = (np.diff(edges) for edges in self.edges)
        self.area = self.h1[:, None] * self.h2
        self.xi, self.wq = np.polynomial.legendre.leggauss(5)
        self.phi = basis(self.xi)
        self.points = tuple(0.5 * (e[1:] + e[:-1])[:, None] + 0.5 * np.diff(e)[:, None] * self.xi for e in self.edges)
        x, y = self.mesh_points()
        equation = case.equation
        self.sigma_s = self.mass_matrix(equation.sigma_s(x=x, y=y))
        self.sigma_a = self.mass_matrix(equation.sigma_a(x=x, y=y))
        total = self.sigma_s + eps**2 * self.sigma_a
        self.total = np.ascontiguousarray(np.trace(total, axis1=2, axis2=3) / 9.0)
        self.rest = total - self.total[..., None, None] * np.eye(9)
        self.mean_a = np.trace(self.sigma_a, axis1=2, axis2=3) / 9.0
        self.absorbing = bool(np.any(self.sigma_a))
        self.constant = float(np.abs(self.rest).max()) < 1e-14 * float(np.abs(total).max())
        nx, ny, n = self.h1.size, self.h2.size, self.v1.size
        self.turn = tuple(
            1 if pair[1] == "specular" else 0 if pair[0] == "specular" else -1
            for pair in (self.kinds[:2], self.kinds[2:])
        )
        self.lagged = tuple(
            kind == "periodic" or (kind == "specular" and self.turn[s // 2] != s % 2)
            for s, kind in enumerate(self.kinds)
        )
        blocks = int(np.gcd(n // 4, BLOCKS))
        self.shape, self.trace_shapes = (nx, ny, 9), ((2, ny, 3, n), (2, nx, 3, n))
        self.mean, self.work = np.empty((blocks, nx, ny, 9)), np.empty((blocks, 33 + 3 * ny, n // 4 // blocks))
        self.enter = tuple(np.zeros(shape) for shape in self.trace_shapes)
        self.leave = tuple(np.zeros(shape) for shape in self.trace_shapes)
        self.nothing = np.zeros((1, 1, 1, 1))
        self.mirror = tuple(self._image(np.pi - self.theta) if s < 2 else self._image(-self.theta) for s in range(4))
        self.entering = (self.v1 > 0, self.v1 < 0, self.v2 > 0, self.v2 < 0)
        self.path = min(1.0, eps / float(self.total.mean()))
        self.depth = self._depth()[..., None]
        self.scale = self.area.size**-0.5 / self.depth
        self.sweeps = 0

    @staticmethod
    def _grading(case: "Case", eps: float, options: Options, axis: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        first, last = [], []
        lo, hi = (case.domain.x, case.domain.y)[axis]
        along = np.linspace(*(case.domain.y if axis == 0 else case.domain.x), 101)
        for side, at in zip(SIDES[2 * axis : 2 * axis + 2], (lo, hi), strict=True):
            here = {"x": at, "y": along} if axis == 0 else {"x": along, "y": at}
            path = eps / float((case.equation.sigma_s(**here) + eps**2 * case.equation.sigma_a(**here)).max())
            graded = getattr(case.boundary, side).kind == "inflow"
            first.append(max(options.layer * path, 1e-12 * (hi - lo)) if graded else np.inf)
            last.append(12.0 * path)
        return tuple(first), tuple(last)

    def _depth(self) -> Array:
        """Distance of the cells from the nearest in-flow side and a mean free path, in half widths of the domain; at most 1.

        Where nothing enters rho falls off like it: a residual divided by it leaves the outflow as exact as rho inside.
        """
        nearest = np.full(self.total.shape, np.inf)
        for s, kind in enumerate(self.kinds):
            if kind == "inflow":
                edges = self.edges[s // 2]
                away = np.abs(0.5 * (edges[1:] + edges[:-1]) - edges[-(s % 2)])
                nearest = np.minimum(nearest, away[:, None] if s < 2 else away)
        halves = [1.0 if "specular" in self.kinds[2 * axis : 2 * axis + 2] else 0.5 for axis in range(2)]
        half = min(part * float(np.ptp(edges)) for part, edges in zip(halves, self.edges, strict=True))
        return np.minimum((nearest + self.eps / self.total) / half, 1.0)

    def _image(self, angle: Array) -> Array:
        gap = np.abs(np.exp(1j * angle)[:, None] - np.exp(1j * self.theta))
        return gap.argmin(axis=1)

    def mesh_points(self) -> tuple[Array, Array]:
        """Gauss points of all cells, shapes (x, 1, 5, 1) and (1, y, 1, 5)."""
        return self.points[0][:, None, :, None], self.points[1][None, :, None, :]

    def project(self, values: Array) -> Array:
        """Values at the Gauss points (x, y, 5, 5, ...) -> coefficients (x, y, 9, ...)."""
        weighted = 0.5 * self.wq[:, None] * self.phi
        out = np.einsum("xypq...,pi,qj->xyij...", values, weighted, weighted, optimize=True)
        return np.ascontiguousarray(out.reshape(*out.shape[:2], 9, *out.shape[4:]))

    def mass_matrix(self, values: Array) -> Array:
        values = np.broadcast_to(values, (self.h1.size, self.h2.size, 5, 5))
        pair = np.einsum("q,qi,qj->qij", 0.5 * self.wq, self.phi, self.phi)
        out = np.einsum("xypq,pik,qjl->xyijkl", values, pair, pair, optimize=True)
        return np.ascontiguousarray(out.reshape(*out.shape[:2], 9, 9))

    def times(self, matrix: Array, u: Array) -> Array:
        return np.einsum("xykl,xyl->xyk", matrix, u)

    def inflow(self, t: float) -> None:
        """The entering traces of the in-flow sides, F/eps."""
        x, y = self.points
        weighted = 0.5 * self.wq[:, None] * self.phi
        for s, name in enumerate(SIDES):
            side = getattr(self.case.boundary, name)
            if side.kind != "inflow":
                continue
            keep, end = self.entering[s], self.edges[s // 2][0 if s % 2 == 0 else -1]
            here = {"x": end, "y": y[..., None]} if s < 2 else {"x": x[..., None], "y": end}
            F = side.f(t=t, **here, v1=self.v1[keep], v2=self.v2[keep], eps=self.eps)
            self.enter[s // 2][s % 2][..., keep] = np.einsum("cqa,qi->cia", F, weighted) / self.eps

    def derivatives(self, u: Array) -> tuple[Array, Array]:
        """Upwind DG derivatives of an isotropic u for either sign of v, each (2, x, y, 9); outside an in-flow side u = 0."""
        result = []
        for axis in (0, 1):
            c = u.reshape(*u.shape[:2], 3, 3)
            if axis:
                c = c.transpose(1, 0, 3, 2)
            h = (self.h1, self.h2)[axis][:, None, None, None]
            d = np.einsum("sik,xykj->sxyij", SAME, c)
            d[0, 1:] += np.einsum("ik,xykj->xyij", NEAR[0], c[:-1])
            d[1, :-1] += np.einsum("ik,xykj->xyij", NEAR[1], c[1:])
            for k, at, value, beyond in ((0, 0, LEFT, -1), (1, -1, RIGHT, 0)):
                kind = self.kinds[2 * axis + k]
                if kind == "periodic":
                    d[k, at] += np.einsum("ik,ykj->yij", NEAR[k], c[beyond])
                elif kind == "specular":  # the mirror image of an isotropic u is itself
                    sign = 1.0 if k else -1.0
                    d[k, at] += sign * np.einsum("i,k,ykj->yij", value, value, c[at])
            d /= h
            if axis:
                d = d.transpose(0, 2, 1, 4, 3)
            result.append(np.ascontiguousarray(d.reshape(2, *u.shape)))
        return result[0], result[1]

    def sweep(self, phi: Array, iso: Array, alpha: float, memory: Array | None = None, g: Array | None = None) -> Array:
        """<g> of one sweep, entering traces taken from `enter`, leaving ones put into `leave`."""
        tau = self.total + self.eps**2 * alpha
        repeats = 0
        if not self.constant:
            ratio = float((np.abs(self.rest).sum(axis=3).max(axis=2) / tau).max())
            if ratio > 0.8:
                raise BadInput(
                    f"reference.elements = {self.elements}: the cross-section varies by {ratio:.0%} in one; more are needed"
                )
            repeats = int(np.ceil(np.log(1e-12) / np.log(max(ratio, 1e-6))))
        d1, d2 = self.derivatives(phi)
        factor = 0.0 if memory is None else self.eps**2 * alpha
        keep = g is not None
        blank = self.nothing
        sweep(
            self.v1, self.v2, self.w, self.mirror[0], self.mirror[2], *self.turn, self.eps / self.h1, self.eps / self.h2,
            tau, self.rest, repeats, iso, d1, d2, blank if memory is None else memory, factor, *self.enter, *self.leave,
            blank if g is None else g, keep, self.mean, self.work,
        )  # fmt: skip
        self.sweeps += 1
        return self.mean.sum(axis=0)

    def fed_back(self) -> list[Array]:
        """eps times the traces that enter at the lagged sides, from what leaves."""
        result = []
        for s, kind in enumerate(self.kinds):
            if self.lagged[s]:
                specular = kind == "specular"
                images = self.mirror[s][self.entering[s]] if specular else self.entering[s]
                result.append(self.eps * self.leave[s // 2][s % 2 if specular else 1 - s % 2][..., images])
        return result

    def feed(self, traces: list[Array]) -> None:
        """Put eps times the entering traces of the lagged sides in place."""
        lagged = [s for s in range(4) if self.lagged[s]]
        for s, trace in zip(lagged, traces, strict=True):
            self.enter[s // 2][s % 2][..., self.entering[s]] = trace / self.eps

    def pack(self, phi: Array, traces: list[Array]) -> Array:
        widths = (self.h2, self.h2, self.h1, self.h1)
        lagged = [s for s in range(4) if self.lagged[s]]
        parts = [(phi * self.scale).ravel()]
        for s, trace in zip(lagged, traces, strict=True):
            parts.append((trace / self.path * np.sqrt(widths[s][:, None, None] * self.w[self.entering[s]])).ravel())
        return np.concatenate(parts)

    def unpack(self, vector: Array) -> tuple[Array, list[Array]]:
        widths = (self.h2, self.h2, self.h1, self.h1)
        size = self.area.size * 9
        phi, traces = vector[:size].reshape(self.shape) / self.scale, []
        for s in range(4):
            if self.lagged[s]:
                weight = np.sqrt(widths[s][:, None, None] * self.w[self.entering[s]]) / self.path
                shape = (widths[s].size, 3, weight.shape[2])
                count = int(np.prod(shape))
                traces.append(vector[size : size + count].reshape(shape) / weight)
                size += count
        return phi, traces

    def solve(
        self, P: DiffusionSynthetic, alpha: float, source: Array, rho_h: Array, g_h: Array, start: Array, g: Array
    ) -> Array:
        """One implicit stage: rho, with g filled; the entering traces of in-flow sides are in `enter`, `start` is packed."""
        eps = self.eps

        def update(phi: Array, traces: list[Array], mean: Array) -> Array:
            z = eps * mean + P.solve(self.times(self.sigma_s, mean) / eps)
            return self.pack(z, [new - old for new, old in zip(self.fed_back(), traces, strict=True)])

        def right(phi: Array) -> Array:
            loss = alpha * phi
            return loss + self.times(self.sigma_a, phi) if self.absorbing else loss

        phi, traces = self.unpack(start)
        self.feed(traces)
        mean = self.sweep(phi, eps * (source + alpha * rho_h - right(phi)), alpha, g_h)
        b = update(phi, traces, mean)
        kept = tuple(array.copy() for array in self.enter)
        for s in range(4):
            if not self.lagged[s]:
                self.enter[s // 2][s % 2] = 0.0

        def apply(vector: Array) -> Array:
            phi, traces = self.unpack(vector)
            self.feed(traces)
            return -update(phi, traces, self.sweep(phi, -eps * right(phi), alpha))

        # 1e-14 of the weighted norm is round-off where something enters, so that rho does not fall off to a side
        plain = np.full_like(b, self.path)
        plain[: rho_h.size] = np.broadcast_to(self.depth, self.shape).ravel()
        size = max(float(np.linalg.norm(weight * v)) for weight in (plain, ROUND_OFF / TOLERANCE) for v in (start, b))
        step, _ = gmres(apply, b, size, TOLERANCE)
        phi, traces = self.unpack(start + step)
        for array, old in zip(self.enter, kept, strict=True):
            array[...] = old
        self.feed(traces)
        mean = self.sweep(phi, eps * (source + alpha * rho_h - right(phi)), alpha, g_h, g)
        subtract_mean(g, mean)
        self.traces = traces
        return phi + eps * mean

    def outflow(self, rho: Array) -> float:
        """Mass that leaves through the in-flow sides per unit time, net."""
        total = 0.0
        c = rho.reshape(*rho.shape[:2], 3, 3)
        for s in range(4):
            if self.kinds[s] != "inflow":
                continue
            v, h = (self.v1, self.h2) if s < 2 else (self.v2, self.h1)
            normal = np.abs(v) * self.w
            out = ~self.entering[s]
            value = RIGHT if s % 2 else LEFT
            edge = -1 if s % 2 else 0
            mean = np.einsum("xi,i->x", c[edge, :, :, 0] if s < 2 else c[:, edge, 0, :], value)
            leaving = self.leave[s // 2][s % 2][:, 0] @ (normal * out) + mean * normal[out].sum() / self.eps
            total += float(h @ (leaving - self.enter[s // 2][s % 2][:, 0] @ (normal * self.entering[s])))
        return total


class Place:
    """The fields at the points of a result's grid; beyond a fold they are mirror images, on it the mean of both sides.

    side    per axis 1 before the fold, 0 on it, -1 beyond, for every point
    """

    def __init__(self, mesh: Discretisation, centres: Mapping[str, Array]) -> None:
        self.mesh, self.matrices, self.side = mesh, [], []
        for axis, edges in enumerate(mesh.edges):
            before = edges[-1] - centres["xy"[axis]]
            before[np.abs(before) < 1e-12 * np.ptp(edges)] = 0.0
            self.side.append(np.sign(before) if mesh.fold[axis] else np.ones(before.size))
            self.matrices.append(evaluation(edges, edges[-1] - np.abs(before)))

    def at_centres(self, u: Array, odd: tuple[bool, bool] = (False, False)) -> Array:
        """Coefficients (x, y, 9) at the centres; `odd` if the mirror image in x, in y changes the sign."""
        nx, ny = u.shape[:2]
        left, right = (
            (side if o else np.ones_like(side))[:, None, None] * matrix.reshape(side.size, -1, 3)
            for matrix, side, o in zip(self.matrices, self.side, odd, strict=True)
        )
        return np.einsum("Xxi,xyij,Yyj->XY", left, u.reshape(nx, ny, 3, 3), right, optimize=True)

    def fields(self, rho: Array, g: Array, distribution: bool) -> dict[str, Array]:
        """rho, J1, J2 and, if wanted, f (x, y, angle)."""
        mesh = self.mesh
        fields = {
            "rho": self.at_centres(rho),
            "J1": self.at_centres(g @ (mesh.w * mesh.v1), (True, False)),
            "J2": self.at_centres(g @ (mesh.w * mesh.v2), (False, True)),
        }
        if distribution:
            f = np.stack([self.at_centres(g[..., k]) for k in range(mesh.w.size)], axis=-1)
            f = fields["rho"][..., None] + mesh.eps * f
            there = 0.5 + 0.5 * self.side[0][:, None, None], 0.5 + 0.5 * self.side[1][:, None]
            for own, mirror in zip(there, (mesh.mirror[0], mesh.mirror[2]), strict=True):
                f = own * f + (1.0 - own) * f[..., mirror]
            fields["f"] = f
        return fields


class Scheme(SchemeBase):
    """Implicit S_N with DG(2), SDIRK3 and diffusion-synthetic GMRES."""

    equations = ("transport_2d",)
    order = (3, 3)
    asymptotic_preserving = True
    conserves = ("mass",)
    positive = False
    rate = 2.4e6
    references = (
        "alexander1977diagonally",
        "adams2001discontinuous",
        "adams2002fast",
        "wang2010diffusion",
        "warsa2004krylov",
    )
    ratio = 2
    small = ("reference.cells=9", "reference.elements=6", "velocity.nodes=8", "reference.steps=4")
    Options = Options

    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        centres = {}
        for axis, (lo, hi) in (("x", case.domain.x), ("y", case.domain.y)):
            centres[axis] = lo + (hi - lo) * (np.arange(options.cells) + 0.5) / options.cells
        return {**centres, "v": case.velocity.nodes_and_weights()[0]}

    def coarser(self, options: Any) -> Any | None:
        if options.elements % 2 or options.elements < 2 * LEAST:
            return None
        update = {
            "elements": options.elements // 2,
            "steps": max(1, options.steps // 2),
            "layer": min(12.0, options.layer * 2.0),
        }
        return options.model_copy(update=update)

    def finer(self, options: Any) -> Any | None:
        update = {"elements": options.elements * 2, "steps": options.steps * 2, "layer": options.layer / 2.0}
        return options.model_copy(update=update)

    def expected_order(self, case: "Case", eps: float) -> float:
        """1/2 within a mean free time: the front t/eps from the walls, a kink of the collided rest, lies anywhere in a cell."""
        if eps >= SPLIT and applies(case) and case.domain.output_times[0] * case.equation.sigma_s.constant < eps**2:
            return 0.5
        return super().expected_order(case, eps)

    def resolution(self, options: Any) -> int:
        return int(options.elements)

    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        mesh = Discretisation(case, eps, options)
        unknowns = mesh.area.size * 9 * (mesh.v1.size + 1)
        steps = sum(count for _, count in self._schedule(case, options))
        return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * (6 * unknowns + 80 * 9 * mesh.area.size)}

    @staticmethod
    def _schedule(case: "Case", options: Any) -> list[tuple[float, int]]:
        """(step size, number of steps) in order; the end of some entry falls on every output time."""
        plan, t = [], 0.0
        full = case.domain.t_end / options.steps
        for i, end in enumerate(case.domain.output_times):
            ramp = 2.0 ** np.arange(-RAMP, 0) if i == 0 else np.zeros(0)
            count = max(1, int(np.ceil(max((end - t) / full, SHARE * options.steps) - ramp.sum() - 1e-9)))
            size = (end - t) / (count + ramp.sum())
            plan += [*((size * part, 1) for part in ramp), (size, count)]
            t = end
        return plan

    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        mesh = Discretisation(case, eps, options)
        equation = case.equation
        x, y = mesh.mesh_points()
        rays = Uncollided(case, eps) if options.split and eps >= SPLIT and applies(case) else None
        rho, g = (
            (np.zeros(mesh.shape), np.zeros((*mesh.shape, mesh.v1.size))) if rays else self._initial(case, eps, mesh)
        )
        packed = mesh.pack(rho, [np.zeros((n, 3, len(mesh.v1) // 2)) for n in self._lagged_lengths(mesh)])
        rate, mass, t, skip = np.zeros_like(rho), float((mesh.area * rho[..., 0]).sum()), 0.0, 0
        if resume is not None:
            rho, g, packed, rate = (np.array(resume[key], dtype=float) for key in ("rho", "g", "packed", "rate"))
            mass, t, skip = float(resume["mass"]), float(resume["t"]), int(resume["step"])
        plan = self._schedule(case, options)
        total = sum(count for _, count in plan)
        closed = "inflow" not in mesh.kinds and not mesh.absorbing
        stages, memory = [np.zeros_like(g) for _ in range(3)], np.empty_like(g)

        def source_at(t: float) -> Array:
            if rays is not None:
                return equation.sigma_s.constant / eps**2 * mesh.project(rays.moments(t, x, y)[0])
            return mesh.project(equation.source(x=x, y=y, t=t))

        steady = "t" not in equation.source.names and rays is None
        moving = any(
            getattr(case.boundary, s).f is not None and "t" in getattr(case.boundary, s).f.names for s in SIDES
        )
        source = source_at(0.0)
        if rays is None:
            mesh.inflow(0.0)
        place = Place(mesh, self.coordinates(case, options))
        times, output, done, clock = case.domain.output_times, 0, 0, 0.0
        for dt, count in plan:
            P = None
            for _ in range(count):
                done += 1
                clock += dt
                hit = output < len(times) and abs(clock - times[output]) <= 1e-9 * times[output]
                output += hit
                if done <= skip:
                    continue
                alpha = 1.0 / (GAMMA * dt)
                if P is None:
                    P = DiffusionSynthetic(mesh.h1, mesh.h2, mesh.total, mesh.mean_a, alpha, eps, mesh.kinds)
                values = [rho, rho, rho]
                passed = 0.0
                for stage, (a, c) in enumerate(zip(HISTORY, NODES, strict=True)):
                    rho_h = a[0] * rho + a[1] * values[0] + a[2] * values[1]
                    combine(memory, a[0], g, a[1], stages[0], a[2], stages[1])
                    if not steady:
                        source = source_at(t + c * dt)
                    if moving:
                        mesh.inflow(t + c * dt)
                    size = mesh.area.size * 9
                    guess = packed.copy()
                    guess[:size] = ((rho_h + GAMMA * dt * rate) * mesh.scale).ravel()
                    new = mesh.solve(P, alpha, source, rho_h, memory, guess, stages[stage])
                    gain = float((mesh.area * source[..., 0]).sum())
                    if closed:  # the flux of size 1/eps leaves a round-off in the total mass that is known to be zero
                        there = float((mesh.area * (new - rho_h)[..., 0]).sum())
                        new[..., 0] += (gain / alpha - there) / mesh.area.sum()
                    gain -= mesh.outflow(new)
                    if mesh.absorbing:
                        gain -= float((mesh.area * mesh.times(mesh.sigma_a, new)[..., 0]).sum())
                    passed += WEIGHTS[stage] * dt * gain
                    values[stage] = new
                    packed = mesh.pack(new, mesh.traces)
                    rate = alpha * (new - rho_h)
                rho, mass, t = values[2], mass + passed, clock
                g, stages[2] = stages[2], g
                if not np.isfinite(rho).all():
                    raise NumericalError(f"rho is not finite at t = {t:g}, eps = {eps:g}")
                if not hit:
                    yield Snapshot(done / total, done, eps, t)
                    continue
                there = float((mesh.area * rho[..., 0]).sum())
                scalars = {"drift_mass": abs(there - mass) / max(abs(mass), 1e-300), "sweeps": float(mesh.sweeps)}
                state = {"rho": rho.copy(), "g": g.copy(), "packed": packed, "rate": rate, "mass": mass, "t": t}
                fields = place.fields(rho, g, options.distribution)
                if rays is not None:
                    centres = self.coordinates(case, options)
                    X, Y = centres["x"][:, None], centres["y"]
                    for name, part in zip(("rho", "J1", "J2"), rays.moments(t, X, Y), strict=True):
                        fields[name] = fields[name] + part
                    if options.distribution:
                        fields["f"] = fields["f"] + rays.f(t, X[..., None], Y[:, None], mesh.v1, mesh.v2)
                yield Snapshot(done / total, done, eps, t, fields, scalars, {**state, "step": done})

    @staticmethod
    def _lagged_lengths(mesh: Discretisation) -> list[int]:
        lengths = (mesh.h2.size, mesh.h2.size, mesh.h1.size, mesh.h1.size)
        return [n for n, lagged in zip(lengths, mesh.lagged, strict=True) if lagged]

    @staticmethod
    def _initial(case: "Case", eps: float, mesh: Discretisation) -> tuple[Array, Array]:
        x, y = mesh.mesh_points()
        f = np.empty((*mesh.shape, mesh.v1.size))
        for k, (v1, v2) in enumerate(zip(mesh.v1, mesh.v2, strict=True)):
            f[..., k] = mesh.project(case.initial.f(x=x, y=y, v1=v1, v2=v2, eps=eps))
        rho = f @ mesh.w
        return rho, (f - rho[..., None]) / eps
