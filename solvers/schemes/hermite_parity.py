r"""Asymptotic-preserving parity scheme for the semiconductor Boltzmann-Poisson equation: Hermite modes in v, RODAS4 in t.

With the normalised Hermite functions $\psi_n = He_n(v/\sqrt\theta) M/\sqrt{n!}$ and $f = \sum_{n<N} a_n\psi_n$, N even,

$$ \varepsilon\,\dot a_n + \sqrt{n\theta}\,\Big(\partial_x + \frac E\theta\Big)a_{n-1} + \sqrt{(n+1)\theta}\,\partial_xa_{n+1}
   = -\frac{r_n}\varepsilon a_n , \qquad r_0 = 0,\quad
   r_n = 1 + \varepsilon\kappa\sqrt\theta\Big(\frac n{N-1}\Big)^8 , $$

the even modes e_m = a_{2m} at the centres of cells, the odd ones o_m = a_{2m+1}/eps at the faces (parities), the density being
e_0 and the flux $J = \sqrt\theta\,o_0$.  This is collocation at the N Gauss-Hermite nodes of the case, written in modes: the
field becomes a two-term recursion, and rho an unknown of its own, so that nothing drowns in 1/eps.

* x: with $w = e^{-\Phi/\theta}$, $\partial_x + E/\theta = w^{-1}\partial_x w$ is differenced exactly so (Scharfetter-Gummel's
  logarithmic mean of w at the faces), and is the adjoint of the plain difference in the weight w: for fixed Phi the discrete
  relative entropy $\sum w\,a^2$ falls whatever the step, and $\rho = Ce^{\Phi/\theta}$, J = 0 is an exact steady state.  Order 2.
* contacts: what enters is c M at every node, so the even part there is $c - (\pm)\varepsilon Ro$, with R the exchange of odd
  and even polynomials on half of the nodes (orthogonal); o obeys its own equation on the half cell.  Kinetic layers there,
  of size eps J and width eps times the smallest node, converge with order 1 until h is below their width.
* t: RODAS4 (order 4, L-stable, stiffly accurate, with the exact Jacobian, Poisson as algebraic equation); steps doubled from
  t_end/steps/2^LEVELS, so that initial layers are graded into, or damped by L-stability.  The same steps for every eps.
* linear systems: o eliminated face by face, block tridiagonal over the cells; cells N^3/4 multiplications a step.
* the absorption kappa in r_n stops waves from returning from the truncated end of the series (recurrence): a wave of wave number
  k runs up the modes and back with the speed $2k\sqrt{n\theta}/\varepsilon$ and loses $e^{-\kappa\sqrt N/(8.5k)}$; layers of
  width s in the data make $e^{-\pi ks/2}$ of it, so that at most $e^{-\sqrt{0.74\,\kappa s\sqrt N}}$ returns: 1e-4 for layers of a
  fiftieth of the device and 96 nodes.  It acts on the last third of the modes only, and vanishes with eps.
* where the field draws electrons in, it carries the jump that f has at v = 0 of a contact into the device: within a mean free path
  of it errors fall like N^(-1/2).

In the limit eps -> 0 the scheme is RODAS4 with Scharfetter-Gummel fluxes for drift-diffusion-Poisson: asymptotic-preserving,
with steps, unknowns and cost independent of eps.  A velocity of size u needs modes until u^n/sqrt(n!) is small; the march
refuses (BadInput) a set that is too narrow for max|E| eps.

References: Hairer, Wanner (1996), Solving Ordinary Differential Equations II, DOI 10.1007/978-3-642-05221-7, section VI.4
(RODAS); Scharfetter, Gummel (1969), DOI 10.1109/T-ED.1969.16566; Jin, Pareschi (2000), J. Comput. Phys. 161, 312, DOI
10.1006/jcph.2000.6506 (parities); Schmeiser, Zwirchmayr (1998), SIAM J. Numer. Anal. 36, 74, DOI
10.1137/S0036142996304516 (moment methods); Parker, Dellar (2015), J. Plasma Phys. 81, 305810203, DOI
10.1017/S0022377814001287 (recurrence and its damping in Hermite modes).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field
from scipy.linalg import solve_banded
from scipy.special import gammaln

from ..problem.maxwellian import maxwellian
from ..problem.refinement import RefinedOptions
from ..problem.scheme import COARSER, Array
from ..problem.scheme import Scheme as SchemeBase
from ..problem.status import BadInput, NumericalError, Snapshot
from ._hermite_kernels import STAGES, advance

if TYPE_CHECKING:
    from ..problem.case import Case

LEVELS = 12  # doublings of the step
ABSORPTION = 600.0  # kappa times the length of the device
NARROW = 0.1  # largest relative size of the first neglected mode


class Options(RefinedOptions):
    """`cells`, `steps` of full size over t_end, `repeat` steps before each doubling at the start; `refine` for small eps."""

    scheme: str = "hermite_parity"
    cells: int = Field(default=405, ge=8, le=100_000)
    steps: int = Field(default=108, ge=1, le=100_000)
    repeat: int = Field(default=3, ge=1, le=1000)


def hermite(z: Array, count: int) -> Array:
    """Normalised Hermite polynomials He_n(z)/sqrt(n!), shape (count, z)."""
    h = np.ones((count, z.size))
    h[1:2] = z
    for n in range(1, count - 1):
        h[n + 1] = (z * h[n] - np.sqrt(n) * h[n - 1]) / np.sqrt(n + 1.0)
    return h


def exchange(v: Array, w: Array, theta: float) -> Array:
    """R: values of odd modes on the nodes v > 0 as even modes, shape (even, odd)."""
    ahead = v > 0
    h = hermite(v[ahead] / np.sqrt(theta), v.size)
    return np.ascontiguousarray((h[0::2] * (2.0 * w * maxwellian(1.0, 0.0, theta, v))[ahead]) @ h[1::2].T)


def schedule(case: "Case", options: Options) -> tuple[Array, list[int]]:
    """All step sizes, and the numbers of steps after which the output times are reached."""
    full = case.domain.t_end / options.steps
    t, sizes, reached = 0.0, [], []
    for end in case.domain.output_times:
        while t < end * (1.0 - 1e-12):
            size = full * 0.5 ** max(LEVELS - len(sizes) // options.repeat, 0)
            left = end - t
            size = left / np.ceil(left / size - 1e-9) if left < 3.0 * size else size
            sizes.append(float(size))
            t = end if left <= size * (1.0 + 1e-9) else t + size
        reached.append(len(sizes))
    return np.array(sizes), reached


class Device:
    """Grid, data and work space of one march.

    generation  of electrons with distribution M per unit time (cells,); none in a case, but manufactured solutions need it
    ends        what enters at the contacts, as even modes (2, K): c M
    """

    def __init__(self, case: "Case", eps: float, cells: int, v: Array, w: Array) -> None:
        lo, hi = case.domain.x
        equation = case.equation
        edges = np.linspace(lo, hi, cells + 1)
        self.x = 0.5 * (edges[1:] + edges[:-1])
        points = np.concatenate([[lo], self.x, [hi]])
        self.h, self.d = np.diff(edges), np.diff(points)
        self.doping = equation.doping(x=self.x) * np.ones(cells)
        self.generation = np.zeros(cells)
        self.potentials = np.array([case.boundary.left.potential, case.boundary.right.potential])
        self.theta, self.beta, self.eps = equation.theta, equation.beta, eps
        K = v.size // 2
        self.ends = np.zeros((2, K))
        self.ends[:, 0] = equation.doping(x=np.array([lo, hi]))
        n = np.arange(2 * K)
        self.relax = 1.0 + eps * ABSORPTION / (hi - lo) * np.sqrt(self.theta) * (n / (2.0 * K - 1.0)) ** 8
        self.R = exchange(v, w, self.theta)
        self.e, self.o = np.zeros((cells, K)), np.zeros((cells + 1, K))
        self.e[:, 0] = case.initial.rho(x=self.x, eps=eps) * np.ones(cells)
        self.phi = self.potential(self.e[:, 0])
        self.z = np.zeros(2)
        self.mass = float(self.h @ self.e[:, 0])
        many = (STAGES, *self.e.shape)
        self.work = (
            np.zeros(many),
            np.zeros((STAGES, cells + 1, K)),
            np.zeros((STAGES, cells)),
            np.zeros((STAGES, 2)),
            np.zeros((cells, K + 1)),
        )
        self.factors = (
            np.zeros((cells, K + 1, K + 1)),
            np.zeros((cells, K + 1, 4)),
            np.zeros((cells, K + 1, 4)),
            np.zeros((2, K, K)),
            np.zeros((cells + 1, K, 6)),
        )
        self.B = np.zeros((cells + 1, 4))

    def potential(self, rho: Array) -> Array:
        """Phi of a density, the discrete Poisson equation."""
        a = self.beta / self.d
        bands = np.array([np.append(0.0, a[1:-1]), -a[:-1] - a[1:], np.append(a[1:-1], 0.0)])
        right = self.h * (rho - self.doping)
        right[0] -= a[0] * self.potentials[0]
        right[-1] -= a[-1] * self.potentials[1]
        return solve_banded((1, 1), bands, right)

    def step(self, dt: float) -> None:
        grid = (self.B, self.h, self.d, self.doping, self.generation, self.ends, self.potentials)
        physics = (self.theta, self.beta, self.eps, self.relax, self.R)
        advance(self.e, self.o, self.phi, self.z, dt, self.work, self.factors, *grid, *physics)

    @property
    def field(self) -> Array:
        """E at the faces."""
        return -np.diff(np.concatenate([self.potentials[:1], self.phi, self.potentials[1:]])) / self.d

    @property
    def flux(self) -> Array:
        """J at the faces."""
        return np.sqrt(self.theta) * self.o[:, 0]

    @property
    def imbalance(self) -> float:
        """Mass that is neither there nor has passed a contact, relative to the mass at t = 0."""
        return abs(float(self.h @ self.e[:, 0] + self.z[1] - self.z[0]) - self.mass) / self.mass


class Scheme(SchemeBase):
    """`scheme = "hermite_parity"`: the default for semiconductors."""

    equations = ("semiconductor",)
    order = (4, 2)
    asymptotic_preserving = True
    conserves = ("mass",)
    positive = False
    rate = 2.0e6
    references = ("hairer1996solving", "scharfetter1969large", "schmeiser1998convergence", "parker2015fourier")
    small = ("reference.cells=27", "reference.steps=6", "velocity.nodes=16")
    Options = Options

    def coarser(self, options: Any) -> Any | None:
        coarse = super().coarser(options)
        return coarse and coarse.model_copy(update={"steps": max(options.steps // COARSER, 1)})

    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        edges = np.linspace(*case.domain.x, options.cells + 1)
        axes = {"x": 0.5 * (edges[1:] + edges[:-1])}
        return axes | {"v": case.velocity.nodes_and_weights()[0]} if options.distribution else axes

    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        K = case.velocity.nodes // 2
        unknowns = options.cells * (2 * K + 1)
        numbers = options.cells * ((K + 1) ** 2 + 8 * (K + 1) + 6 * K + (2 * K + 1) * (STAGES + 4))
        return {"unknowns": unknowns, "steps": len(schedule(case, options)[0]), "bytes": 8.0 * numbers}

    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        v, w = case.velocity.nodes_and_weights()
        sizes, reached = schedule(case, options)
        first = 0
        device = Device(case, eps, options.cells, v, w)
        if resume is None:
            check_nodes(case, eps, v.size)
        else:
            first = int(resume["step"])
            for name in ("e", "o", "phi", "z"):
                getattr(device, name)[:] = resume[name]
        for step in range(first, len(sizes)):
            device.step(sizes[step])
            done = step + 1
            t = float(sizes[:done].sum())
            if not (np.isfinite(device.e).all() and np.isfinite(device.phi).all()):
                raise NumericalError(
                    f"rho is not finite at t = {t:.4g}, eps = {eps:g}; more velocity.nodes or reference.steps may help"
                )
            progress = done / len(sizes)
            if done not in reached:
                yield Snapshot(progress, done, eps, t)
                continue
            t = case.domain.output_times[reached.index(done)]
            E, J = device.field, device.flux
            fields = {
                "rho": device.e[:, 0].copy(),
                "J": 0.5 * (J[1:] + J[:-1]),
                "E": 0.5 * (E[1:] + E[:-1]),
                "Phi": device.phi.copy(),
            }
            if options.distribution:
                h = hermite(v / np.sqrt(device.theta), v.size)
                odd = 0.5 * eps * (device.o[1:] + device.o[:-1])
                fields["f"] = (device.e @ h[0::2] + odd @ h[1::2]) * maxwellian(1.0, 0.0, device.theta, v)
            state = {name: getattr(device, name).copy() for name in ("e", "o", "phi", "z")}
            yield Snapshot(
                progress, done, eps, t, fields, {"drift_mass": float(device.imbalance)}, {**state, "t": t, "step": done}
            )


def check_nodes(case: "Case", eps: float, nodes: int) -> None:
    """Raise BadInput if velocities of the size that the field gives leave the Hermite series unresolved.

    The field is that of a coarse drift-diffusion march (two modes, eps = 0).  A field that lasts gives the mean velocity eps|E|;
    an initial one acts until it is screened, a quarter of a plasma period, and gives at most |E| sqrt(beta/max rho).
    """
    z, weights = np.polynomial.hermite_e.hermegauss(2)
    v = np.sqrt(case.equation.theta) * z
    w = weights / np.sqrt(2.0 * np.pi) / maxwellian(1.0, 0.0, case.equation.theta, v)
    coarse = Options(cells=135, steps=12)
    device = Device(case, 1e-8, coarse.cells, v, w)
    density = max(float(device.e[:, 0].max()), float(device.doping.max()))
    fields = [(float(np.abs(device.field).max()), min(eps, float(np.sqrt(case.equation.beta / density))))]
    sizes, reached = schedule(case, coarse)
    for step, dt in enumerate(sizes):
        device.step(dt)
        if step + 1 in reached:
            fields.append((float(np.abs(device.field).max()), eps))
    field, speed = max(fields, key=lambda pair: pair[0] * pair[1])
    u = max(field * speed / np.sqrt(case.equation.theta), 1e-30)

    def neglected(n: Array) -> Array:
        return n * np.log(u) - 0.5 * gammaln(n + 1.0)

    if not np.isfinite(u) or neglected(np.array(float(nodes))) > np.log(NARROW):
        even = np.arange(2.0, 401.0, 2.0)
        enough = even[(neglected(even) <= np.log(NARROW)) & (even > u**2)] if np.isfinite(u) else []
        need = (
            f"at least {int(enough[0])} nodes are needed" if len(enough) else "take the variant 'mild' or a smaller eps"
        )
        raise BadInput(
            f"velocity.nodes = {nodes} is too narrow for the field: max|E| = {field:.3g} at eps = {eps:g} gives velocities "
            f"of {u:.3g} thermal units; {need}"
        )
