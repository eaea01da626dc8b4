r"""BGK and ES-BGK on top of free flight: a Maxwellian and a moment-free correction, exact in both limits, no loss at t = 0.

$$ f = E\,F + h\,G, \quad E = e^{-t/\varepsilon},\ h = 1 - E, \qquad G = M[W] + C, \quad C = a\,\hat g, \quad
   \langle m\hat g\rangle = 0, $$

with the free flight F of `flight.py`.  F is transported exactly, so the equation becomes $G + \varepsilon h\,DG = \mathcal
G[f]$ with $D = \partial_t + v\partial_x$.  The equilibrium 𝒢 (M for BGK) is that of the whole f, whose conserved moments are
$U = E\,U_F + h\,U_W$ and whose stress is $E\,S_F + h(\rho(u^2+T)_W + \langle v^2C\rangle)$.  Residuals:

$$ R_{\rm kinetic} = \big[M[W] + C - \mathcal G[f] + \varepsilon h\,D(M[W]+C)\big]/a , $$
$$ R_{\rm mass,\,momentum,\,energy} = \omega\Big[\partial_t U_W + \partial_x\big(F_{\rm Euler}(W) + \langle v m C\rangle\big)
   + \frac{E}{\varepsilon h}(U_W - U_F)\Big] . $$

For smooth data whose waves do not part two more rows are the fluxes of momentum and energy that a defect of the kinetic equation
makes, as the conservation laws of f see them if it varies 4 times faster than the data: heat is carried by few fast particles, which
the mean square over the nodes hardly sees,

$$ R_{\rm flux} = 4h\,\frac\omega{t_0\sqrt T}\,\big\langle v\,(v, \tfrac12v^2)\,a R_{\rm kinetic}\big\rangle . $$

omega = t + t_0 makes the second line O(1) (less in the shocks of a jump); for eps -> 0 it is the Euler system:
asymptotic-preserving.  The network gives N and ghat on velocity nodes,

$$ (\ln\rho, u, \ln T)_W = (\ln\rho, u, \ln T)_F + \Big(\frac{t}{t+t_0}\Big)^2 N , \qquad
   a = \frac{\ell}{\ell+t+t_0},\ \ \ell = \frac{\varepsilon t}{\varepsilon+t} . $$

The moments of free flight have the right first derivative in t at t = 0 for every eps (that of Euler), so N starts with the
square of t.  a is the size of Chapman and Enskog's correction at gradients 1/(t+t_0), 1 in the shocks of a jump and in the
layers of the ends.  The moments of ghat are removed by one fixed matrix.

**Waves that have parted** before t_end.  Where smooth data steepen to shocks free flight is far from the state W of small
eps: gas ahead of a shock does not know of it.  There a distribution G* is known, an equilibrium that has flown (`known.py`), by
its moments alone: f = E F + h (G* + M[W] - M[W*] + C), W* the state of G*, which (ln rho, u, ln T)_W starts from, and since

$$ G^* + \varepsilon h\,DG^* = \mathcal G^*, \qquad
   \langle m\mathcal G^*\rangle = U^* + \varepsilon h\,(\partial_tU^*+\partial_x\langle vmG^*\rangle), $$

rows need G* on no velocity.  A is smaller by the factor a, and the network begins at zero.  N and ghat carry a window that closes
ahead of the waves, and rows are those of an observer who moves with the known u, relative to the known rho: thin gas counts as
dense gas does.  Fields of a trained network are the moments of its own equilibrium after one more flight.

**A jump** between two constants has t_0 = 0 and no scale: f depends on (x/t, t/eps, v) alone, and so do the inputs, among
them the places of the waves of the limit's Riemann problem in units of their thickness.  There the known part of W are both
ends' states and their mean between the waves, and N and ghat carry a window that closes outside: nothing else would keep
the gas there in its state once E is gone.

**Ends.**  At an end that lets gas in, G must enter as F does:

$$ R_{\rm left} = \frac{t+t_0}{t}\,h\,(G - M_{\rm left}),\ v>0, \qquad R_{\rm right}\ \text{likewise},\ v<0 , $$

relative to what has changed at an end by the time t, node by node by what it brings to the inflow of energy.  Gas that reaches
an in-flow jumps to it within Knudsen's layer, eps sqrt(T) thick, and cools or heats over 2 sqrt(eps T t) outside: both are
columns of the network and hold points of their own; nodes are then Gauss points of either half range, since f jumps at v = 0;
conservation laws count in the thin layer by what its integral is to that of the thick one.

References: Jin, Ma, Wu (2023), arXiv:2306.15381 (the conservation-law formulation that this one changes); Chapman, Cowling
(1970), The Mathematical Theory of Non-uniform Gases, chapter 7.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case

from .features import by_column, columns, harmonics, product, scales, split_columns, value_and_slopes, with_tangents
from .flight import Flight, Wave, maxwellian
from .gaussian import COLDEST, tensor_of
from .kept import Kept
from .network import linear
from .quadrature import half_range_maxwell
from .sampling import times
from .slab import Walls

if TYPE_CHECKING:
    from .known import Known

CONSERVED = ("mass", "momentum", "energy")
HARMONICS = 2
#: thickness of a shock and of an end's layer, in eps sqrt(T)
SHOCK, LAYER = 4.0, 2.0
#: share of the points around the shocks of smooth data, and in the layers of ends that other gas reaches
FRONT, EDGE = 0.3, 0.3
#: size of the correction in the layer of an end, relative to the change of the state there
INNER = 0.3
#: an end is reached when free flight changes its state by so much
REACHED = 1e-3
#: how many times faster in x than the data the defects of kinetic rows vary (4 to 6 on trained networks)
FINER = 4.0
#: weight of a row on an end
WALL = 3.0
#: earliest share of t_end where the logarithmic part of the times begins for jumping data
EARLY = 1e-5


@dataclass
class Batch:
    """Everything that does not depend on the parameters, at points of shape (..., B)."""

    inputs: Tensor  # (..., 3, B, features): value, d_t, d_x
    t: Tensor
    eps: Tensor
    x: Tensor
    base: Tensor  # (..., 3, B, 3): (ln rho, u, ln T) without the network, with d_t, d_x
    A: Tensor  # (..., 3, B): amplitude of N
    a: Tensor  # (..., 3, B): amplitude of ghat
    size: Tensor  # (..., B): a, what the kinetic rows are divided by
    ease: Tensor  # (..., B): factor of the conservation laws' rows
    h: Tensor  # (..., B): 1 - E
    far: Tensor  # (..., B): eps h
    relax: Tensor  # (..., B): E/(eps h)
    free: Tensor  # (..., B, 5): E U_F, second moment, energy flux
    unit: Tensor  # (..., B): the known rho where waves have parted, else 1: rows are relative to it
    weights: Tensor  # (..., 3, B, components v): of C, C_t, C_x in the kinetic rows
    flown: "Flown | None"
    walls: Walls


@dataclass
class Flown:
    """What the known G* does to the rows at points (..., B)."""

    push: Tensor  # (..., B, 3): d_x of its fluxes of mass, momentum, energy beyond Euler's
    stress: Tensor  # (..., B): <v^2 (G* - M[W*])>
    rest: Tensor  # (..., B, components v): G* + eps h DG* - (M[W*] + eps h DM[W*])


@dataclass
class Solution:
    """W = (ln rho, u, ln T) and C with their derivatives: (..., 3, B, 3) and (..., 3, B, v)."""

    W: Tensor
    C: Tensor


class _Correction(torch.autograd.Function):
    """C with d_t, d_x -> its part of the kinetic rows (..., B, v), <v m C_x> (..., B, 3), and <v^2 C> (..., B, 1) if asked for."""

    @staticmethod
    def forward(
        ctx: Any, C: Tensor, weights: Tensor, flux: Tensor, second: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        ctx.save_for_backward(weights, flux, second)
        row = weights[..., 0, :, :] * C[..., 0, :, :]
        for k in (1, 2):
            row.addcmul_(weights[..., k, :, :], C[..., k, :, :])
        return row, linear(C[..., 2, :, :], flux), None if second is None else linear(C[..., 0, :, :], second)

    @staticmethod
    def backward(ctx: Any, row: Tensor, flux_x: Tensor, stress: Tensor | None) -> tuple[Tensor | None, ...]:
        weights, flux, second = ctx.saved_tensors
        found = weights * row.unsqueeze(-3)
        found[..., 2, :, :].add_(linear(flux_x, flux.T))
        if stress is not None:
            found[..., 0, :, :].add_(linear(stress, second.T))
        return found, None, None, None


class Gas:
    """The formulation for `d` velocity components and the stress share `nu` of the equilibrium (0 is BGK)."""

    asymptotic_preserving = True
    float32 = False  # U_W - U_F and M[W] - G[f] are small differences, divided by eps h and by a
    fields: tuple[str, ...] = ("rho", "u", "T", "q")

    def __init__(self, case: Case, velocities: int, device: str, d: int, nu: float) -> None:
        self.case, self.device, self.d, self.nu = case, device, d, nu
        self.flight = flight = Flight(case, d, device)
        self.low, self.high = case.domain.x
        self.t_end = case.domain.t_end
        self.periodic = flight.periodic
        self.parted = flight.parted
        # what leaves a jump, or waves that have parted, does not reach a free end: N and ghat carry a window
        self.windowed = flight.similar or self.parted
        shut = ("periodic", *("free",) * self.windowed, *("inflow",) * flight.similar)
        self.open_ends = tuple(side for side in ("left", "right") if getattr(case.boundary, side).kind not in shut)
        self.fluxes = not (self.parted or flight.jumps)
        self.residual_names = (*CONSERVED, "kinetic", *(("flux",) if self.fluxes else ()), *self.open_ends)
        self.reached = tuple(side for side in self.open_ends if self.is_reached(side))
        low, high = flight.best_reach(velocities)
        if self.reached:
            rule = half_range_maxwell(velocities, (flight.cold * flight.hot) ** 0.5)
            self.v, self.w = (torch.as_tensor(part, device=device) for part in rule)
        else:
            self.v = torch.linspace(low, high, velocities, dtype=torch.float64, device=device)
            self.w = torch.full_like(self.v, float(self.v[1] - self.v[0]))
        self.components = 1 if d == 1 else 2
        middle = 0.5 * (low + high)
        z = (self.v - middle) / flight.hot**0.5
        rows = 1.0 + z**2 / 3.0 + z.abs() ** 3 / 6.0
        sizes = [1.0] if d == 1 else [1.0, 2.0 * flight.hot]
        # behind strong shocks the heat flux hangs on these rows: there their squares are integrals over v/sqrt(T) of f sqrt(T)
        weight = float(high - low) ** 0.5 * flight.hot**0.25 if self.parted else 1.0 / (1.0 + flight.hot)
        self.row_weight = weight * torch.cat([rows / size for size in sizes])
        enters = (1.0 + z.abs() ** 3) * self.w / self.w.mean()  # up to its part of the energy that flows in
        self.wall_weight = torch.cat([enters / size for size in sizes])
        zero, one = torch.zeros_like(self.v), torch.ones_like(self.v)
        first = [one, self.v, 0.5 * self.v**2]
        second = [zero, zero, 0.25 * (d - 1.0) * one]
        powers = self.joined(first, second)
        envelope = torch.exp(-((self.v - middle) ** 2) / (2.5 * flight.hot))
        basis = self.joined([envelope, envelope * z, envelope * z**2], [zero, zero, zero])
        weights = self.w.repeat(self.components)[:, None]
        weighted = weights * powers
        envelopes = torch.cat([envelope * size for size in sizes])
        # C = (envelope * outputs) P has no mass, momentum, energy for any outputs
        remove = basis @ torch.linalg.solve(weighted.T @ basis, weighted.T)
        unit = torch.eye(envelopes.numel(), dtype=torch.float64, device=device)
        self.project = envelopes[:, None] * (unit - remove.T)
        speeds = self.v.repeat(self.components)[:, None]
        self.flux = weights * speeds * powers  # <v m C> = C @ flux
        self.defect = (self.flux / self.row_weight[:, None])[:, 1:]
        self.second = weights[:, 0] * torch.cat([self.v**2, zero][: self.components])
        self.conserve = weighted
        # ln of a Gaussian is a polynomial in v: its powers, and those of its derivative along d_t + v d_x, (powers, components v)
        self.speeds = v = speeds[:, 0]
        unit, after = torch.ones_like(v), torch.cat([zero, one])[: len(v)]
        self.squares = torch.stack([unit, v, v**2, after][: 2 + self.components])
        self.cubes = torch.stack([unit, v, v**2, v**3, after, v * after][: 2 + 2 * self.components])
        x = torch.linspace(self.low, self.high, 401, dtype=torch.float64, device=device)
        data = torch.stack(flight.initial(x))
        data = torch.stack([data[0].log(), data[1], data[2].log()], dim=-1)
        self.offset, self.spread = data.mean(0), (data.amax(0) - data.amin(0)).clamp_min(1.0)
        self.basis = None
        self.known: Known | None = None
        self.begins_at_zero = self.parted  # a network that starts at random must first unlearn that
        if self.parted:
            from .known import known_part  # the compiled solvers come with it

            self.known = known_part(case, flight, device)
        probe = torch.full((1,), 0.5 * self.t_end, dtype=torch.float64, device=device)
        middle_x = torch.full_like(probe, 0.5 * (self.low + self.high))
        self.places = 3 + len(self.place(probe, probe, middle_x))
        self.inputs = self.places + len(self.times(probe, probe))
        self.kept = Kept(self.columns)
        self.outputs = 3 + self.components * velocities

    def is_reached(self, side: str) -> bool:
        """Whether other gas comes to an in-flow before t_end."""
        if getattr(self.case.boundary, side).kind != "inflow":
            return False
        assert self.flight.ends is not None
        times = self.t_end * torch.linspace(0.1, 1.0, 10, dtype=torch.float64, device=self.device)
        end = self.low if side == "left" else self.high
        left, right = self.end_states(times)
        state = self.flight.state(self.flight.moments(times, torch.full_like(times, end)))
        return bool((state.T - (left if side == "left" else right)).abs().max() > REACHED)

    def joined(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Columns over the nodes of all components."""
        top, bottom = torch.stack(first, dim=-1), torch.stack(second, dim=-1)
        return top if self.components == 1 else torch.cat([top, bottom])

    # --- inputs

    def shock_width(self, eps: Tensor, t: Tensor) -> Tensor:
        """Thickness of the limit's shocks; the free mixing of two streams is never thinner than they."""
        return SHOCK * self.flight.hot**0.5 * eps * t / (eps + t) + 1e-4 * t

    def wave_width(self, wave: Wave, eps: Tensor, t: Tensor) -> Tensor:
        """Thickness of a wave: what the data give it and, where it has parted from the others, what collisions do.

        All but shocks spread like a square root.
        """
        length = self.flight.length
        width = self.shock_width(eps, t)
        if wave.course is not None:
            return torch.sqrt(wave.course.width(t) ** 2 + width**2)
        if not self.windowed:
            return torch.full_like(t, length)
        if wave.shock:
            return width
        spread = width * t * self.flight.hot**0.5
        return torch.sqrt(spread + (length**2 if self.parted else 0.0))

    def behind(self, wave: Wave, t: Tensor, x: Tensor) -> Tensor:
        """How far x lies to the right of a wave."""
        return x - self.flight.place_of(wave, t)

    def within(self, wave: Wave, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """1 in the middle of a wave, nothing outside of its thickness."""
        return 1.0 - torch.tanh(0.5 * self.behind(wave, t, x) / self.wave_width(wave, eps, t)) ** 2

    def layer(self, eps: Tensor) -> Tensor:
        return LAYER * self.flight.hot**0.5 * eps

    def conduction(self, eps: Tensor, t: Tensor) -> Tensor:
        """How far heat of diffusivity eps T has come from an end, outside its layer."""
        return 2.0 * torch.sqrt(self.flight.hot * eps * (t + eps))

    def away(self, side: str, x: Tensor) -> Tensor:
        """Distance from an end."""
        return x - self.low if side == "left" else self.high - x

    def place(self, eps: Tensor, t: Tensor, x: Tensor) -> list[Tensor]:
        """Columns that know x, without the moments of F."""
        flight = self.flight
        if self.periodic:
            return harmonics(x, (self.low, self.high), HARMONICS)
        s = x - flight.origin
        if flight.similar:
            fan = 0.3 * (flight.high - flight.low) * t
            columns = [s / torch.sqrt(s**2 + fan**2)]
        else:
            columns = [2.0 * s / flight.span]
            for side in ("left", "right"):
                columns.append(torch.exp(-self.away(side, x) / (self.layer(eps) + 1e-3 * flight.span)))
            for side in self.reached:
                columns.append(torch.exp(-self.away(side, x) / self.conduction(eps, t)))
        for wave in flight.waves:
            columns.append(torch.tanh(self.behind(wave, t, x) / self.wave_width(wave, eps, t)))
        return columns

    def times(self, eps: Tensor, t: Tensor) -> list[Tensor]:
        """Columns of eps and t."""
        if self.flight.similar:
            age = t / eps
            return [age / (age + 5.0), age / (age + 0.5), torch.log10(age + 0.02) / 2.0 - 0.3, age / (age + 50.0)]
        return [t / (t + self.flight.t0), *scales(eps, t, eps, self.t_end)]

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs (..., B, features)."""
        state = self.state(eps, t, x, self.flight.moments(t, x))
        return torch.cat([(state - self.offset) / self.spread, self.simple(eps, t, x)], dim=-1)

    def state(self, eps: Tensor, t: Tensor, x: Tensor, streamed: Tensor) -> Tensor:
        """(ln rho, u, ln T) of free flight with the moments `streamed` (..., 5, B), and what is known beyond it, (..., B, 3)."""
        free = self.flight.state(streamed).transpose(-1, -2)
        return free if self.known is None else free + self.known(eps, t, x)[..., :3]

    def simple(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return torch.stack([*self.place(eps, t, x), *self.times(eps, t)], dim=-1)

    # --- known parts

    def window(self, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """1 right of all that the first wave has reached, and right of all that the last has."""
        found = []
        for end, sign in ((0, 1.0), (-1, -1.0)):
            z = self.behind(self.flight.waves[end], t, x) / self.reach(end, eps, t)
            found.append(0.5 * (1.0 + torch.tanh(z + 3.0 * sign)))
        return found[0], found[1]

    def reach(self, end: int, eps: Tensor, t: Tensor) -> Tensor:
        """Length over which the first or last wave is felt ahead of it: its width, or the way of fast particles."""
        wave = self.flight.waves[end]
        beyond = 0.0 if self.flight.similar else self.flight.length
        fastest = (self.v[end] - wave.speed).abs() / 6.0 * t + beyond
        return 1.0 / (1.0 / (self.wave_width(wave, eps, t) + beyond) + 1.0 / fastest)

    def end_states(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """(ln rho, u, ln T) beyond the left and the right end, (3,)."""
        assert self.flight.ends is not None
        left, right = (torch.tensor([math.log(rho), u, math.log(T)]).to(like) for rho, u, T in self.flight.ends)
        return left, right

    def jump_base(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(ln rho, u, ln T) without the network for a jump, (..., B, 3): both ends' states, and their mean between the waves."""
        first, last = self.window(eps, t, x)
        left, right = self.end_states(x)
        return left + (right - left) * (0.5 * (first + last)).unsqueeze(-1)

    def amplitudes(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """A, the amplitude of ghat and its size a, stacked along axis -2."""
        flight = self.flight
        closed = torch.ones_like(t)
        if self.windowed:
            first, last = self.window(eps, t, x)
            closed = first * (1.0 - last)
        A = closed * (t / (t + flight.t0)) ** 2
        short = eps * t / (eps + t)
        a = short / (short + t + flight.t0)
        rest = 1.0 - a
        if self.windowed:
            for wave in flight.waves:
                if wave.shock:
                    width = self.wave_width(wave, eps, t)
                    sharp = self.shock_width(eps, t) / width
                    a = a + rest * sharp * (1.0 - torch.tanh(self.behind(wave, t, x) / width) ** 2)
        for side in self.open_ends:
            a = a + rest * A * INNER * torch.exp(-self.away(side, x) / self.layer(eps))
        for side in self.reached:
            deep = self.conduction(eps, t)
            a = a + rest * A * eps / deep * torch.exp(-self.away(side, x) / deep)
        if self.known is not None:
            A = A * a
        return torch.stack([A, a * closed, a], dim=-2)

    def ease(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """t + t0, less in shocks, where slopes are larger: what counts there is the integral over their width."""
        flight = self.flight
        factor = torch.ones_like(t)
        if self.windowed:
            fan = (flight.waves[-1].speed - flight.waves[0].speed) * t
            for wave in flight.waves:
                if wave.shock:
                    width = self.wave_width(wave, eps, t)
                    factor = factor + self.within(wave, eps, t, x) * fan / (4.0 * width)
        for side in self.reached:
            layer = self.layer(eps)
            factor = factor + torch.exp(-self.away(side, x) / layer) * self.conduction(eps, t) / layer
        return (t + flight.t0) / factor

    def wall(self, side: str, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes of the entering directions and the value of G on them, (..., B, entering)."""
        assert self.flight.ends is not None
        sign, (rho, u, T) = (1.0, self.flight.ends[0]) if side == "left" else (-1.0, self.flight.ends[1])
        entering = (sign * self.v).repeat(self.components) > 0.0
        one = torch.ones(1, dtype=torch.float64, device=self.v.device)
        M = maxwellian(rho * one, u * one, T * one, self.v)
        value = M if self.components == 1 else torch.cat([M, 2.0 * T * M])
        nodes = entering.nonzero()[:, 0]
        return nodes, value[nodes].expand(*t.shape, -1)

    def columns(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """What is dear at points (N,), with d_t, d_x, (3, N, columns): five moments of F, amplitudes, inputs, what is known."""
        one = torch.ones_like(t)
        sizes, sizes_t = torch.func.jvp(lambda s: self.amplitudes(eps, s, x), (t,), (one,))
        _, sizes_x = torch.func.jvp(lambda s: self.amplitudes(eps, t, s), (x,), (one,))
        parts = [self.flight.moments_with_slopes(t, x), torch.stack([sizes, sizes_t, sizes_x], dim=-3)]
        found = [part.transpose(-1, -2) for part in parts] + [with_tangents(self.simple, eps, t, x)]
        return torch.cat(found if self.known is None else [*found, with_tangents(self.known, eps, t, x)], dim=-1)

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor) -> Batch:
        """The theta-independent part at points (..., B), points on the open ends added."""
        eps, t, x, walls = Walls.add(self, eps, t, x)  # type: ignore[arg-type]
        flight = self.flight
        split = [5, 3, self.inputs - 3, 6 * (self.known is not None)]
        streamed, sizes, simple, known = self.kept(eps, t, x).split(split, dim=-1)
        streamed = streamed.transpose(-1, -2)
        value, by_t = torch.func.jvp(flight.state, (streamed[..., 0, :, :],), (streamed[..., 1, :, :],))
        _, by_x = torch.func.jvp(flight.state, (streamed[..., 0, :, :],), (streamed[..., 2, :, :],))
        state = torch.stack([value, by_t, by_x], dim=-3).transpose(-1, -2)
        flown = None
        if self.known is not None:
            more, beyond = known.split(3, dim=-1)
            state = state + more
            flown = self.flown(eps, t, state, beyond)
        base = with_tangents(self.jump_base, eps, t, x) if flight.similar else state
        A, a, rows = sizes.unbind(-1)
        shift = torch.zeros(3, 1, 3, dtype=base.dtype, device=base.device)
        shift[0] = self.offset
        inputs = torch.cat([(state - shift) / self.spread, simple], dim=-1)
        size = rows[..., 0, :]
        E, h = torch.exp(-t / eps), -torch.expm1(-t / eps)
        unit = base[..., 0, :, 0].exp() if self.parted else torch.ones_like(t)
        far = eps * h
        row = self.row_weight / (size * unit).unsqueeze(-1)
        later = far.unsqueeze(-1) * row
        return Batch(
            inputs,
            t,
            eps,
            x,
            by_column(base),
            A.contiguous(),
            a.contiguous(),
            size,
            self.ease(eps, t, x),
            h,
            far,
            E / far,
            by_column((E.unsqueeze(-2) * streamed[..., 0, :, :]).transpose(-1, -2)),
            unit,
            by_column(torch.stack([row, later, self.speeds * later], dim=-3)),
            flown,
            walls,
        )

    def flown(self, eps: Tensor, t: Tensor, state: Tensor, beyond: Tensor) -> Flown:
        """From W* and <(v^2, v e, v^3) (G* - M[W*])>, both with d_t, d_x, (..., 3, B, 3)."""
        far = (-eps * torch.expm1(-t / eps)).unsqueeze(-1)

        def moments(state: Tensor, beyond: Tensor) -> tuple[Tensor, Tensor]:
            (rho, u, T), (second, energy, third) = state.unbind(-1), beyond.unbind(-1)
            rho, T = rho.exp(), T.exp()
            E = 0.5 * rho * (u**2 + self.d * T)
            along = rho * (u**2 + T) + second
            flux = [rho * u, along, u * (E + rho * T) + energy, rho * u * (u**2 + 3.0 * T) + third]
            return torch.stack([rho, rho * u, E, along], dim=-1), torch.stack(flux, dim=-1)

        (W, W_t, W_x), (C, C_t, C_x) = state.unbind(-3), beyond.unbind(-3)
        (U, _), (U_t, _) = torch.func.jvp(moments, (W, C), (W_t, C_t))
        _, (_, flux_x) = torch.func.jvp(moments, (W, C), (W_x, C_x))
        rho, momentum, energy, second = (U + far * (U_t + flux_x)).unbind(-1)  # of the equilibrium that flew
        u, floor = momentum / rho, COLDEST * self.flight.cold
        T = ((2.0 * energy / rho - u**2) / self.d).clamp_min(floor)
        T11 = (second / rho - u**2).clamp_min(floor) if self.nu else T
        T22 = ((self.d * T - T11) / (self.d - 1.0)).clamp_min(floor) if self.nu else T
        push = torch.cat([torch.zeros_like(C_x[..., :1]), C_x[..., :2]], dim=-1)
        rest = self.equilibrium(rho, u, T11, T22) - self.streaming(state, far[..., 0])
        return Flown(by_column(push), C[..., 0].contiguous(), rest)

    # --- unknowns and residuals

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """Physical unknowns from the network's outputs (..., 3, B, 3 + v)."""
        N, g = split_columns(outputs, 3, outputs.shape[-1] - 3)
        W = batch.base + product(batch.A.unsqueeze(-1), N)
        return Solution(W, product(batch.a.unsqueeze(-1), linear(g, self.project)))

    def solution_of(self, f: Tensor, batch: Batch) -> Solution:
        """The unknowns of a given f on the nodes with d_t, d_x, (..., 3, B, v)."""
        t, x, one = batch.t, batch.x, torch.ones_like(batch.t)

        def rest(g: Tensor, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            E, h = torch.exp(-s / batch.eps).unsqueeze(-1), -torch.expm1(-s / batch.eps).unsqueeze(-1)
            G = (g - E * self.flight.on(self.v, s, y)) / h
            rho, momentum, energy = (G @ self.conserve).unbind(-1)
            u = momentum / rho
            T = (2.0 * energy / rho - u**2) / self.d
            return torch.stack([rho.log(), u, T.log()], dim=-1), G - self.equilibrium(rho, u, T, T)

        zero = torch.zeros_like(one)
        value, by_t = torch.func.jvp(rest, (f[..., 0, :, :], t, x), (f[..., 1, :, :], one, zero))
        _, by_x = torch.func.jvp(rest, (f[..., 0, :, :], t, x), (f[..., 2, :, :], zero, one))
        W, C = (torch.stack(parts, dim=-3) for parts in zip(value, by_t, by_x, strict=True))
        return Solution(W, C)

    def equilibrium(self, rho: Tensor, u: Tensor, along: Tensor, across: Tensor) -> Tensor:
        """The components of the Gaussian with temperatures along and across x, (..., B, components v)."""
        return self.gaussian(rho.log(), u, along.log(), across.log())

    def gaussian(self, ln_rho: Tensor, u: Tensor, ln_along: Tensor, ln_across: Tensor) -> Tensor:
        """The same of logarithms: ln rho - ln(2 pi T)/2 - (v - u)^2/2T, and ln 2T more in the second component."""
        b = torch.exp(-ln_along)
        constant = ln_rho - 0.5 * (ln_along + b * u**2) - 0.5 * math.log(2.0 * math.pi)
        powers = [constant, b * u, -0.5 * b, ln_across + math.log(2.0)]
        return linear(columns(*powers[: 2 + self.components]), self.squares).exp()

    def streaming(self, W: Tensor, far: Tensor) -> Tensor:
        r"""M[W] + far DM[W] on the nodes, (..., B, components v); `far` (..., B).

        With dots for d_t or d_x, d ln M = (ln rho)' + (v-u) u'/T + ((v-u)^2/T - 1) (ln T)'/2, and (ln T)' more in the second
        component.
        """
        value, slopes = value_and_slopes(W.movedim(-1, 0), -2)
        (ln_rho, u, ln_T), (r, m, e) = value, slopes * far.unsqueeze(-2)
        b = torch.exp(-ln_T)
        w = b * u
        (t0, x0), (t1, x1), (t2, x2), (e_t, e_x) = (
            part.unbind(-2) for part in (r - w * m + 0.5 * (w * u - 1.0) * e, b * m - w * e, 0.5 * b * e, e)
        )
        powers = [1.0 + t0, t1 + x0, t2 + x1, x2, e_t, e_x]
        change = linear(columns(*powers[: 2 + 2 * self.components]), self.cubes)
        return self.gaussian(*(part.squeeze(-2) for part in (ln_rho, u, ln_T, ln_T))) * change

    def whole(self, rho: Tensor, u: Tensor, energy: Tensor, second: Tensor | None, batch: Batch) -> Any:
        """rho, u, T, Theta11 of f = E F + h G from rho, u, the energy a particle and <v^2 G>; T for Theta11 without that."""
        free, rho = batch.free.movedim(-1, 0), batch.h * rho
        total = free[0] + rho
        velocity = (free[1] + rho * u) / total
        square = velocity**2
        temperature = ((2.0 * (free[2] + rho * energy) / total - square) / self.d).clamp_min(COLDEST * self.flight.cold)
        if second is None:
            return total, velocity, temperature, temperature
        return total, velocity, temperature, (free[3] + batch.h * second) / total - square

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name: (..., B), (..., B, v) and (..., end points, entering nodes)."""
        d = self.d
        value, slopes = value_and_slopes(solution.W.movedim(-1, 0), -2)
        (ln_rho, u, ln_T), (by_t, by_x) = value.squeeze(-2), slopes.unbind(-2)
        rho, T = ln_rho.exp(), ln_T.exp()
        energy = 0.5 * (u**2 + d * T)

        # Euler's equations of (ln rho, u, ln T), with d_t + u d_x, then of rho (1, u, (u^2 + d T)/2)
        rx, ux, Tx = by_x
        r, m, e = by_t + u * by_x
        r, m, e = r + ux + batch.relax, m + T * (rx + Tx), e + (2.0 / d) * ux
        momentum = u * r + m
        euler = rho * torch.stack([r, momentum, 0.5 * (u * (momentum + m) + d * T * (e + r))])
        second = self.second[:, None] if self.components > 1 else None
        of_C, flux_x, stress = _Correction.apply(solution.C, batch.weights, self.flux, second)
        beyond = flux_x - batch.free[..., :3] / batch.far.unsqueeze(-1)
        if batch.flown is not None:
            beyond = beyond + batch.flown.push
        rows = (euler + beyond.movedim(-1, 0)) * (batch.ease / batch.unit)
        if self.parted:
            moving, hot = batch.base[..., 0, :, 1], self.flight.hot
            m0, m1, m2 = rows
            rows = torch.stack([m0, (m1 - moving * m0) / hot**0.5, (m2 - moving * m1 + 0.5 * moving**2 * m0) / hot])

        if stress is not None:
            stress = rho * (u**2 + T) + stress[..., 0]
            if batch.flown is not None:
                stress = stress + batch.flown.stress
        total, velocity, temperature, along = self.whole(rho, u, energy, stress, batch)
        mixed = self.equilibrium(total, velocity, *tensor_of(temperature, along, d, self.nu))
        far = self.streaming(solution.W, batch.far) - mixed
        if batch.flown is not None:
            far = far + batch.flown.rest
        kinetic = of_C + batch.weights[..., 0, :, :] * far
        named = dict(zip(CONSERVED, rows, strict=True)) | {"kinetic": kinetic}
        if self.fluxes:
            weight = FINER * batch.h * batch.size * batch.ease / (self.flight.t0 * self.flight.hot**0.5)
            named["flux"] = linear(kinetic, self.defect) * weight.unsqueeze(-1)
        if batch.walls.ends:
            growth = batch.t / (batch.t + self.flight.t0)
            weighted = WALL * self.wall_weight * (batch.h / growth).unsqueeze(-1)
            for side, (here, nodes, value) in batch.walls.ends.items():
                M = self.gaussian(*(part[..., here] for part in (ln_rho, u, ln_T, ln_T)))
                G = M + solution.C[..., 0, here, :]
                named[side] = (G[..., nodes] - value) * weighted[..., here, :][..., nodes]
        return named

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Fields at points (..., B) from the network's values (..., 1, B, 3 + v)."""
        A, a, _ = self.amplitudes(eps, t, x).unbind(-2)
        streamed = self.flight.moments(t, x)
        beyond = torch.zeros_like(streamed[..., :3, :]).transpose(-1, -2)
        if self.flight.similar:
            base = self.jump_base(eps, t, x)
        else:
            base = self.flight.state(streamed).transpose(-1, -2)
            if self.known is not None:
                more, beyond = self.known(eps, t, x).split(3, dim=-1)
                base = base + more
        W = base + A.unsqueeze(-1) * outputs[..., 0, :, :3]
        C = a.unsqueeze(-1) * (outputs[..., 0, :, 3:] @ self.project)
        rho, u, T = W[..., 0].exp(), W[..., 1], W[..., 2].exp()
        energy = 0.5 * rho * (u**2 + self.d * T)
        second = rho * (u**2 + T) + C @ self.second + beyond[..., 0]
        flux = u * (energy + rho * T) + (C @ self.flux)[..., 2] + beyond[..., 1]
        return self.fields_from(torch.stack([rho, rho * u, energy, second, flux], dim=-2), streamed, eps, t)

    def fields_from(self, collided: Tensor, streamed: Tensor, eps: Tensor, t: Tensor) -> dict[str, Tensor]:
        """Fields of f = E F + h G from <(1, v, e, v^2, v e)> of G and of F, (..., 5, B) each."""
        E, h, d = torch.exp(-t / eps).unsqueeze(-2), -torch.expm1(-t / eps).unsqueeze(-2), self.d
        rho, momentum, energy, second, flux = (E * streamed + h * collided).unbind(-2)
        u = momentum / rho
        T = ((2.0 * energy / rho - u**2) / d).clamp_min(COLDEST * self.flight.cold)
        # <(v-u)|v-u|^2 f>/2 from the energy flux and the second moment
        q = flux - u * energy - u * second + rho * u**3
        known = {"rho": rho, "u": u, "T": T, "q": q}
        if self.nu or "A" in self.fields:
            sigma = 2.0 * (second / rho - u**2 - T)
            known |= {"sigma": sigma, "A": sigma / (2.0 * T)}
        return {name: known[name] for name in self.fields}

    def fly_again(
        self, eps: float, own: dict[str, Tensor], network: Callable[..., dict[str, Tensor]], t: Tensor, x: Tensor
    ) -> None:
        """Put fields by one more flight of the network's equilibrium in place of its `own` ones at points (B,): waves that parted."""
        if self.known is None:
            return
        from .collided import fluxes

        collided, frame = self.known.collided, self.known.frame
        cells = frame.cells(eps)
        times = t.unique()
        times = times[times > 0.0]
        levels = collided.needed(eps, times.cpu().numpy())
        there = torch.as_tensor(frame.places(cells)[levels], device=t.device)
        then = torch.as_tensor(self.known.t[levels], device=t.device)[:, None].expand_as(there)
        found = network(torch.full_like(there, eps).flatten(), then.flatten(), there.flatten())
        along = found["T"] * (1.0 + found["A"]) if self.nu else found["T"]
        state = [found["rho"], found["u"], *tensor_of(found["T"], along, self.d, self.nu)]
        states = np.ones((len(self.known.t), cells.y.size, 4))
        states[levels] = torch.stack(state, dim=-1).reshape(*there.shape, 4).cpu().numpy()
        for time in times:
            here = (t == time).nonzero()[:, 0]
            here = here[x[here].argsort()]
            moments = collided.moments(eps, cells, states, time[None].cpu().numpy(), x[here][None].cpu().numpy())
            G = torch.as_tensor(np.stack(fluxes(moments[0], self.d)[:5]), device=t.device)
            then = torch.full_like(x[here], float(time))
            for name, value in self.fields_from(
                G, self.flight.moments(then, x[here]), torch.full_like(then, eps), then
            ).items():
                own[name][here] = value

    def stratify(self, eps: Tensor, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Between unequal ends half of the places lie in the fan of the waves; jumps are sampled in x/t, early and late."""
        flight = self.flight
        if not flight.similar:
            t = times(s, self.t_end)
            edge = 0.5 * EDGE * len(self.reached)
            x = self.among_waves(eps, t, (y - edge) / (1.0 - edge))
            for k, side in enumerate(self.reached):
                far = 2.0 * y / EDGE - k
                layer = self.layer(eps)
                deep = (6.0 * self.conduction(eps, t)).clamp_max(0.5 * flight.span)
                near = layer * torch.expm1(far * torch.log1p(deep / layer))
                near = self.low + near if side == "left" else self.high - near
                x = torch.where((far >= 0.0) & (far < 1.0), near, x)
            return t, x
        slowest, fastest = flight.waves[0].speed, flight.waves[-1].speed
        t = times(s, self.t_end, 0.6, EARLY)
        wide = self.v[0] + (self.v[-1] - self.v[0]) * y / 0.4
        fan = slowest - 1.0 + (fastest - slowest + 2.0) * (y - 0.4) / 0.3
        xi = torch.where(y < 0.4, wide, fan)
        share = 0.3 / len(flight.waves)
        for k, wave in enumerate(flight.waves):
            start = 0.7 + k * share
            width = self.wave_width(wave, eps, t) / t
            near = wave.speed + 2.0 * width * (2.0 * (y - start) / share - 1.0)
            xi = torch.where((y >= start) & (y < start + share), near, xi)
        return t, (flight.origin + xi * t).clamp(self.low, self.high)

    def among_waves(self, eps: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Places in smooth data, y in [0, 1): between unequal ends half of them in the fan, a share around shocks."""
        flight = self.flight
        if not flight.waves:
            return self.low + (self.high - self.low) * y
        first, last = (flight.place_of(flight.waves[end], t) for end in (0, -1))
        left = (first - 2.0 * flight.length).clamp_min(self.low)
        right = (last + 2.0 * flight.length).clamp_max(self.high)
        bottom, top = torch.full_like(t, self.low), torch.full_like(t, self.high)
        shocks = [wave for wave in flight.waves if wave.course is not None]
        rest = 1.0 - FRONT if shocks else 1.0
        if self.parted:
            bottom = (first - 4.5 * self.reach(0, eps, t)).clamp_min(self.low)
            top = (last + 4.5 * self.reach(-1, eps, t)).clamp_max(self.high)
        z = 2.0 * y / rest
        x = torch.where(z < 1.0, bottom + (top - bottom) * z, left + (right - left) * (z - 1.0))
        share = FRONT / max(len(shocks), 1)
        for k, wave in enumerate(shocks):
            far = 2.0 * (y - rest - k * share) / share - 1.0
            near = flight.place_of(wave, t) + self.wave_width(wave, eps, t) * (2.0 * far + 6.0 * far**3)
            x = torch.where((far >= -1.0) & (y >= rest), near.clamp(self.low, self.high), x)
        return x
