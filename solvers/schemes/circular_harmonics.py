r"""Even-parity circular harmonics (P_N) in the plane: continuous quadratic elements, SDIRK2 in t, one sparse LU per step size.

With the parities $f(\pm\omega) = r \pm \varepsilon j$ an implicit stage ($\alpha = 1/\gamma\Delta t$, index h: known) gives
$s\,j = \varepsilon^2\alpha j_h - \omega\cdot\nabla r$, $s = \sigma + \varepsilon^2\alpha$, and for every even test function w

$$ \int\big\langle \alpha r w + \tfrac{\sigma}{\varepsilon^2} r w - \tfrac{\sigma_S}{\varepsilon^2}\langle r\rangle w
   + \tfrac1s(\omega\cdot\nabla r)(\omega\cdot\nabla w)\big\rangle
   + \frac1\varepsilon\oint\langle|n\cdot\omega|\,r w\rangle
   = \int\big\langle (Q + \alpha r_h)\,w + \tfrac{\varepsilon^2\alpha}{s} j_h\,\omega\cdot\nabla w\big\rangle
   + \frac2\varepsilon\oint\langle|n\cdot\omega| F w\rangle_{n\cdot\omega<0} . $$

r: harmonics of even order below N, j: of odd order up to N, at the Gauss points.  The in-flow condition is the natural one of
this symmetric, coercive form, so energy decays for every N, step and eps; the equation of <r> holds no 1/eps^2 and tends to
that of diffusion (AP).  Order 2 in t, 3 in x and y; spectral in N inside, slow where f jumps at grazing directions.  It shares
neither angles, mesh, boundary treatment nor solver with `discrete_ordinates_2d`, which it checks.  Constant cross-sections and
in-flow sides only.

References: Egger, Schlottbom (2012), Math. Models Methods Appl. Sci. 22, 1150014, DOI 10.1142/S021820251150014X (mixed
variational form); Lewis, Miller (1993), Computational Methods of Neutron Transport, chapter 6 (even parity); Alexander (1977),
SIAM J. Numer. Anal. 14, 1006, DOI 10.1137/0714068.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from pydantic import Field
from scipy.sparse.linalg import splu

from ..problem.scheme import Array, SchemeOptions
from ..problem.scheme import Scheme as SchemeBase
from ..problem.status import BadInput, NumericalError, Snapshot

if TYPE_CHECKING:
    from ..problem.case import Case

GAMMA = 1.0 - 0.5**0.5
SIDES = ("left", "right", "bottom", "top")
LEVELS = 4  # step sizes: doubled so often before the full one
LEAST = 5  # elements of a coarse mesh
ANGLES = 4000  # midpoint rule for the half-range integrals of the boundary


class Options(SchemeOptions):
    """`cells` of the result and `elements` of the mesh per direction, `harmonics` N (odd), `steps` full steps in [0, t_end]."""

    scheme: str = "circular_harmonics"
    cells: int = Field(default=27, ge=3, le=2_000)
    elements: int = Field(default=20, ge=3, le=2_000)
    harmonics: int = Field(default=7, ge=1, le=99)
    steps: int = Field(default=40, ge=1, le=100_000)


def harmonics(orders: range, theta: Array) -> Array:
    """Orthonormal (for the mean) real harmonics of the given orders, shape (mode, theta)."""
    rows = []
    for m in orders:
        rows += [np.ones_like(theta)] if m == 0 else [2**0.5 * np.cos(m * theta), 2**0.5 * np.sin(m * theta)]
    return np.array(rows)


def quadratic(xi: Array) -> tuple[Array, Array]:
    """Lagrange polynomials of -1, 0, 1 and their derivatives at xi, shapes (xi, 3)."""
    values = np.stack([0.5 * xi * (xi - 1.0), 1.0 - xi**2, 0.5 * xi * (xi + 1.0)], axis=-1)
    return values, np.stack([xi - 0.5, -2.0 * xi, xi + 0.5], axis=-1)


def make_edges(lo: float, hi: float, elements: int, path: float) -> Array:
    """Uniform elements; those at the ends cut at 0.4, 2 and 8 mean free paths and at 1/4 as far as they reach."""
    h = (hi - lo) / elements
    cuts = sorted({d for d in (0.4 * path, 2.0 * path, 8.0 * path) if d < 0.2 * h} | {0.06 * h, 0.25 * h})
    cuts = [d for k, d in enumerate(cuts) if k == 0 or d > 1.5 * cuts[k - 1]]
    return np.array(sorted([*np.linspace(lo, hi, elements + 1), *(lo + d for d in cuts), *(hi - d for d in cuts)]))


class _Line:
    """Continuous quadratic elements on one interval: values E and derivatives D at the Gauss points, their weights w."""

    def __init__(self, edges: Array) -> None:
        self.edges, n, h = edges, edges.size - 1, np.diff(edges)
        xi, wq = np.polynomial.legendre.leggauss(3)
        values, slopes = quadratic(xi)
        rows = np.repeat(np.arange(3 * n), 3)
        columns = (2 * np.arange(n)[:, None, None] + np.arange(3) + np.zeros((3, 1), dtype=int)).ravel()
        shape = (3 * n, 2 * n + 1)
        self.E = sp.csr_array((np.tile(values.ravel(), n), (rows, columns)), shape=shape)
        self.D = sp.csr_array(((slopes * (2.0 / h)[:, None, None]).ravel(), (rows, columns)), shape=shape)
        self.x = (0.5 * (edges[1:] + edges[:-1])[:, None] + 0.5 * h[:, None] * xi).ravel()
        self.w = (0.5 * h[:, None] * wq).ravel()
        W = sp.diags_array(self.w)
        self.M, self.K, self.C = self.E.T @ W @ self.E, self.D.T @ W @ self.D, self.D.T @ W @ self.E
        self.size = 2 * n + 1
        self.ends = [sp.csr_array(([1.0], ([k], [k])), shape=(self.size, self.size)) for k in (0, self.size - 1)]

    def at(self, x: Array) -> Array:
        """Matrix from nodal values to values at x."""
        cell = np.clip(np.searchsorted(self.edges, x) - 1, 0, self.edges.size - 2)
        lo, hi = self.edges[cell], self.edges[cell + 1]
        matrix = np.zeros((x.size, self.size))
        matrix[np.arange(x.size)[:, None], 2 * cell[:, None] + np.arange(3)] = quadratic(
            2.0 * (x - lo) / (hi - lo) - 1.0
        )[0]
        return matrix


class Scheme(SchemeBase):
    """Even-parity P_N with continuous quadratic elements and SDIRK2."""

    equations = ("transport_2d",)
    order = (2, 3)
    asymptotic_preserving = True
    conserves = ("mass",)
    positive = False
    ratio = 2
    references = ("egger2012mixed", "alexander1977diagonally")
    small = ("reference.cells=9", "reference.elements=6", "reference.harmonics=3", "reference.steps=4")
    Options = Options

    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        centres = {}
        for axis, (lo, hi) in (("x", case.domain.x), ("y", case.domain.y)):
            centres[axis] = lo + (hi - lo) * (np.arange(options.cells) + 0.5) / options.cells
        return centres

    def coarser(self, options: Any) -> Any | None:
        if options.elements % 2 or options.elements < 2 * LEAST:
            return None
        return options.model_copy(update={"elements": options.elements // 2, "steps": max(1, options.steps // 2)})

    def resolution(self, options: Any) -> int:
        return int(options.elements)

    def fewer_velocities(self, case: "Case", options: Any) -> "tuple[Case, Any] | None":
        fewer = 2 * (options.harmonics // 3) + 1
        return (case, options.model_copy(update={"harmonics": fewer})) if fewer < options.harmonics else None

    @staticmethod
    def _schedule(case: "Case", options: Any) -> list[tuple[float, int]]:
        """(step size, number of steps) in order; the end of some entry falls on every output time."""
        plan, t, full = [], 0.0, case.domain.t_end / options.steps
        for i, end in enumerate(case.domain.output_times):
            ramp = 2.0 ** np.arange(-LEVELS, 0) if i == 0 else np.zeros(0)
            count = max(1, int(np.ceil((end - t) / full - ramp.sum() - 1e-9)))
            size = (end - t) / (count + ramp.sum())
            plan += [*((size * part, 1) for part in ramp), (size, count)]
            t = end
        return plan

    @staticmethod
    def _lines(case: "Case", eps: float, options: Any) -> tuple[_Line, _Line]:
        equation = case.equation
        if equation.sigma_s.constant is None or equation.sigma_a.constant is None:
            raise BadInput("circular_harmonics takes constant sigma_s and sigma_a; discrete_ordinates_2d takes any")
        for side in SIDES:
            if getattr(case.boundary, side).kind != "inflow":
                raise BadInput(
                    f"boundary.{side}: circular_harmonics takes 'inflow' sides only; discrete_ordinates_2d takes all"
                )
        path = eps / equation.sigma_s.constant
        x, y = (_Line(make_edges(*interval, options.elements, path)) for interval in (case.domain.x, case.domain.y))
        return x, y

    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        x, y = self._lines(case, eps, options)
        unknowns = x.size * y.size * options.harmonics
        steps = sum(count for _, count in self._schedule(case, options))
        return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * unknowns * options.harmonics * 150.0}

    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        if options.harmonics % 2 == 0:
            raise BadInput(
                f"reference.harmonics = {options.harmonics}: N must be odd, for example {options.harmonics + 1}"
            )
        X, Y = self._lines(case, eps, options)
        sigma_s, sigma_a = case.equation.sigma_s.constant, case.equation.sigma_a.constant
        sigma = sigma_s + eps**2 * sigma_a
        theta = 2.0 * np.pi * (np.arange(ANGLES) + 0.5) / ANGLES
        even, odd = (
            harmonics(range(0, options.harmonics, 2), theta),
            harmonics(range(1, options.harmonics + 1, 2), theta),
        )
        v1, v2 = np.cos(theta), np.sin(theta)
        A1, A2 = odd * v1 @ even.T / ANGLES, odd * v2 @ even.T / ANGLES
        B1, B2 = (even * np.abs(v) @ even.T / ANGLES for v in (v1, v2))
        modes, shape = len(even), (len(even), X.size, Y.size)
        mass = sp.kron(X.M, Y.M, format="csr")

        def matrix(alpha: float) -> sp.csc_array:
            s = sigma + eps**2 * alpha
            rates = np.full(modes, alpha + sigma / eps**2)
            rates[0] = alpha + sigma_a  # the difference of the two collision terms, not left to round-off
            local = np.diag(rates)
            total = sp.kron(local, mass)
            total = total + sp.kron(A1.T @ A1 / s, sp.kron(X.K, Y.M)) + sp.kron(A2.T @ A2 / s, sp.kron(X.M, Y.K))
            cross = sp.kron(A1.T @ A2 / s, sp.kron(X.C, Y.C.T))
            total = total + cross + cross.T
            total = total + sp.kron(B1 / eps, sp.kron(X.ends[0] + X.ends[1], Y.M))
            return sp.csc_array(total + sp.kron(B2 / eps, sp.kron(X.M, Y.ends[0] + Y.ends[1])))

        def load(t: float) -> Array:
            b = np.zeros(shape)
            Q = case.equation.source(x=X.x[:, None], y=Y.x, t=t)
            b[0] = X.E.T @ (X.w[:, None] * Q * Y.w) @ Y.E
            for s, name in enumerate(SIDES):
                entering = (v1 > 0, v1 < 0, v2 > 0, v2 < 0)[s]
                line, v, end = (Y, v1, case.domain.x[s % 2]) if s < 2 else (X, v2, case.domain.y[s % 2])
                here = {"x": end, "y": line.x[:, None]} if s < 2 else {"x": line.x[:, None], "y": end}
                F = getattr(case.boundary, name).f(t=t, **here, v1=v1[entering], v2=v2[entering], eps=eps)
                part = even[:, entering] @ (np.abs(v[entering]) * F).T / ANGLES * 2.0 / eps
                edge = 0 if s % 2 == 0 else -1
                if s < 2:
                    b[:, edge] += (part * line.w) @ line.E
                else:
                    b[:, :, edge] += (part * line.w) @ line.E
            return b

        def gradient(r: Array) -> Array:
            """omega . grad r at the Gauss points, in odd modes."""
            d1 = np.array([X.D @ u @ Y.E.T for u in r])
            d2 = np.array([X.E @ u @ Y.D.T for u in r])
            return np.tensordot(A1, d1, 1) + np.tensordot(A2, d2, 1)

        def against_gradient(j: Array) -> Array:
            weighted = j * X.w[:, None] * Y.w
            one, two = np.tensordot(A1.T, weighted, 1), np.tensordot(A2.T, weighted, 1)
            return np.array([X.D.T @ a @ Y.E + X.E.T @ b @ Y.D for a, b in zip(one, two, strict=True)])

        f = case.initial.f(x=X.x[:, None, None], y=Y.x[:, None], v1=v1[::20], v2=v2[::20], eps=eps)
        coarse_even, coarse_odd = even[:, ::20], odd[:, ::20]
        j = np.einsum("xya,ma->mxy", f, coarse_odd) * (20 / ANGLES / eps)
        at_points = np.einsum("xya,ma->mxy", f, coarse_even) * (20 / ANGLES)
        start = np.array([(X.E.T @ (X.w[:, None] * u * Y.w) @ Y.E).ravel() for u in at_points])
        r = splu(sp.csc_array(mass)).solve(start.T).T.reshape(shape)
        t, skip = 0.0, 0
        if resume is not None:
            r, j = (np.array(resume[key], dtype=float) for key in ("r", "j"))
            t, skip = float(resume["t"]), int(resume["step"])
        axes = self.coordinates(case, options)
        left, right = X.at(axes["x"]), Y.at(axes["y"])
        plan = self._schedule(case, options)
        total, times, output, done, clock = sum(count for _, count in plan), case.domain.output_times, 0, 0, 0.0
        for dt, count in plan:
            lu = None
            alpha = 1.0 / (GAMMA * dt)
            s = sigma + eps**2 * alpha
            for _ in range(count):
                done += 1
                clock += dt
                hit = output < len(times) and abs(clock - times[output]) <= 1e-9 * times[output]
                output += hit
                if done <= skip:
                    continue
                if lu is None:
                    lu = splu(
                        matrix(alpha),
                        permc_spec="MMD_AT_PLUS_A",
                        diag_pivot_thresh=0.0,
                        options={"SymmetricMode": True},
                    )
                r_h, j_h = r, j
                for stage in (GAMMA, 1.0):
                    b = load(t + stage * dt) + eps**2 * alpha / s * against_gradient(j_h)
                    b = b + alpha * (mass @ r_h.reshape(modes, -1).T).T.reshape(shape)
                    new_r = lu.solve(b.ravel()).reshape(shape)
                    new_j = (eps**2 * alpha * j_h - gradient(new_r)) / s
                    if stage < 1.0:
                        share = (1.0 - GAMMA) / GAMMA
                        r_h, j_h = r + share * (new_r - r), j + share * (new_j - j)
                r, j, t = new_r, new_j, clock
                if not np.isfinite(r).all():
                    raise NumericalError(f"rho is not finite at t = {t:g}, eps = {eps:g}")
                if not hit:
                    yield Snapshot(done / total, done, eps, t)
                    continue
                state = {"r": r.copy(), "j": j.copy(), "t": t, "step": done}
                yield Snapshot(done / total, done, eps, t, {"rho": left @ r[0] @ right.T}, {}, state)
