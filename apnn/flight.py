r"""Free flight of a gas from its initial Maxwellians: what is known before a network learns.

$$ F(t,x,v) = M[\rho_0,u_0,T_0](x-vt, v), \qquad (\partial_t + v\,\partial_x)F = 0 . $$

Beyond an in-flow end the state that flows in stands in for the initial one, beyond a free end the end's own state goes on.
Moments $U_F = \langle mF\rangle$ come from the trapezoidal rule in v; where the data jump at y_k, from Gauss panels split at
$v = (x-y_k)/t$, and their derivatives fall on the Maxwellian instead of the data (y = x - vt as the variable):

$$ \partial_xU_F = \frac1t\Big\langle\partial_v(mM)\Big\rangle_y, \qquad
   \partial_tU_F = -\frac{U_F}t - \frac1t\Big\langle v\,\partial_v(mM)\Big\rangle_y . $$

With transverse velocities (d > 1) F is reduced to f1 = int F and f2 = int |v_perp|^2 c F, c = 2/(d-1), so that the
equilibrium of f2 is 2 T M and the energy is <v^2 f1>/2 + (d-1)<f2>/4.

Scales that the data bring along: the time $t_0 = 1/\max|(|u|+c)\,\partial_x(\ln\rho, u/\sqrt T, \ln T)|$ after which a profile
has moved by its own length (0 if it jumps), and, between unequal ends, the speeds of the waves of the limit's Riemann problem.

References: Chu (1965), Phys. Fluids 8, 12, DOI 10.1063/1.1761077 (reduction); Toro (2009), Riemann Solvers and Numerical Methods
for Fluid Dynamics, chapter 4, DOI 10.1007/b79761 (waves).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.maxwellian import make_maxwellian
from solvers.problem.riemann_states import middle_states
from solvers.problem.status import BadInput

from .expression import evaluate
from .quadrature import unit_range

if TYPE_CHECKING:
    from .fronts import Course

maxwellian = make_maxwellian(torch.exp, torch.sqrt)

#: velocity nodes of the moments: in all, and on each side of a jump
NODES, PANEL = 144, 48
#: so many times t0 after the start smooth data have steepened and sent out their waves
PARTED = 1.0
#: places where the data are looked at
SAMPLES = 4001
#: thermal speeds that hold a Maxwellian to round-off
FAR = 7.5
FIELDS = ("rho", "u", "T")


@dataclass(frozen=True)
class Wave:
    """One wave of the limit's Riemann problem: x = origin + speed t, or the course that a shock of smooth data takes."""

    speed: float
    shock: bool
    course: "Course | None" = None


