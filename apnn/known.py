r"""What is known of a gas whose waves part, before a network learns: its conservation laws, closed by one flight.

With f = E F + h G (`gas.py`) and the free flight F known, the state W of the collided particles G obeys

$$ \partial_tU_W + \partial_x\big(F_{\rm Euler}(W) + \langle vmC\rangle\big) = \frac E{\varepsilon h}(U_F-U_W), \qquad C = G - M[W] . $$

First C is that of Chapman and Enskog, $C + \varepsilon h\,\partial_tC \simeq -\varepsilon h\,(DM)_{\rm CE}$: <vmC> is that of Navier
and Stokes, built up in time, the heat flux by the factor $\kappa_1$ and, as the stress of the equilibrium adds to it, the stress by
$\kappa_{1-\nu}$,

$$ \kappa_r(a) = \frac{1 - E^r - raE}h, \qquad a = \frac t\varepsilon,\ E = e^{-a}, $$

(2-r)ra/2 at first and one after some collisions.  This lets the gas ahead of a strong shock stay cold, where hot particles heat it
over a free path.  So the equilibrium of that solution flies (`collided.py`), the laws are solved again with the <vmC> of what has
flown, that of Navier and Stokes for the difference alone, and the equilibrium of this solution flies once more:

$$ C_1 = C[G_1],\ G_1 + \varepsilon hDG_1 = \mathcal G[W_0], \qquad
   \langle vmC\rangle = \langle vmC_1\rangle + \langle vmC\rangle_{\rm NS}[W] - \langle vmC\rangle_{\rm NS}[W_0] . $$

No constant is chosen.  Where free paths are shorter than the cells that there may be, Navier and Stokes' equilibrium flies.

The laws are solved at some Knudsen numbers by the scheme of `solvers/limits/navier_stokes.py`; the state of what has flown is held as

$$ (\ln\rho,u,\ln T)_{G} - (\ln\rho,u,\ln T)_F = \Big(\frac t{t+t_0}\Big)^2 D(\ln\varepsilon,\ \ln(1+t/t_0),\ y), $$

D tabulated beside <(v^2, v e, v^3) C>, e the energy; y a place that moves with the shocks of the limit (`fronts.py`), 0 at the first
wave, nearly 1 at the last, in equal steps of a z(y) that is drawn out where shocks are thin.

References: Chapman, Cowling (1970), The Mathematical Theory of Non-uniform Gases, chapter 7; Adams, Larsen (2002), Prog. Nucl.
Energy 40, 3, DOI 10.1016/S0149-1970(01)00023-3 (a flight, and a diffusive equation that its moments correct).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from torch import Tensor

from solvers.limits.euler import GHOSTS, flux_rate, padded
from solvers.limits.navier_stokes import dissipation, gradient, transport_coefficients
from solvers.problem.case import Case
from solvers.problem.status import NumericalError

from .collided import Collided, split
from .flight import Flight
from .fronts import SMEARED
from .gaussian import equilibrium_of
from .stored import stored
from .table import Table

#: Knudsen numbers of the table per decade, and its intervals in time
PER_DECADE, MOMENTS = 3, 64
#: cells of the scheme: most in all, least in the half length of the data; in between they are eps sqrt(T) wide
MOST, LEAST = 1500, 10
TOLERANCE = 1e-5
#: places y of the table from -BEYOND to 1 + BEYOND, so many to one, and to the thickness of a shock of the scheme
BEYOND, FINE, SHARP = 5, 200, 4

Array = NDArray[np.float64]


class Known:
    """Moments of G of one case without a network; `keep` makes the sheets of its table, or has them."""

    def __init__(
        self,
        case: Case,
        flight: Flight,
        device: str,
        keep: Callable[[Callable[[], Array]], Array] = lambda make: make(),
    ) -> None:
        self.case, self.flight, self.t0 = case, flight, flight.t0
        low, high = (math.log(eps) for eps in case.knudsen.train)
        sheets = max(2, 1 + round(PER_DECADE * (high - low) / math.log(10.0)))
        self.lowest, step = low, (high - low) / (sheets - 1)
        older = math.log1p(case.domain.t_end / self.t0) / MOMENTS
        self.ages = older * np.arange(MOMENTS + 1)
        self.t = self.t0 * np.expm1(self.ages)
        self.x = self.cells(MOST)
        self.cell = float(self.x[1] - self.x[0])
        self.smear = SMEARED * self.cell
        x = torch.as_tensor(self.x, device=device)
        t = torch.as_tensor(self.t, device=device)[:, None]
        self.streamed = np.stack([flight.moments(s.expand_as(x), x).cpu().numpy() for s in t])
        first, gap = self.frame(t)
        self.collided = Collided(flight, self.ages, first[:, 0].cpu().numpy(), gap[:, 0].cpu().numpy())
        self.shocks = [float(k) for k in (0, 1) if flight.waves[-k].shock]
        self.thin = self.smear / float(gap[-1])
        ends = self.graded(torch.tensor([-BEYOND, 1.0 + BEYOND], dtype=torch.float64)).tolist()
        z = torch.linspace(*ends, 1 + FINE * (1 + 2 * BEYOND), dtype=torch.float64, device=device)
        self.start = ends[0]
        places = (first + gap * self.place(z)).cpu().numpy()
        found = keep(lambda: np.stack([self.sheet(math.exp(low + k * step), places) for k in range(sheets)]))
        self.table = Table(found, (step, older, float(z[1] - z[0])), device)

    def frame(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Place of the first wave, and the way from there to the last, not less than the length of the data."""
        first, last = (self.flight.place_of(self.flight.waves[end], t) for end in (0, -1))
        return first, torch.hypot(last - first, torch.full_like(t, self.flight.length))

    def graded(self, y: Tensor) -> Tensor:
        """y, drawn out where a shock is thin: equal steps of it are the table's."""
        return y + SHARP / FINE * sum((torch.asinh((y - s) / self.thin) for s in self.shocks), torch.zeros_like(y))

    def place(self, z: Tensor) -> Tensor:
        """y of graded places, by bisection."""
        low, high = torch.full_like(z, -BEYOND), torch.full_like(z, 1.0 + BEYOND)
        for _ in range(50):
            middle = 0.5 * (low + high)
            less = self.graded(middle) < z
            low, high = torch.where(less, middle, low), torch.where(less, high, middle)
        return 0.5 * (low + high)

    def cells_for(self, eps: float) -> Array:
        """Cells as wide as a free path, or narrower."""
        span = self.flight.span
        return self.cells(min(MOST, round(max(LEAST * span / self.flight.length, span / (eps * self.flight.hot**0.5)))))

    def resolves(self, eps: float) -> bool:
        """Whether that many are allowed."""
        return len(self.cells_for(eps)) < MOST

    def cells(self, count: int) -> Array:
        """Centres of equal cells."""
        centres: Array = self.flight.left + self.flight.span * (np.arange(count) + 0.5) / count
        return centres

    def solve(self, eps: float, flown: Array | None = None) -> tuple[Array, Array, Array]:
        """Cells (x,), U_W there at the table's times, (t, 3, x), and five moments of F.

        flown   fluxes of momentum and energy beyond those of Navier and Stokes, (t, x, 4), the first two
        """
        gamma, nu = self.case.equation.gamma, getattr(self.case.equation, "nu", 0.0)
        x = self.cells_for(eps)
        streamed = CubicSpline(self.x, self.streamed, axis=-1)(x)
        free = CubicSpline(self.ages, streamed[:, :3])
        dx = float(x[1] - x[0])
        viscosity, conductivity, dense = transport_coefficients(self.case, eps)

        def derivative(t: float, y: Array) -> Array:
            now = y.reshape(-1, 3).T
            U = padded(np.ascontiguousarray(now), "free", "free")
            rate = flux_rate(U, gamma, dx)
            E, h, heat, stress = built_up(t / eps, nu)
            dissipation(U, gamma, dx, viscosity * stress, conductivity * heat, dense, rate)
            if flown is not None:
                more = self.collided.field(flown, x, t)[:, :2].T
                rate[1:] -= gradient(np.pad(more, ((0, 0), (GHOSTS, GHOSTS)), mode="edge"), dx)
            rate += E / (eps * h) * (free(math.log1p(t / self.t0)) - now)
            flat: Array = rate.T.ravel()
            return flat

        band = 3 * GHOSTS + 2
        found = solve_ivp(
            derivative, (0.0, self.t[-1]), streamed[0, :3].T.ravel(), method="LSODA", t_eval=self.t,
            rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(streamed[:, :3]).max()), lband=band, uband=band,
        )  # fmt: skip
        if not found.success or not np.isfinite(found.y).all():
            raise NumericalError(f"the known part at eps = {eps:g}: {found.message}")
        return x, found.y.T.reshape(len(self.t), -1, 3).transpose(0, 2, 1), streamed

    def navier_stokes(self, eps: float, dx: float, U: Array) -> Array:
        """<v^2 C> and <v e C> of Chapman and Enskog, built up in time, for U (t, 3, x): (t, x, 2)."""
        gamma, nu = self.case.equation.gamma, getattr(self.case.equation, "nu", 0.0)
        viscosity, conductivity, _ = transport_coefficients(self.case, eps)
        found = []
        for t, now in zip(self.t, U, strict=True):
            rho, momentum, energy = padded(np.ascontiguousarray(now), "free", "free")
            u = momentum / rho
            T = (gamma - 1.0) * (energy / rho - 0.5 * u**2)
            _, _, heat, stress = built_up(t / eps, nu)
            slopes, inner = gradient(np.stack([u, T]), dx), slice(GHOSTS, -GHOSTS)
            p = (rho * T)[inner]
            beyond = -viscosity * stress * p * slopes[0]
            found.append(np.stack([beyond, u[inner] * beyond - conductivity * heat * p * slopes[1]], axis=-1))
        return np.stack(found)

    def fly(self, eps: float, x: Array, U: Array, stress: Array, streamed: Array) -> tuple[Array, Array]:
        """rho, u, T of collided particles and what is beyond their Maxwellian, (t, x, 3) each, after one flight.

        U, stress   (t, 3, x) and (t, x): moments and <v^2 C> of G, for the equilibrium that flies
        """
        d, nu = self.flight.d, getattr(self.case.equation, "nu", 0.0)
        E = np.exp(-self.t / eps)[:, None]
        h = -np.expm1(-self.t / eps)[:, None]
        whole = [E * streamed[:, k] + h * U[:, k] for k in range(3)]
        own = U[:, 1] / U[:, 0]
        pressure = (self.case.equation.gamma - 1.0) * (U[:, 2] - 0.5 * U[:, 0] * own**2)
        second = E * streamed[:, 3] + h * (U[:, 0] * own**2 + pressure + stress)
        states = equilibrium_of(*(torch.as_tensor(a) for a in (*whole, second)), d, nu, self.flight.cold)
        return split(self.collided.moments(eps, x, torch.stack(states, dim=-1).numpy(), self.t, x), d)

    def sheet(self, eps: float, places: Array) -> Array:
        """D and what is beyond the Maxwellian at the table's times and `places` (t, y), shape (t, y, 6)."""
        x, U, streamed = self.solve(eps)
        viscous = self.navier_stokes(eps, x[1] - x[0], U)
        W, beyond = self.fly(eps, x, U, viscous[..., 0], streamed)
        if self.resolves(eps):  # what flies over less than a cell is lost
            _, U, _ = self.solve(eps, np.concatenate([beyond[..., :2] - viscous, np.zeros_like(viscous)], axis=-1))
            W, beyond = self.fly(eps, x, U, beyond[..., 0], streamed)
        free = self.flight.state(torch.as_tensor(streamed)).numpy().transpose(0, 2, 1)
        W = np.stack([np.log(W[..., 0]), W[..., 1], np.log(W[..., 2])], axis=-1)
        rise = -np.expm1(-self.ages[1:, None, None])  # t/(t + t0)
        D = (W - free)[1:] / rise**2
        columns = np.concatenate([np.concatenate([D[:1], D]), beyond], axis=-1)
        return np.stack([CubicSpline(x, row)(y.clip(x[0], x[-1])) for row, y in zip(columns, places, strict=True)])

    def __call__(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(ln rho, u, ln T) of W less those of free flight, and <(v^2, v e, v^3) C> of G, (..., 6)."""
        first, gap = self.frame(t)
        found = self.table(
            eps.log() - self.lowest, torch.log1p(t / self.t0), self.graded((x - first) / gap) - self.start
        )
        rise = (t / (t + self.t0)).unsqueeze(-1) ** 2
        return torch.cat([rise * found[..., :3], found[..., 3:]], dim=-1)


def built_up(age: float, nu: float) -> tuple[float, float, float, float]:
    """E, h, and the shares kappa_1 and kappa_(1-nu) of heat flux and stress after so many collisions."""
    age = max(age, 1e-9)
    E, h = math.exp(-age), -math.expm1(-age)
    heat, stress = (-(math.expm1(-r * age) + r * age * E) / h for r in (1.0, 1.0 - nu))
    return E, h, heat, stress


_kept: dict[tuple[Any, ...], Known] = {}


def known_part(case: Case, flight: Flight, device: str) -> Known:
    """The one of a case: it takes up to 40 CPU seconds, once, and a training and all who read its result need the same."""
    key = case.problem_sha256, case.domain.t_end, case.knudsen.train, device
    if key not in _kept:
        _kept[key] = Known(case, flight, device, partial(stored, "known", key))
    return _kept[key]
