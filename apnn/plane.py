r"""Lift of transport in the plane from an empty rectangle with in-flow sides: the young beam, symmetries, wall factors.

With d(x, omega) the distance back to the boundary along omega, x_d the point there, F its isotropic in-flow, Q_d and sigma_d
source and sigma_S there,

$$ f_{\rm lift} = \big(F - Q_dz\big)\,b(z)\,e^{-\tau/\varepsilon}\,1[z>0], \quad z = t - \varepsilon d, \quad
   \tau = \int_0^d\sigma(x - s\omega)\,ds, \qquad b(t) = e^{-y}\Big(1 + y + \frac{y^2}2\Big),\ y = \frac{\sigma_dt}{\varepsilon^2}, $$

is the exact uncollided flight of the in-flow b(t)(F - Q_d t), as for the slab (`inflow.py`): it carries the jump or kink that
moves with d = t/eps and the kinks along the rays from the corners while they are sharp, is gone after some eps^2, and leaves
the isotropic value F(1-b) + Q_d t b on the sides.  The remainder rho + eps g, $\rho = A R$, $g = G\hat g$, obeys

$$ \partial_t\rho + \nabla\cdot\langle\omega g\rangle + \sigma_A\rho = S, \qquad
   \varepsilon^2\partial_tg + \varepsilon(\omega\cdot\nabla g - \langle\omega\cdot\nabla g\rangle)
   + \omega\cdot\nabla\rho + \sigma g = 0, \qquad S = Q + \frac{\sigma_S}{\varepsilon^2}\langle f_{\rm lift}\rangle , $$

and the averages of f_lift are integrals over each side, $\cos\vartheta = 1/\cosh u$ from its normal: d = delta cosh u at the
distance delta from it, and $d\vartheta = du/\cosh u$, smooth up to grazing directions.  Amplitudes, $\ell$ the diffusion length:

$$ A = t\max Q\prod_{\rm sides}\frac{p(s)}{p(s_{\rm centre})} + \sum_{\rm sides}F\,(1-e^{-y})\,e^{-s/\ell}, \quad
   p(s) = \frac{s+0.7\,\varepsilon/\sigma}{s+0.7\,\varepsilon/\sigma+\ell}, \quad
   G = \frac{t\max Q + \max F(1-e^{-y})}{\sqrt{\sigma_St+\varepsilon^2}} . $$

The product is one at the centre and takes rho to zero on absorbing sides for eps -> 0.

If all data are symmetric about a centre line, so is the
network: it sees even functions of that coordinate only, and the part of ghat that is odd in a component of omega is
multiplied by the coordinate.

References: Alcouffe (1985), Nucl. Sci. Eng. 90, 85, DOI 10.13182/NSE85-1 (uncollided part); problems.md 4.5.
"""

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput
from solvers.problem.velocity.circle_gauss import VelocitySet

from .crowding import Crowd, Even, Log, Piece
from .expression import evaluate
from .features import scales, with_tangents
from .inflow import EARLY, young
from .lift import Known
from .quadrature import unit_range
from .sampling import times

NODES = 12  # Gauss points on each half of a side
DEPTH_NODES = 6
EXTRAPOLATION = 0.7
CHECKED = 17  # points per direction at which symmetry is looked for
SIDES = {"left": (0, 0), "right": (0, 1), "bottom": (1, 0), "top": (1, 1)}  # axis, end