class Flight:
    """F of one case; d velocity components.

    d, gamma         velocity components, adiabatic exponent
    ends             state (rho, u, T) beyond the left and the right end, None if periodic
    jumps, similar   where the data jump or have a cusp; whether they are two constants and nothing else
    t0, length       the scales of the data: time and half length of the steepest profile
    parted           whether smooth data send out their waves before t_end: then the courses of shocks are known
    origin, waves    place of the steepest density between unequal ends, and the waves that leave it
    low, high        velocities that hold every state to round-off
    cold, hot        extreme temperatures, those between the waves included
    """

    def __init__(self, case: Case, d: int, device: str) -> None:
        self.case, self.d, self.device = case, d, device
        self.gamma = (d + 2.0) / d
        self.left, self.right = case.domain.x
        self.span = self.right - self.left
        self.periodic = case.boundary.left.kind == "periodic"
        for name in ("left", "right"):
            side = getattr(case.boundary, name)
            if side.kind not in ("periodic", "free", "inflow"):
                raise BadInput(
                    f"boundary.{name}.kind = '{side.kind}': gases train with periodic, free and in-flow ends"
                )
            for key in FIELDS:
                formula = getattr(side, key)
                if formula is not None and "t" in formula.names:
                    raise BadInput(f"boundary.{name}.{key}: gases train with an in-flow that does not depend on t")
        x = torch.linspace(self.left, self.right, SAMPLES, dtype=torch.float64)
        profile = torch.stack(self.given(x))
        self.ends = None if self.periodic else (self.beyond("left"), self.beyond("right"))
        rho, u, T = profile
        self.jumps = self.find_jumps()
        sides = {tuple(column) for column in profile[:, ::8].T.tolist()}
        self.similar = len(self.jumps) == 1 and len(sides) <= 3 and not self.periodic
        dx = self.span / (SAMPLES - 1)
        slopes = torch.stack([rho.log().diff(), u.diff() / T[1:].sqrt(), T.log().diff()]).abs().amax(0) / dx
        rate = float(((u.abs() + (self.gamma * T).sqrt())[1:] * slopes).max())
        self.t0 = 0.0 if self.similar else 1.0 / max(rate, 0.1 / case.domain.t_end)
        steep = rho.diff().abs()
        self.length = min(0.5 * float((rho.max() - rho.min()) / (steep.max() / dx + 1e-12)), self.span)
        self.origin = float(x[int(steep.argmax())] + 0.5 * dx) if not self.jumps else self.jumps[0]
        unequal = self.ends is not None and self.ends[0] != self.ends[1]
        age = case.domain.t_end / self.t0 if unequal and not self.jumps else 0.0
        self.parted = age > PARTED
        self.find_velocities(profile)
        self.waves = self.find_waves()
        step = (self.high - self.low) / (NODES - 1)
        self.v = torch.linspace(self.low, self.high, NODES, dtype=torch.float64, device=device)
        self.w = torch.full_like(self.v, step)
        self.z, self.wz = unit_range(PANEL, device)

    def given(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """rho0, u0, T0 inside the domain."""
        rho, u, T = (evaluate(getattr(self.case.initial, name), x=x, eps=torch.ones_like(x)) for name in FIELDS)
        return rho, u, T

    def beyond(self, side: str) -> tuple[float, float, float]:
        end = getattr(self.case.boundary, side)
        place = torch.tensor([self.left if side == "left" else self.right], dtype=torch.float64)
        if end.kind == "inflow":
            one = torch.ones_like(place)
            rho, u, T = (float(evaluate(getattr(end, name), t=0.0 * one, eps=one)) for name in FIELDS)
        else:
            rho, u, T = (float(value) for value in self.given(place))
        return rho, u, T

    def initial(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """rho, u, T where a particle comes from, on the whole line."""
        if self.periodic:
            return self.given(self.left + torch.remainder(y - self.left, self.span))
        assert self.ends is not None
        found = []
        for value, a, b in zip(self.given(y.clamp(self.left, self.right)), *self.ends, strict=True):
            value = torch.where(y < self.left, torch.full_like(y, a), value)
            found.append(torch.where(y > self.right, torch.full_like(y, b), value))
        return found[0], found[1], found[2]

    def find_jumps(self) -> list[float]:
        """Places where a profile changes over a distance of 1e-10: by bisection of the steepest intervals, all at once."""
        edges = torch.linspace(self.left, self.right, 65, dtype=torch.float64) + 1e-7 * self.span
        a, b = edges[:-1], edges[1:].clamp(max=self.right)
        for _ in range(34):
            grid = torch.stack([a, 0.5 * (a + b), b], -1)
            rho, u, T = self.given(grid)
            change = rho.log().diff().abs() + u.diff().abs() + T.log().diff().abs()
            lower = change[:, 0] > change[:, 1]
            a, b = torch.where(lower, a, grid[:, 1]), torch.where(lower, grid[:, 1], b)
        found: list[float] = (0.5 * (a + b))[change.amax(-1) > 1e-6].tolist()
        return found

    def find_waves(self) -> list[Wave]:
        if self.ends is None or self.ends[0] == self.ends[1]:
            return []
        middle = middle_states(*self.ends, self.gamma)

        found, jumps = [Wave(middle[0][1], False)], {}
        for sign, (rho, u, T), (rho_m, u_m, T_m) in zip((-1, 1), self.ends, middle, strict=True):
            ratio = rho_m * T_m / (rho * T)
            sound, inner = math.sqrt(self.gamma * T), math.sqrt(self.gamma * T_m)
            if ratio > 1.0:
                mach = math.sqrt(((self.gamma + 1.0) * ratio + self.gamma - 1.0) / (2.0 * self.gamma))
                found.append(Wave(u + sign * sound * mach, True))
                jumps[found[-1]] = sign * abs(u_m - u)
            else:
                found += [Wave(u + sign * sound, False), Wave(u_m + sign * inner, False)]
        found.sort(key=lambda wave: wave.speed)
        if jumps and self.parted:
            from .fronts import track  # the compiled solvers come with it

            return track(self, found, jumps)
        return found

    def place_of(self, wave: Wave, t: Tensor) -> Tensor:
        """Where a wave is at the times t."""
        return self.origin + wave.speed * t if wave.course is None else wave.course.place(t)

    def find_velocities(self, profile: Tensor) -> None:
        states = [tuple(column) for column in profile[:, ::40].T.tolist()]
        if self.ends is not None:
            states += [*self.ends, *middle_states(*self.ends, self.gamma)]
        self.cold, self.hot = min(T for _, _, T in states), max(T for _, _, T in states)
        self.states = states
        self.low, self.high = self.reach(FAR)

    def reach(self, k: float) -> tuple[float, float]:
        """Velocities within k thermal speeds of every state, and some room for those that develop."""
        room = 0.3 * math.sqrt(self.hot)
        low = min(u - k * math.sqrt(T) for _, u, T in self.states)
        return low - room, max(u + k * math.sqrt(T) for _, u, T in self.states) + room

    def best_reach(self, nodes: int) -> tuple[float, float]:
        """The reach at which equidistant nodes lose as much by cut tails, exp(-k^2/2), as by aliasing, exp(-2 pi^2 T/dv^2)."""

        def loss(k: float) -> float:
            low, high = self.reach(k)
            return max(
                math.exp(-0.5 * k * k), math.exp(-2.0 * math.pi**2 * self.cold * ((nodes - 1) / (high - low)) ** 2)
            )

        return self.reach(min(np.linspace(3.5, FAR, 100), key=loss))

    def quadrature(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes and weights (n,), or (..., B, n) if split at jumps."""
        if not self.jumps:
            return self.v, self.w
        splits = [(x - y) / t for y in reversed(self.jumps)]
        edges = [torch.full_like(t, self.low), *splits, torch.full_like(t, self.high)]
        supports = [(self.low, self.high)] * (len(edges) - 1)
        if self.similar:  # the slow particles come from the right
            assert self.ends is not None
            supports = [(u - FAR * math.sqrt(T), u + FAR * math.sqrt(T)) for _, u, T in reversed(self.ends)]
        v, w = [], []
        for a, b, (low, high) in zip(edges[:-1], edges[1:], supports, strict=True):
            a, b = a.clamp(low, high).unsqueeze(-1), b.clamp(low, high).unsqueeze(-1)
            v.append(a + (b - a) * self.z)
            w.append((b - a) * self.wz)
        return torch.cat(v, dim=-1), torch.cat(w, dim=-1)

    def sums(self, t: Tensor, x: Tensor, slopes: bool = False) -> list[Tensor]:
        """U_F = <(1, v, e, v^2, v e) F>, e the energy, (..., 5, B); with `slopes` <d_v(mM)>, <v d_v(mM)> as well."""
        v, w = self.quadrature(t, x)
        rho, u, T = self.initial(x.unsqueeze(-1) - v * t.unsqueeze(-1))
        f = maxwellian(rho, u, T, v) * w
        e = 0.5 * v**2 + 0.5 * (self.d - 1.0) * T
        powers = [torch.ones_like(f), v, e, v**2, v * e]
        found = [torch.stack([(f * p).sum(-1) for p in powers], dim=-2)]
        if slopes:
            z = (v - u) / T
            inner = [-z, 1.0 - v * z, v - e * z, 2.0 * v - v**2 * z, e + v**2 - v * e * z]
            found += [torch.stack([(f * p * q).sum(-1) for q in inner], dim=-2) for p in (torch.ones_like(v), v)]
        return found

    def moments(self, t: Tensor, x: Tensor) -> Tensor:
        """U_F (..., 5, B)."""
        return self.sums(t, x)[0]

    def moments_with_slopes(self, t: Tensor, x: Tensor) -> Tensor:
        """U_F, d_t U_F, d_x U_F: (..., 3, 5, B)."""
        if self.jumps:
            value, by_v, by_v1 = self.sums(t, x, slopes=True)
            t_ = t.unsqueeze(-2)
            return torch.stack([value, -(value + by_v1) / t_, by_v / t_], dim=-3)
        one = torch.ones_like(t)
        value, by_t = torch.func.jvp(lambda s: self.moments(s, x), (t,), (one,))
        _, by_x = torch.func.jvp(lambda s: self.moments(t, s), (x,), (one,))
        return torch.stack([value, by_t, by_x], dim=-3)

    def state(self, U: Tensor) -> Tensor:
        """(ln rho, u, ln T) of moments (..., 5, B) along axis -2."""
        rho, u = U[..., 0, :], U[..., 1, :] / U[..., 0, :]
        return torch.stack([rho.log(), u, ((2.0 * U[..., 2, :] / rho - u**2) / self.d).log()], dim=-2)

    def on(self, v: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """The components of F on nodes v, (..., B, components v)."""
        rho, u, T = self.initial(x.unsqueeze(-1) - v * t.unsqueeze(-1))
        f = maxwellian(rho, u, T, v)
        return f if self.d == 1 else torch.cat([f, 2.0 * T * f], dim=-1)
