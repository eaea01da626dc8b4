r"""Lift of semiconductor transport: the first spreading of the carriers, and the field of their charge.

$$ \rho_b(t,x) = \langle\rho_0(x-\varsigma z)\rangle, \qquad \langle\cdot\rangle = \frac1{\sqrt{2\pi}}\int\cdot\;e^{-z^2/2}\,dz, \qquad
   \varsigma^2 = \frac{s}{1+s/s_\infty}, \quad s = 2\theta\big(t-\varepsilon^2(1-e^{-t/\varepsilon^2})\big), \quad
   s_\infty = 4\beta\theta : $$

s is the mean square way of a particle that starts in equilibrium and is scattered at the rate 1/eps^2: free flight for
t << eps^2, diffusion afterwards, for every eps; beyond some Debye lengths (s_infinity) the field decides and the lift stops.
Way and velocity are taken as jointly normal, with the correlation r that keeps the carriers; it is one in free flight, where
this is exact.  With h_n = He_n/sqrt(n!) all modes of the distribution follow, and the field and the potential of the charge,

$$ g_n = \frac{r^n}\varepsilon\,\langle h_n(z)\,\rho_0(x-\varsigma z)\rangle, \quad
   r = \frac{\varepsilon}{2\sqrt\theta}\frac{\partial_t\varsigma^2}{\varsigma}, \qquad
   J_b = \sqrt\theta\,g_1, \quad \partial_t\rho_b + \partial_xJ_b = 0, \qquad
   E_b = -\partial_x\Phi_b, \quad \beta\,\partial_{xx}\Phi_b = \rho_b - c, $$

Phi_b with the potentials of the contacts, so that neither a steep start nor a steep doping is left to the network.  rho_0 and c
are continued by their values at the contacts; antiderivatives are cubic Hermite interpolants on a fine grid, of order 4.

That is for data that are neutral.  Others have fields of (rho_0 - c)/beta, which the lift above would hold for ever: here everything
is known from the limit $(\rho,J,E,\Phi)_{\rm DD}$ of drift and diffusion, on the clock of the mean square way,

$$ \rho_b = \rho_{\rm DD}(a,x), \quad E_b = E_{\rm DD}(a,x), \quad \Phi_b = \Phi_{\rm DD}(a,x), \quad
   J_b = \dot a\,J_{\rm DD}(a,x), \quad a = t-\varepsilon^2(1-e^{-t/\varepsilon^2}), $$

which keeps carriers and obeys Poisson's and Ampere's laws with J_DD - I_DD times da/dt; as eps^2 d_tt a + d_t a = 1, the flux row is
left with eps^2 (d_t a)^2 d_a J_DD and with g_2: exact for eps -> 0, and for t -> 0 at every eps.

A homogeneous plasma of density one answers a disturbance as $\varepsilon^2\ddot Y+\dot Y+Y/\beta = 0$: dielectric relaxation,
or for $4\varepsilon^2>\beta$ a damped swing.  Y and its rate are inputs: the network need not find that time scale.

Points crowd at junctions, in proportion to $|c'| + |\rho_0'|$ smeared over a Debye length, at contacts and at early times, where
residuals are large; `apnn/crowding.py` divides them by all three densities, times as if there were none of the early ones.

References: Uhlenbeck, Ornstein (1930), Phys. Rev. 36, 823, DOI 10.1103/PhysRev.36.823 (the mean square way; way and velocity
jointly normal); problems.md 5, (79).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.expression import Expression

from .crowding import Crowd, Drawn, Even, Log
from .expression import evaluate
from .features import scales
from .quadrature import unit_range
from .sampling import crowded_times, times
from .table import Table

CELLS = 4000
REACH, NODES = 6.0, 64  # trapezoidal rule in z
DEBYE = 4.0
YOUNG, AGES, PLACES = 0.005, 300, 1000  # of the table: its first ages over beta, its intervals in time and in x
LATE = 0.8  # share of the time points that is not logarithmic
EARLY = 1e-3  # share of t_end where the others begin
JUNCTIONS = 400  # cells of the table of steepness


def hermite(z: Tensor, count: int) -> Tensor:
    """Normalised Hermite polynomials He_n(z)/sqrt(n!), shape (count, z)."""
    h = [torch.ones_like(z), z]
    for n in range(1, count - 1):
        h.append((z * h[n] - n**0.5 * h[n - 1]) / (n + 1.0) ** 0.5)
    return torch.stack(h[:count])


class Carriers:
    """The lift of one case; every function takes points (..., B)."""

    places, scales = 9, 7

    def __init__(self, case: Case, modes: int, device: str) -> None:
        equation, domain = case.equation, case.domain
        self.theta, self.beta, self.t_end = equation.theta, equation.beta, domain.t_end
        self.low, self.high = domain.x
        self.floor = case.knudsen.train[0]
        self.modes = modes
        self.potentials = (case.boundary.left.potential, case.boundary.right.potential)
        self.doping, self.start = equation.doping, case.initial.rho
        self.z = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64, device=device)
        gauss = torch.exp(-0.5 * self.z**2)
        self.gauss = gauss / gauss.sum()
        self.hermite = hermite(self.z, modes + 1).T * self.gauss.unsqueeze(-1)
        x = torch.linspace(self.low, self.high, CELLS + 1, dtype=torch.float64, device=device)
        c, rho = self.clamped(self.doping, x), self.clamped(self.start, x)
        self.neutral = bool(torch.allclose(c, rho, rtol=1e-9, atol=1e-12))
        self.largest = float(torch.maximum(c, rho).max())
        self.bias = (self.potentials[0] - self.potentials[1]) / (self.high - self.low)
        self.margin = REACH * self.theta**0.5 * min(2.0 * self.t_end, DEBYE * self.beta) ** 0.5
        self.junctions = self.steep()
        self.charge = self.antiderivative(lambda place: self.clamped(self.doping, place))
        self.dipole = self.antiderivative(self.charge)
        self.charged = None if self.neutral else self.limit(case, device)
        self.strongest = [10.0 / (self.high - self.low), 5.0]  # field and potential
        if self.charged is not None:
            age, place = torch.zeros_like(x), x - self.low
            start = self.charged(age, place)[:, 1:3].abs().amax(0).tolist()
            self.strongest = [max(pair) for pair in zip(self.strongest, start, strict=True)]

    def limit(self, case: Case, device: str) -> Table:
        """ln rho, E, Phi and J of drift and diffusion over ln(1 + t/(YOUNG beta)) and x."""
        from solvers.limits.drift_diffusion import Device  # the compiled solvers come with it

        limit = Device(case, PLACES)
        late = math.log1p(self.t_end / (YOUNG * self.beta)) / AGES
        ages = YOUNG * self.beta * np.expm1(late * np.arange(AGES + 1))
        y = limit.start(case.initial.rho(x=limit.x, eps=1e-12) * np.ones(limit.x.size))
        sheets = []
        for k, step in enumerate(np.diff(ages, prepend=0.0)):
            y = limit.step(y, float(step)) if k else y
            fields = limit.fields(y, limit.x)
            sheets.append(np.stack([np.log(fields["rho"]), fields["E"], fields["Phi"], fields["J"]], axis=-1))
        return Table(np.stack(sheets), (late, limit.h), device)

    def driven(self, eps: float) -> float:
        """The largest mean velocity of carriers over the thermal one, eps |J_b|/(rho_b sqrt(theta)), where data are not neutral."""
        t, x = torch.meshgrid(
            self.t_end * torch.logspace(-4.0, 0.0, 100, dtype=torch.float64, device=self.z.device),
            torch.linspace(self.low, self.high, 100, dtype=torch.float64, device=self.z.device),
            indexing="ij",
        )
        rho, _, _, g1 = self.known(torch.full_like(t, eps), t, x).unbind(-1)
        return float((eps * g1 / rho).abs().max())

    def clamped(self, formula: Expression, x: Tensor) -> Tensor:
        """A formula of x, continued by its values at the ends."""
        inside = x.clamp(self.low, self.high)
        return evaluate(formula, **{"x": inside, "eps": torch.ones_like(x)})

    def antiderivative(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The integral from the left end of the grid, which holds all that the spreading reaches."""
        points, weights = unit_range(6, self.z.device)
        first, last = self.low - self.margin, self.high + self.margin
        h = (last - first) / CELLS
        edges = torch.linspace(first, last, CELLS + 1, dtype=torch.float64, device=self.z.device)
        steps = h * function(edges[:-1, None] + h * points) @ weights
        values = torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
        slopes, rise = h * function(edges), values.diff()
        square = 3.0 * rise - 2.0 * slopes[:-1] - slopes[1:]
        cube = slopes[:-1] + slopes[1:] - 2.0 * rise

        def integral(x: Tensor) -> Tensor:
            place = (x - first) / h
            k = place.detach().floor().clamp(0, CELLS - 1).long()
            u = place - k
            return values[k] + u * (slopes[k] + u * (square[k] + u * cube[k]))

        return integral

    def way(self, eps: Tensor, t: Tensor) -> Tensor:
        """t - eps^2 (1 - e^{-t/eps^2}), without cancellation."""
        y = t / eps**2
        series = 0.5 * y**2 * (1.0 - y / 3.0 * (1.0 - y / 4.0 * (1.0 - y / 5.0)))
        return eps**2 * torch.where(y < 1e-2, series, y + torch.expm1(-y))

    def width(self, eps: Tensor, t: Tensor) -> Tensor:
        """varsigma."""
        s = 2.0 * self.theta * self.way(eps, t)
        return torch.sqrt(s / (1.0 + s / (DEBYE * self.beta * self.theta)))

    def correlation(self, eps: Tensor, t: Tensor) -> Tensor:
        """r; half the rate of varsigma^2 is theta (1 - e^{-t/eps^2})/(1 + s/s_infinity)^2."""
        s = 2.0 * self.way(eps, t) / (DEBYE * self.beta)
        return -eps * self.theta**0.5 * torch.expm1(-t / eps**2) / ((1.0 + s) ** 2 * self.width(eps, t))

    def known(self, eps: Tensor, t: Tensor, x: Tensor, modes: int = 1) -> Tensor:
        """rho_b, E_b, Phi_b and g_n, n = 1 ... modes, as columns (..., B, 3 + modes)."""
        if self.charged is not None:
            age = self.way(eps, t)
            log_rho, E, Phi, J = self.charged(torch.log1p(age / (YOUNG * self.beta)), x - self.low).unbind(-1)
            g1 = -torch.expm1(-t / eps**2) * J / self.theta**0.5
            return torch.stack([log_rho.exp(), E, Phi, g1, *[torch.zeros_like(x)] * (modes - 1)], dim=-1)
        way = self.width(eps, t).unsqueeze(-1) * self.z

        def screening(place: Tensor) -> Tensor:  # beta times what the charge adds to Phi, up to a linear function
            return self.dipole(place.unsqueeze(-1) - way) @ self.gauss - self.dipole(place)

        from_x = x.unsqueeze(-1) - way
        a = self.clamped(self.start, from_x) @ self.hermite[:, : modes + 1]
        n = torch.arange(1.0, modes + 1.0, dtype=x.dtype, device=x.device)
        g = self.correlation(eps, t).unsqueeze(-1) ** n / eps.unsqueeze(-1) * a[..., 1:]
        charge = self.charge(x) - self.charge(from_x) @ self.gauss
        left, right = (screening(torch.full_like(x, end)) for end in (self.low, self.high))
        s = (x - self.low) / (self.high - self.low)
        E = self.bias + (charge + (right - left) / (self.high - self.low)) / self.beta
        mean = self.potentials[0] * (1.0 - s) + self.potentials[1] * s
        Phi = mean + (screening(x) - left * (1.0 - s) - right * s) / self.beta
        return torch.cat([torch.stack([a[..., 0], E, Phi], dim=-1), g], dim=-1)

    def response(self, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Y and -beta Y', with Y(0) = 1, Y'(0) = 0."""
        discriminant = 1.0 - 4.0 * eps**2 / self.beta
        s, swings = discriminant.abs().clamp_min(1e-12).sqrt(), discriminant < 0
        tau = t / (2.0 * eps**2)
        slow, fast = torch.exp(-2.0 * t / (self.beta * (1.0 + s))), torch.exp(-tau * (1.0 + s))
        phase, decay = torch.where(swings, s * tau, 0.0 * tau), torch.exp(-tau)
        relaxed = ((1.0 + s) * slow - (1.0 - s) * fast) / (2.0 * s)
        Y = torch.where(swings, decay * (phase.cos() + phase.sin() / s), relaxed)
        return Y, torch.where(swings, 2.0 * decay * phase.sin() / s, (slow - fast) / s)

    def grown(self, eps: Tensor, t: Tensor) -> Tensor:
        """A: zero at t = 0, one after the time beta in which the field reacts."""
        way = self.way(eps, t)
        return way / (way + self.beta)

    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs (..., B, places + scales)."""
        return self.inputs(eps, t, x, self.known(eps, t, x))

    def inputs(self, eps: Tensor, t: Tensor, x: Tensor, known: Tensor) -> Tensor:
        """The same where the lift is known."""
        length = self.high - self.low
        s = (x - self.low) / length
        rho, E, Phi = known[..., :3].unbind(-1)
        left, right = length * s, length * (1.0 - s)
        thin = eps * self.theta**0.5
        layer = 10.0 * thin / (1.0 + 10.0 * thin)  # a layer at a contact is as small as it is thin
        place = [2.0 * s - 1.0, 4.0 * s * (1.0 - s) - 0.5, rho, rho.log() / 4.0, self.clamped(self.doping, x)]
        place += [
            E / self.strongest[0],
            Phi / self.strongest[1],
            layer * left / (left + thin),
            layer * right / (right + thin),
        ]
        late = torch.log10(t + 0.02 * self.beta) / 3.0 + 1.0
        early = t / (t + 2.0 * self.beta)
        return torch.stack(
            [*place, *scales(eps, t, eps**2, self.t_end, self.floor)[:3], late, early, *self.response(eps, t)], dim=-1
        )

    def columns(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs and what is known, (..., B, places + scales + 3 + modes)."""
        known = self.known(eps, t, x, self.modes)
        return torch.cat([self.inputs(eps, t, x, known), known], dim=-1)

    def crowd(self, eps: Tensor) -> Crowd:
        """Half of the places uniform, some logarithmic to a contact, the others where data are steep, if they are."""
        half = 0.5 * (self.high - self.low)
        near = 0.1 * half * eps / (1.0 + eps)
        contacts = [(0.05, Log(at, sign, near, half)) for at, sign in ((self.low, 1.0), (self.high, -1.0))]
        steep = [] if self.junctions is None else [(0.4, self.junctions)]
        return Crowd(self.low, self.high, (0.5 if steep else 0.9, Even(self.low, self.high)), *steep, *contacts)

    def steep(self) -> Drawn | None:
        """Places in proportion to |c'| + |rho_0'|, smeared over a Debye length, over which carriers leave a junction."""
        edges = torch.linspace(self.low, self.high, JUNCTIONS + 1, dtype=torch.float64, device=self.z.device)
        rise = sum(self.clamped(formula, edges).diff().abs() for formula in (self.doping, self.start))
        if float(rise.sum()) <= 1e-9 * self.largest:
            return None
        middle = 0.5 * (edges[1:] + edges[:-1])
        distance = (middle.unsqueeze(-1) - middle) / (self.beta * self.theta / self.largest) ** 0.5
        return Drawn(edges, torch.exp(-0.5 * distance**2) @ rise)

    def crowded(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """How many times denser points are at (t, x) than they would be with uniform places and without early times."""
        return self.crowd(eps).density(x) * crowded_times(t, self.t_end, LATE, EARLY)

    def stratify(self, eps: Tensor, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return times(s, self.t_end, LATE, EARLY), self.crowd(eps).places(y)