class Plane:
    """The lift of one case on `velocities` directions, a Gauss rule on each quadrant (`circle_gauss`).

    v1, v2, w      directions and weights of the average, sum of w one
    head           matrix (outputs, directions) that turns network outputs into ghat without mean
    odd            (2, outputs): whether an output is multiplied by the coordinate
    mirrored       whether the data are symmetric about the centre line of x, of y
    open_sides     sides with a residual; those that a mirror maps to them have none
    places, scales numbers of feature columns: those that know x, y come first
    """

    def __init__(self, case: Case, velocities: int, device: str) -> None:
        if velocities % 4:
            raise BadInput(
                f"train.velocities = {velocities}: transport in the plane needs a multiple of four directions"
            )
        self.case, self.device = case, device
        self.box = (case.domain.x, case.domain.y)
        self.t_end, self.floor = case.domain.t_end, case.knudsen.train[0]
        self.check()
        theta, w = VelocitySet(nodes=velocities).nodes_and_weights()
        self.v1, self.v2, self.w = (self.tensor(a) for a in (np.cos(theta), np.sin(theta), w))
        self.z, self.wz = (self.tensor(a) for a in np.polynomial.legendre.leggauss(NODES))
        self.depths, self.depth_weights = unit_range(DEPTH_NODES, device)
        grid = [torch.linspace(*interval, CHECKED, dtype=torch.float64, device=device) for interval in self.box]
        x, y = torch.meshgrid(*grid, indexing="ij")
        zero = torch.zeros_like(x)
        self.inflows = {side: float(self.inflow(side, zero, x, y).max()) for side in SIDES}
        self.driven = max(float(self.source(zero + t, x, y).abs().max()) for t in (0.0, 0.5 * self.t_end, self.t_end))
        self.bright = max(self.inflows.values())
        self.sigma = float(self.coefficient("sigma_s", x, y).min())
        if self.driven + self.bright == 0.0:
            raise BadInput("train: neither in-flow nor source, the solution is zero")
        self.mirrored = tuple(self.symmetric(axis, x, y) for axis in (0, 1))
        self.open_sides = [side for side, (axis, end) in SIDES.items() if not (end and self.mirrored[axis])]
        self.head, self.odd = self.make_head()
        self.places = sum(4 if mirror else 8 for mirror in self.mirrored)
        self.scales = 5

    def tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.array(values), dtype=torch.float64, device=self.device)

    def check(self) -> None:
        """BadInput for what this lift does not carry."""
        if self.case.initial.f.constant != 0.0:
            raise BadInput('train.formulation: transport in the plane trains from f = 0 at t = 0 (initial.f = "0")')
        for name in SIDES:
            side = getattr(self.case.boundary, name)
            if side.kind != "inflow":
                raise BadInput(f"boundary.{name}: transport in the plane trains with in-flow sides, not '{side.kind}'")
            if set(side.f.names) & {"t", "v1", "v2", "eps"}:
                raise BadInput(
                    f"boundary.{name}.f: transport in the plane trains with an in-flow that depends on x, y alone"
                )

    def coefficient(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """sigma_s or sigma_a."""
        return evaluate(getattr(self.case.equation, name), x=x, y=y)

    def source(self, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Q."""
        return evaluate(self.case.equation.source, x=x, y=y, t=t)

    def inflow(self, side: str, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """F of one side."""
        free = {"t": t, "v1": t, "v2": t, "eps": t}
        return evaluate(getattr(self.case.boundary, side).f, x=x, y=y, **free)

    def symmetric(self, axis: int, x: Tensor, y: Tensor) -> bool:
        """Whether all data are even about the centre line of an axis."""
        low, high = self.box[axis]
        there = (low + high - x, y) if axis == 0 else (x, low + high - y)
        zero = torch.zeros_like(x)
        pairs = [(self.coefficient(name, x, y), self.coefficient(name, *there)) for name in ("sigma_s", "sigma_a")]
        pairs += [(self.source(zero + t, x, y), self.source(zero + t, *there)) for t in (0.0, 0.3 * self.t_end)]
        swap = {"left": "right", "right": "left"} if axis == 0 else {"bottom": "top", "top": "bottom"}
        pairs += [(self.inflow(s, zero, x, y), self.inflow(swap.get(s, s), zero, *there)) for s in SIDES]
        return all(torch.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in pairs)

    def make_head(self) -> tuple[Tensor, Tensor]:
        """Outputs are the parts even or odd in v1, v2 on the directions of one quadrant."""
        signs = torch.stack([self.v1.sign(), self.v2.sign()])
        sizes = torch.stack([self.v1.abs(), self.v2.abs()], dim=-1)
        base = sizes[(signs > 0).all(dim=0)]
        same = (torch.cdist(base, sizes) < 1e-9).to(sizes)
        parities = [(p, q) for p in (0, 1) for q in (0, 1)]
        rows = torch.cat([same * signs[0] ** p * signs[1] ** q for p, q in parities])
        odd = torch.tensor(parities, device=self.device).repeat_interleave(len(base), dim=0).T
        mirrored = torch.tensor(self.mirrored, device=self.device)[:, None]
        return rows - (rows @ self.w)[:, None], odd.bool() & mirrored

    def length(self, eps: Tensor, t: Tensor) -> Tensor:
        """Diffusion length l."""
        return 2.0 * torch.sqrt(t / (2.0 * self.sigma) + (eps / self.sigma) ** 2)

    def distances(self, axis: int, place: Tensor) -> list[Tensor]:
        """From both ends of an axis."""
        low, high = self.box[axis]
        return [place - low, high - place]

    def features(self, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Network inputs (..., B, places + scales)."""
        length, columns = self.length(eps, t), []
        for axis, place in enumerate((x, y)):
            ends = []
            for s in self.distances(axis, place):
                zeta = s / length
                ends.append([zeta / (1.0 + zeta), torch.erfc(zeta), s / (s + eps / self.sigma), s / (s + t / eps)])
            if self.mirrored[axis]:
                columns += [a + b for a, b in zip(*ends, strict=True)]
            else:
                columns += ends[0] + ends[1]
        time = torch.log10(t + eps**2) / 4.0 + 1.0
        return torch.stack([*columns, *scales(eps, t, eps**2 / self.sigma, self.t_end, self.floor), time], dim=-1)

    def amplitudes(self, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """A and G side by side, (..., B, 1 + outputs)."""
        length, thin = self.length(eps, t), EXTRAPOLATION * eps / self.sigma
        A, lit, old = self.driven * t, torch.zeros_like(t), -torch.expm1(-self.sigma * t / eps**2)
        centred = []
        for axis, place in enumerate((x, y)):
            low, high = self.box[axis]
            half = 0.5 * (high - low)
            centred.append((place - low - half) / half)
            for end, s in enumerate(self.distances(axis, place)):
                side = next(name for name, at in SIDES.items() if at == (axis, end))
                A = A * (s + thin) / (s + thin + length) * (half + thin + length) / (half + thin)
                lit = lit + self.inflows[side] * old * torch.exp(-s / length)
        G = (self.driven * t + self.bright * old) / torch.sqrt(self.coefficient("sigma_s", x, y) * t + eps**2)
        one = torch.ones_like(G).unsqueeze(-1)
        for odd, coordinate in zip(self.odd, centred, strict=True):
            one = one * torch.where(odd, coordinate.unsqueeze(-1), 1.0)
        return torch.cat([(A + lit).unsqueeze(-1), G.unsqueeze(-1) * one], dim=-1)

    def known(self, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> Known:
        """Everything the residuals need."""
        both = with_tangents(self.amplitudes, eps, t, x, y)
        A, G = both[..., 0].contiguous(), both[..., 1:].contiguous()
        sigma_s, sigma_a = self.coefficient("sigma_s", x, y), self.coefficient("sigma_a", x, y)
        S = self.source(t, x, y) + sigma_s / eps**2 * self.lifted(eps, t, x, y)[0]
        size = self.driven * (t + eps**2) + self.bright
        density = self.crowd(0, eps, t).density(x) * self.crowd(1, eps, t).density(y)
        weights = (t + eps**2) / size, torch.sqrt(t / (sigma_s + eps**2) + eps**2) / size, density
        return Known(torch.zeros_like(A), A, G, S, None, sigma_s, sigma_a, *weights)

    def optical_depth(self, eps: Tensor, x: Tensor, y: Tensor, d: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
        """tau of the way d back along (v1, v2)."""
        equation = self.case.equation
        if equation.sigma_s.constant is not None and equation.sigma_a.constant is not None:
            return (equation.sigma_s.constant + eps**2 * equation.sigma_a.constant) * d
        way = d.unsqueeze(-1) * self.depths
        there = x.unsqueeze(-1) - way * v1.unsqueeze(-1), y.unsqueeze(-1) - way * v2.unsqueeze(-1)
        sigma = self.coefficient("sigma_s", *there) + (eps**2).unsqueeze(-1) * self.coefficient("sigma_a", *there)
        return d * (sigma @ self.depth_weights)

    def beam(
        self, side: str, eps: Tensor, t: Tensor, x: Tensor, y: Tensor, d: Tensor, v1: Tensor, v2: Tensor
    ) -> Tensor:
        """f_lift at (x, y) in the direction (v1, v2) that entered at the distance d through a side."""
        place, low, high = (x - d * v1, y - d * v2), *self.box[SIDES[side][0]]
        at = torch.full_like(d, high if SIDES[side][1] else low)
        entry = (at, place[1]) if SIDES[side][0] == 0 else (place[0], at)
        since = t - eps * d
        age = since.clamp_min(0.0)
        sent = self.inflow(side, age, *entry) - self.source(torch.zeros_like(age), *entry) * age
        old = self.coefficient("sigma_s", *entry) * age / eps**2
        value = sent * young(old) * torch.exp(-self.optical_depth(eps, x, y, d, v1, v2) / eps)
        return torch.where(since > 0.0, value, torch.zeros_like(value))

    def lifted(self, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """<f_lift>, <v1 f_lift>/eps and <v2 f_lift>/eps at points (..., B)."""
        totals = [torch.zeros_like(x) for _ in range(3)]
        eps_, t_, x_, y_ = (value.unsqueeze(-1) for value in (eps, t, x, y))
        for side, (axis, end) in SIDES.items():
            delta = self.distances(axis, (x, y)[axis])[end].clamp_min(1e-12)
            along, (low, high) = (y, x)[axis], self.box[1 - axis]
            most = torch.acosh((t / eps / delta).clamp_min(1.0))
            first = torch.maximum(-most, torch.asinh((along - high) / delta))
            last = torch.minimum(most, torch.asinh((along - low) / delta))
            nothing = torch.zeros_like(delta)
            for a, b in ((first, torch.minimum(last, nothing)), (torch.maximum(first, nothing), last)):
                half = 0.5 * (b - a).clamp_min(0.0).unsqueeze(-1)
                u = 0.5 * (a + b).unsqueeze(-1) + half * self.z
                normal, tangent = (1.0 - 2.0 * end) / torch.cosh(u), torch.tanh(u)
                v1, v2 = (normal, tangent) if axis == 0 else (tangent, normal)
                f = self.beam(side, eps_, t_, x_, y_, delta.unsqueeze(-1) * torch.cosh(u), v1, v2)
                f = f * half * self.wz / (2.0 * torch.pi * torch.cosh(u))
                totals = [
                    sum_ + part.sum(-1) for sum_, part in zip(totals, (f, v1 * f / eps_, v2 * f / eps_), strict=True)
                ]
        return totals[0], totals[1], totals[2]

    def flight(self, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """f_lift on the directions, (..., B, v)."""
        eps_, t_, x_, y_ = (value.unsqueeze(-1) for value in (eps, t, x, y))
        ways, values = [], []
        for side, (axis, end) in SIDES.items():
            v = (1.0 - 2.0 * end) * (self.v1, self.v2)[axis]
            s = self.distances(axis, (x, y)[axis])[end].clamp_min(0.0).unsqueeze(-1)
            way = torch.where(v > 0, s / v.abs(), torch.inf)
            d = torch.where(v > 0, s / v.abs(), torch.zeros_like(v))
            ways.append(way)
            values.append(self.beam(side, eps_, t_, x_, y_, d, self.v1.expand_as(d), self.v2.expand_as(d)))
        nearest = torch.stack(ways).argmin(dim=0, keepdim=True)
        return torch.stack(values).gather(0, nearest)[0]

    def wall(self, side: str, eps: Tensor, t: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the entering directions and the value of rho + eps g there, (..., B)."""
        axis, end = SIDES[side]
        entering = torch.nonzero((1.0 - 2.0 * end) * (self.v1, self.v2)[axis] > 0)[:, 0]
        b = young(self.coefficient("sigma_s", x, y) * t / eps**2)
        F, Q = self.inflow(side, t, x, y), self.source(torch.zeros_like(t), x, y)
        return entering, F * (1.0 - b) + Q * t * b

    def crowd(self, axis: int, eps: Tensor, t: Tensor) -> Crowd:
        """Half of the places of an axis uniform, the rest near the walls as in the slab."""
        (low, high) = self.box[axis]
        pieces: list[tuple[float, Piece]] = [(0.5, Even(low, high))]
        near = (3.0 * self.length(eps, t)).clamp_max(high - low)
        for at, sign in ((low, 1.0), (high, -1.0)):
            pieces.append((0.125, Even(at, at + sign * near)))
            pieces.append((0.125, Log(at, sign, 0.03 * eps / (self.sigma + eps), high - low)))
        return Crowd(low, high, *pieces)

    def stratify(self, eps: Tensor, s: Tensor, *square: Tensor) -> tuple[Tensor, ...]:
        t = times(s, self.t_end, 0.6, EARLY)
        return t, *(self.crowd(axis, eps, t).places(y) for axis, y in enumerate(square))
