r"""Lift of in-flow transport from a domain that is empty at t = 0: the young beam, and the kinetic layer of the wall.

At a wall that lets F(v) in, s the distance from it, mu > 0 the speed away from it, sigma_w its sigma_S:

$$ f_{\rm lift} = \big(F(\mu) - Q_wz\big)\,b(z)\,e^{-\tau(s)/(\varepsilon\mu)}\,1[z>0]
   + \big(1-b(t)\big)\,L\big(\tau_S(s)/\varepsilon, v\big), \quad z = t-\tfrac{\varepsilon s}{\mu}, \qquad
   b(t) = e^{-y}\sum_{n=0}^{N}\frac{y^n}{n!},\ \ y = \frac{\sigma_wt}{\varepsilon^2}, $$

tau the integral of sigma, tau_S that of sigma_S, Q_w the source at the wall.

* The first term is the exact uncollided flight of the in-flow b(t)(F - Q_w t): the true one, and the lack of what a source
  beyond the wall would have sent; without it f has a kink where the growth f = Qt of the bulk ends.  It carries the jump and
  the first N derivatives' jumps that move with x = vt/eps, and is gone after some eps^2: it takes the beam away at large eps
  and does not stand in the way of the diffusion limit.  (N = 0 with constant sigma is the subtraction of
  e^{-t/eps^2} 1[x<vt/eps], training.md 2.2.)
* L is the decaying part of the half-space problem $v\,\partial_\xi\Lambda = \langle\Lambda\rangle - \Lambda$,
  $\Lambda(0,v>0) = F$, $L = \Lambda - c$, $c = \Lambda(\infty)$: on the velocity nodes
  $L = \sum_k a_k e^{-\nu_k\xi}/(1-\nu_kv)$, $\langle 1/(1-\nu_kv)\rangle = 1$, solved exactly.  It vanishes for isotropic F.

The remainder then has the isotropic value c(1-b) + Q_w t b at the wall, whatever F, and

$$ S = Q + \frac{\sigma_S}{\varepsilon^2}\rho_{\rm flight} - (b_- + \sigma_Ab_0)\langle L\rangle, \quad
   M = -\varepsilon(b_- + \sigma_Ab_0)(L-\langle L\rangle), \quad b_0 = 1-b,\ b_- = \partial_tb_0 . $$

Amplitudes, with $h = 1-e^{-y}$ and the diffusion length $\ell = 2\sqrt{t/3\sigma_w+\varepsilon^2/\sigma_w^2}$:

$$ A = \sum_{\rm walls}|c|\,h\,e^{-s/\ell} + t\max Q, \qquad G = A/\sqrt{\sigma_St+\varepsilon^2} . $$

The factor e^{-s/l} makes the empty domain exact also for eps -> 0, where h = 1.

References: Case, Zweifel (1967), Linear Transport Theory, chapter 6 (half-space problems); Alcouffe (1985), Nucl. Sci. Eng.
90, 85, DOI 10.13182/NSE85-1 (uncollided part); problems.md 4.2-4.4.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from .crowding import Crowd, Even, Log, Piece
from .expression import evaluate
from .features import scales, with_tangents
from .lift import Known
from .lift import Lift as LiftBase
from .quadrature import half_range, unit_range
from .sampling import times

ORDER = 2  # N
FLIGHT_NODES = 32
EARLY = 1e-4  # share of t_end where the logarithmic part of the time points begins


@dataclass
class Wall:
    """One end: outward geometry, in-flow and half-space problem.

    at, sign   place, and direction of x into the domain
    inward     nodes with speed into the domain
    F, Q       in-flow on them and source at the wall; `beam` tells whether there is any
    sigma      sigma_S at the wall
    limit      c
    rates, amplitudes, shapes   nu_k (k), a_k (k), 1/(1 - nu_k v) on all nodes (k, v)
    """

    at: float
    sign: float
    inward: Tensor
    F: Tensor
    Q: float
    beam: bool
    sigma: float
    limit: float
    rates: Tensor
    amplitudes: Tensor
    shapes: Tensor


def half_space(v: np.ndarray, w: np.ndarray, F: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """c, nu_k, a_k and the shapes (k, v) of the discrete half-space problem; F on the nodes v > 0."""
    ahead = v > 0
    eigenvalues = np.linalg.eigvals((np.outer(np.ones_like(v), w) - np.eye(v.size)) / v[:, None])
    rates = np.sort(-eigenvalues.real)[: -v.size // 2 : -1][: np.count_nonzero(ahead) - 1]
    shapes = 1.0 / (1.0 - rates[:, None] * v)
    system = np.vstack([np.ones(np.count_nonzero(ahead)), shapes[:, ahead]]).T
    solved = np.linalg.solve(system, F)
    return float(solved[0]), rates, solved[1:], shapes


class Lift(LiftBase):
    """In-flow at both ends, f = 0 at t = 0, in-flow constant in time."""

    open_ends = ("left", "right")

    def __init__(self, case: Case, velocities: int, device: str) -> None:
        super().__init__(case, device)
        if case.initial.f.constant != 0.0:
            raise BadInput(
                'train.formulation: with in-flow ends transport trains from f = 0 at t = 0 (initial.f = "0")'
            )
        v, w = half_range(velocities)
        self.v, self.w = self.tensor(v), self.tensor(w)
        self.walls = {}
        for name, at, sign in (("left", self.low, 1.0), ("right", self.high, -1.0)):
            side = getattr(case.boundary, name)
            if "t" in side.f.names:
                raise BadInput(f"boundary.{name}.f: transport trains with an in-flow that does not depend on t")
            self.walls[name] = self.make_wall(side.f, at, sign, v, w)
        x = torch.linspace(self.low, self.high, 257, dtype=torch.float64, device=device)
        self.driven = max(float(self.source(torch.full_like(x, t), x).abs().max()) for t in (0.0, self.t_end))
        self.z, self.wz = unit_range(FLIGHT_NODES, device)
        self.lively = [wall for wall in self.walls.values() if wall.beam or self.driven > 0.0]
        if not self.lively:
            raise BadInput("train: neither in-flow nor source, the solution is zero")
        self.places = 6 + sum(wall.beam for wall in self.walls.values())
        self.varies = case.equation.sigma_s.constant is None  # then the network sees sigma_S and the diffusion length
        self.places += 2 * self.varies
        self.layers = list(dict.fromkeys(wall.sigma for wall in self.lively))  # their initial layers differ
        self.scales = 4 + len(self.layers)

    def tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values.copy(), dtype=torch.float64, device=self.device)

    def make_wall(self, inflow, at: float, sign: float, v: np.ndarray, w: np.ndarray) -> Wall:  # type: ignore[no-untyped-def]
        speed = sign * v
        order = np.argsort(speed)  # the half-space problem sees speeds away from the wall
        half = speed[order] > 0
        F = inflow(t=0.0, v=speed[order][half], eps=1.0)
        c, rates, amplitudes, shapes = half_space(speed[order], w[order], F)
        inward = order[half]
        there = torch.tensor([at], dtype=torch.float64)
        sigma = float(evaluate(self.case.equation.sigma_s, x=there))
        Q = float(self.source(torch.zeros_like(there), there))
        back = np.argsort(order)
        tensors = (self.tensor(a) for a in (rates, amplitudes, shapes[:, back]))
        nodes = torch.as_tensor(inward.copy(), device=self.device)
        return Wall(at, sign, nodes, self.tensor(F), Q, bool(np.any(F != 0.0)) or Q != 0.0, sigma, c, *tensors)

    def depth(self, wall: Wall, s: Tensor, eps: Tensor, absorb: bool) -> Tensor:
        """tau (or tau_S) from the wall to s by Gauss-Legendre."""
        place = wall.at + wall.sign * s.unsqueeze(-1) * self.z
        sigma = self.coefficient("sigma_s", place)
        if absorb:
            sigma = sigma + (eps**2).unsqueeze(-1) * self.coefficient("sigma_a", place)
        return s * (sigma @ self.wz)

    def beam(self, wall: Wall, eps: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """<f> and <v f>/eps of the flight at distance s: Gauss points in ln mu from the slowest arrived to 1."""
        slowest = (eps * s / t).clamp(1e-9, 1.0)
        span = -torch.log(slowest).unsqueeze(-1)
        mu = torch.exp(-span * (1.0 - self.z))
        weight = 0.5 * self.wz * span * mu  # <h> = 1/2 int h dv
        side = self.case.boundary.left if wall.sign > 0 else self.case.boundary.right
        F = evaluate(side.f, t=t.unsqueeze(-1), v=mu, eps=eps.unsqueeze(-1))
        eps_, s_ = eps.unsqueeze(-1), s.unsqueeze(-1)
        since = (t.unsqueeze(-1) - eps_ * s_ / mu).clamp_min(0.0)
        age = wall.sigma / eps_**2 * since
        depth = self.depth(wall, s, eps, absorb=True).unsqueeze(-1) / (eps_ * mu)
        f = (F - wall.Q * since) * torch.exp(-depth) * young(age)
        return (weight * f).sum(-1), wall.sign * (weight * mu * f).sum(-1) / eps

    def layer(self, wall: Wall, eps: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """L on the nodes (..., B, v) and <L> (..., B); <v L> = 0."""
        xi = self.depth(wall, s, eps, absorb=False) / eps
        decay = wall.amplitudes * torch.exp(-wall.rates * xi.unsqueeze(-1))
        return decay @ wall.shapes, decay.sum(-1)

    def flight(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """f_lift on the nodes, (..., B, v)."""
        total = torch.zeros(*x.shape, self.v.numel(), dtype=x.dtype, device=x.device)
        for wall in self.walls.values():
            if not wall.beam:
                continue
            s = self.distance(wall, x)
            mu = (wall.sign * self.v)[wall.inward]
            eps_, t_, s_ = eps.unsqueeze(-1), t.unsqueeze(-1), s.unsqueeze(-1)
            since = t_ - eps_ * s_ / mu
            depth = self.depth(wall, s, eps, absorb=True).unsqueeze(-1) / (eps_ * mu)
            arrived = (wall.F - wall.Q * since) * young(wall.sigma / eps_**2 * since.clamp_min(0.0)) * torch.exp(-depth)
            beam = torch.where(since > 0.0, arrived, torch.zeros_like(arrived))
            mature = 1.0 - young(wall.sigma * t / eps**2)
            total = total.index_add(-1, wall.inward, beam) + mature.unsqueeze(-1) * self.layer(wall, eps, s)[0]
        return total

    def distance(self, wall: Wall, x: Tensor) -> Tensor:
        return (wall.sign * (x - wall.at)).clamp_min(0.0)

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        place = []
        for wall in self.walls.values():
            s = wall.sign * (x - wall.at)
            zeta = s / self.length(wall, eps, t)
            place += [zeta / (1.0 + zeta), torch.erfc(zeta), s / (s + eps / wall.sigma)]
            if wall.beam:
                place.append(s / (s + t / eps))  # behind or before the fastest particles
        if self.varies:
            sigma = self.coefficient("sigma_s", x)
            place += [torch.log10(sigma), 0.5 * torch.log10(t / (3.0 * sigma) + (eps / sigma) ** 2)]
        wall = self.lively[0]
        ages = [t / (t + 5.0 * eps**2 / sigma) for sigma in self.layers[1:]]
        time = torch.log10(t + eps**2) / 4.0 + 1.0
        return torch.stack([*place, *scales(eps, t, eps**2 / wall.sigma, self.t_end, self.floor), *ages, time], dim=-1)

    def length(self, wall: Wall, eps: Tensor, t: Tensor) -> Tensor:
        """Diffusion length l."""
        return 2.0 * torch.sqrt(t / (3.0 * wall.sigma) + (eps / wall.sigma) ** 2)

    def amplitudes(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """A and G side by side, (..., B, 2)."""
        A = self.driven * t
        for wall in self.walls.values():
            s = wall.sign * (x - wall.at)
            h = -torch.expm1(-wall.sigma * t / eps**2)
            A = A + abs(wall.limit) * h * torch.exp(-s / self.length(wall, eps, t))
        return torch.stack([A, A / torch.sqrt(self.coefficient("sigma_s", x) * t + eps**2)], dim=-1)

    def known(self, eps: Tensor, t: Tensor, x: Tensor) -> Known:
        A, G = (values.contiguous() for values in with_tangents(self.amplitudes, eps, t, x).unbind(-1))
        sigma_s, sigma_a = self.coefficient("sigma_s", x), self.coefficient("sigma_a", x)
        S, M = self.source(t, x), None
        size = self.driven * (t + eps**2)
        for wall in self.walls.values():
            size = size + abs(wall.limit)
            if not wall.beam:
                continue
            s = self.distance(wall, x)
            S = S + sigma_s / eps**2 * self.beam(wall, eps, t, s)[0]
            if wall.amplitudes.abs().max() > 1e-12:
                y = wall.sigma * t / eps**2
                mature = 1.0 - young(y)
                growth = wall.sigma / eps**2 * torch.exp(-y) * y**ORDER / float(np.prod(np.arange(1, ORDER + 1)))
                rate = growth + sigma_a * mature
                L, mean = self.layer(wall, eps, s)
                S = S - rate * mean
                anisotropic = (eps * rate).unsqueeze(-1) * (L - mean.unsqueeze(-1))
                M = -anisotropic if M is None else M - anisotropic
        late = t + eps**2
        weights = late / size, torch.sqrt(t / (sigma_s + eps**2) + eps**2) / size, self.crowd(eps, t).density(x)
        return Known(torch.zeros_like(A), A, G.unsqueeze(-1), S, M, sigma_s, sigma_a, *weights)

    def base(self, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        A, G = self.amplitudes(eps, t, x).unbind(-1)
        return torch.zeros_like(A), A, G.unsqueeze(-1)

    def lifted(self, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        density, flux = torch.zeros_like(x), torch.zeros_like(x)
        for wall in self.walls.values():
            if wall.beam:
                s = self.distance(wall, x)
                rho, J = self.beam(wall, eps, t, s)
                mature = 1.0 - young(wall.sigma * t / eps**2)
                density, flux = density + rho + mature * self.layer(wall, eps, s)[1], flux + J
        return density, flux

    def wall(self, side: str, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        here = self.walls[side]
        b = young(here.sigma * t / eps**2)
        value = (here.limit * (1.0 - b) + here.Q * t * b).unsqueeze(-1).expand(*t.shape, here.inward.numel())
        for name, other in self.walls.items():
            if name != side and other.beam:  # its layer may reach this far
                s = torch.full_like(t, self.high - self.low)
                L, _ = self.layer(other, eps, s)
                value = value - (1.0 - young(other.sigma * t / eps**2)).unsqueeze(-1) * L[..., here.inward]
        return here.inward, value

    def crowd(self, eps: Tensor, t: Tensor) -> Crowd:
        """Places uniform, within three diffusion lengths of a wall, and logarithmic to it."""
        pieces: list[tuple[float, Piece]] = [(0.3, Even(self.low, self.high))]
        share, span = 0.35 / len(self.lively), self.high - self.low
        for wall in self.lively:
            near = (3.0 * self.length(wall, eps, t)).clamp_max(span)
            pieces.append((share, Even(wall.at, wall.at + wall.sign * near)))
            pieces.append((share, Log(wall.at, wall.sign, 0.03 * eps / (wall.sigma + eps), span)))
        return Crowd(self.low, self.high, *pieces)

    def stratify(self, eps: Tensor, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        t = times(s, self.t_end, 0.6, EARLY)
        return t, self.crowd(eps, t).places(y)


def young(y: Tensor) -> Tensor:
    """b as a function of y: the Poisson distribution up to N."""
    total, term = torch.ones_like(y), torch.ones_like(y)
    for n in range(1, ORDER + 1):
        term = term * y / n
        total = total + term
    return torch.exp(-y) * total
