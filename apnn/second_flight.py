r"""The fields of thin gas by one more flight of the network's collisions: Sloan's iterate of its density.

Between in-flow ends and from f = 0 the transport equation is an integral equation of the second kind for rho alone,

$$ \rho = \langle f\rangle, \qquad f(t,x,v) = F\,e^{-T(r_*)} + \int_0^{r_*}\Big(\frac{\sigma_S}{\varepsilon^2}\rho + Q\Big)
   \Big(t-r,\,x-\frac{vr}\varepsilon\Big)\,e^{-T(r)}\,dr, \qquad T(r) = \int_0^r\frac\sigma{\varepsilon^2}\,dr', $$

back for the time r_* to the boundary, where F enters, or to the start, F = 0.  A network trained on residuals leaves an error in
rho; with that rho on the right the error of the left side is its image under the integral: smaller by the share of particles
that collide at all, and free of what oscillates over less than a mean free path, the traces of single velocities and of kinks
that a smooth network misses.  Where the gas is dense the integral is nearly the identity, and its flux the network's own slope
of rho in place of the network's own flux.  So the iterate has the share

$$ p(x) = \frac{\varepsilon^2}{\varepsilon^2 + (\mathrm{THIN}\,\sigma_SL)^2} $$

of every field, L the width of the domain, and the network the rest; below LEAST it has none and is not computed.

Quadrature: v in parts between which f has kinks (the slowest particles that have arrived, the corners), and on each path

$$ r = -\ln(1-u)/\kappa, \quad u = u_*\big(1-(1-z)^2\big), \quad \kappa = \sigma(x)/\varepsilon^2, $$

z at Gauss points: the density is like x ln x at a wall and has a kink at the start, hence the square.

Reference: Sloan (1976), "Improvement by iteration for compact operator equations", Math. Comp. 30, 758, DOI 10.2307/2005396.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.problem.case import Case

from .expression import evaluate
from .plane import SIDES
from .quadrature import unit_range

THIN = 0.03
LEAST = 0.25
SPEEDS = {1: 8, 2: 5}  # Gauss points on each part of the directions, by the dimension of space
ENTERING = 32  # the same for what enters and does not collide
PLACES = {1: 12, 2: 8}  # Gauss points on a path
DEPTHS = 6  # and on the way to each of them, for its optical depth
CHUNK = 20_000  # paths at a time

Network = Callable[..., dict[str, Tensor]]  # of points eps, t, x[, y]


@dataclass
class Paths:
    """Ways back, one an entry of every tensor: number of the point, v, weight in its average, r_* and what enters there."""

    point: Tensor
    v: list[Tensor]
    weight: Tensor
    time: Tensor
    entering: Tensor

    def part(self, chosen: slice | Tensor) -> "Paths":
        return Paths(
            self.point[chosen],
            [component[chosen] for component in self.v],
            self.weight[chosen],
            self.time[chosen],
            self.entering[chosen],
        )


class SecondFlight:
    """The iterate for one case and Knudsen number."""

    def __init__(self, case: Case, eps: float) -> None:
        self.case, self.eps = case, eps
        self.box = [interval for interval in (case.domain.x, case.domain.y) if interval is not None]

    @staticmethod
    def applies(case: Case) -> bool:
        """Whether all ends are open and the start is empty."""
        if case.equation.kind not in ("transport", "transport_2d") or case.initial.f.constant != 0.0:
            return False
        return all(side.kind == "inflow" for _, side in case.boundary)

    def share(self, *space: Tensor) -> Tensor:
        """p at points (B,), zero below LEAST."""
        width = max(high - low for low, high in self.box)
        p = self.eps**2 / (self.eps**2 + (THIN * width * self.sigma("sigma_s", *space)) ** 2)
        return torch.where(p > LEAST, p, 0.0).expand_as(space[0])

    def sigma(self, name: str, *space: Tensor) -> Tensor:
        """sigma_s or sigma_a."""
        return evaluate(getattr(self.case.equation, name), **dict(zip("xy", space, strict=False)))

    def total(self, *space: Tensor) -> Tensor:
        """sigma/eps^2."""
        return self.sigma("sigma_s", *space) / self.eps**2 + self.sigma("sigma_a", *space)

    def inflow(self, side: str, t: Tensor, v: list[Tensor], *space: Tensor) -> Tensor:
        """F of one side, v the velocity (in the slab the speed)."""
        names = ("v",) if len(v) == 1 else ("v1", "v2")
        known = dict(zip(names, v, strict=True)) | dict(zip("xy", space, strict=False))
        return evaluate(getattr(self.case.boundary, side).f, t=t, eps=torch.full_like(t, self.eps), **known)

    def slab(self, count: int, t: Tensor, x: Tensor) -> Paths:
        """Speeds below the slowest that has arrived from the wall behind, and above it uniformly in their logarithm."""
        z, w = unit_range(count, x.device)
        point = torch.arange(x.numel(), device=x.device).unsqueeze(-1).expand(-1, 4 * count)
        t, x, parts = t.unsqueeze(-1), x.unsqueeze(-1), []
        for side, sign, at in (("left", 1.0, self.box[0][0]), ("right", -1.0, self.box[0][1])):
            s = (sign * (x - at)).clamp_min(0.0)
            first = (self.eps * s / t).clamp(1e-9, 1.0)
            fast = first ** (1.0 - z)
            time = torch.minimum(self.eps * s / fast, t)
            F = self.inflow(side, t - time, [fast])
            parts.append((sign * first * z, 0.5 * first * w, t.expand_as(time), torch.zeros_like(time)))
            parts.append((sign * fast, -0.5 * first.log() * fast * w, time, F))
        v, weight, time, F = (torch.cat(columns, dim=-1) for columns in zip(*parts, strict=True))
        return Paths(point.flatten(), [v.flatten()], weight.flatten(), time.flatten(), F.flatten()).part(
            weight.flatten() > 0.0
        )

    def plane(self, count: int, t: Tensor, x: Tensor, y: Tensor) -> Paths:
        """Over each side as in `plane.py`, its normal and where it is just reached between the parts."""
        z, w = unit_range(count, x.device)
        t, place, parts = t.unsqueeze(-1), (x.unsqueeze(-1), y.unsqueeze(-1)), []
        point = torch.arange(x.numel(), device=x.device).unsqueeze(-1).expand(-1, count)
        nothing = torch.zeros_like(t)
        for side, (axis, end) in SIDES.items():
            sign, (low, high) = 1.0 - 2.0 * end, self.box[1 - axis]
            delta = (sign * (place[axis] - self.box[axis][end])).clamp_min(1e-12)
            along = place[1 - axis]
            most = torch.acosh((t / self.eps / delta).clamp_min(1.0))
            first, last = torch.asinh((along - high) / delta), torch.asinh((along - low) / delta)
            edges = [first, torch.maximum(first, -most), nothing, torch.minimum(last, most), last]
            for part, (a, b) in enumerate(itertools.pairwise(edges)):
                u = a + (b - a) * z
                normal, tangent, d = sign / torch.cosh(u), torch.tanh(u), delta * torch.cosh(u)
                v = [normal, tangent] if axis == 0 else [tangent, normal]
                time = torch.minimum(self.eps * d, t)
                F = torch.zeros_like(d)
                if part in (1, 2):
                    entry = [here - d * component for here, component in zip(place, v, strict=True)]
                    F = self.inflow(side, t - time, v, *entry)
                weight = (b - a) * w / (2.0 * torch.pi * torch.cosh(u))
                parts.append((point, *v, weight, time.expand_as(d), F))
        point, v1, v2, weight, time, F = (torch.cat(c, dim=-1).flatten() for c in zip(*parts, strict=True))
        return Paths(point, [v1, v2], weight, time, F).part(weight > 0.0)

    def depth(self, way: Tensor, v: list[Tensor], space: list[Tensor]) -> Tensor:
        """T on the way back for the times `way` (paths, n) from `space` (paths,)."""
        equation = self.case.equation
        if equation.sigma_s.constant is not None and equation.sigma_a.constant is not None:
            return (equation.sigma_s.constant / self.eps**2 + equation.sigma_a.constant) * way
        z, w = unit_range(DEPTHS, way.device)
        steps = way.unsqueeze(-1) * z / self.eps
        there = [a[:, None, None] - steps * b[:, None, None] for a, b in zip(space, v, strict=True)]
        return way * (self.total(*there) @ w)

    def collided(self, paths: Paths, network: Network, t: Tensor, space: list[Tensor]) -> Tensor:
        """The integral along every path."""
        z, w = unit_range(PLACES[len(space)], t.device)
        t, space = t[paths.point], [axis[paths.point] for axis in space]
        kappa = (self.total(*space) + torch.zeros_like(t)).clamp_min(1e-12).unsqueeze(-1)
        last = -torch.expm1(-kappa * paths.time.unsqueeze(-1))
        u, du = last * (1.0 - (1.0 - z) ** 2), last * 2.0 * (1.0 - z) * w
        r = torch.minimum(-torch.log1p(-u) / kappa, paths.time.unsqueeze(-1))
        then = (t.unsqueeze(-1) - r).clamp_min(1e-12)
        there = [a.unsqueeze(-1) - r * b.unsqueeze(-1) / self.eps for a, b in zip(space, paths.v, strict=True)]
        there = [place.clamp(*interval) for place, interval in zip(there, self.box, strict=True)]
        points = (torch.full_like(r, self.eps), then, *there)
        rho = network(*(values.flatten() for values in points))["rho"].reshape(r.shape)
        born = self.sigma("sigma_s", *there) / self.eps**2 * rho
        born = born + evaluate(self.case.equation.source, t=then, **dict(zip("xy", there, strict=False)))
        return (born * torch.exp(kappa * r - self.depth(r, paths.v, space)) / kappa * du).sum(-1)

    def fields(self, network: Network, t: Tensor, *space: Tensor) -> list[Tensor]:
        """rho and the components of the flux at points (B,)."""
        make, axes = (self.slab, self.plane)[len(space) - 1], list(space)
        totals = [torch.zeros_like(t) for _ in range(1 + len(space))]

        def add(paths: Paths, f: Tensor) -> None:
            totals[0].index_add_(0, paths.point, paths.weight * f)
            for J, v in zip(totals[1:], paths.v, strict=True):
                J.index_add_(0, paths.point, paths.weight * v * f / self.eps)

        free = make(ENTERING, t, *space)
        free = free.part(free.entering != 0.0)
        start = [axis[free.point] for axis in axes]
        add(free, free.entering * torch.exp(-self.depth(free.time.unsqueeze(-1), free.v, start)[:, 0]))
        paths = make(SPEEDS[len(space)], t, *space)
        for first in range(0, paths.point.numel(), CHUNK):
            some = paths.part(slice(first, first + CHUNK))
            add(some, self.collided(some, network, t, axes))
        return totals

    def mix(self, own: dict[str, Tensor], network: Network, t: Tensor, *space: Tensor) -> None:
        """Give the iterate its share of the network's own fields at points (B,), in place."""
        share = self.share(*space)
        chosen = torch.nonzero(share)[:, 0]
        places = [axis[chosen] for axis in space]
        names = ("rho", "J") if len(space) == 1 else ("rho", "J1", "J2")
        for name, flown in zip(names, self.fields(network, t[chosen].clamp_min(1e-12), *places), strict=True):
            own[name][chosen] += share[chosen] * (flown - own[name][chosen])
