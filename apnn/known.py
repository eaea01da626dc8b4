r"""What is known of a gas whose waves part, before a network learns: its conservation laws, closed by Chapman and Enskog.

With f = E F + h G (`gas.py`) and the free flight F known, the state W of the collided particles G obeys

$$ \partial_tU_W + \partial_x\big(F_{\rm Euler}(W) + \langle vmC\rangle\big) = \frac E{\varepsilon h}(U_F-U_W), \qquad
   C + \varepsilon h\,\partial_tC \simeq -\varepsilon h\,(DM)_{\rm Chapman-Enskog} . $$

So <vmC> is that of Navier and Stokes, built up in time: the heat flux by the factor $\kappa_1$ and, as the stress of the
equilibrium adds to it, the stress by $\kappa_{1-\nu}$,

$$ \kappa_r(a) = \frac{1 - E^r - raE}h, \qquad a = \frac t\varepsilon,\ E = e^{-a}, $$

(2-r)ra/2 at first and one after some collisions.  No constant is chosen.  What is left out are higher derivatives: of the order of
(t/t0)^2 early, of eps late, of one inside of strong shocks.

The system is solved at some Knudsen numbers by the scheme of `solvers/limits/navier_stokes.py`, and what W is more than the state of
free flight is held as

$$ (\ln\rho,u,\ln T)_W - (\ln\rho,u,\ln T)_F = \Big(\frac t{t+t_0}\Big)^2 D(\ln\varepsilon,\ \ln(1+t/t_0),\ y), $$

D tabulated, y a place that moves with the shocks of the limit (`fronts.py`), 0 at the first wave, nearly 1 at the last, in equal
steps of a z(y) that is drawn out where shocks are thin.

Reference: Chapman, Cowling (1970), The Mathematical Theory of Non-uniform Gases, chapter 7.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor

from solvers.limits.euler import GHOSTS, flux_rate, padded
from solvers.limits.navier_stokes import dissipation, transport_coefficients
from solvers.problem.case import Case
from solvers.problem.status import NumericalError

from .flight import Flight
from .fronts import SMEARED
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
    """W of one case without a network."""

    def __init__(self, case: Case, flight: Flight, device: str) -> None:
        self.case, self.flight, self.t0 = case, flight, flight.t0
        low, high = (math.log(eps) for eps in case.knudsen.train)
        sheets = max(2, 1 + round(PER_DECADE * (high - low) / math.log(10.0)))
        self.lowest, step = low, (high - low) / (sheets - 1)
        older = math.log1p(case.domain.t_end / self.t0) / MOMENTS
        self.ages = older * np.arange(MOMENTS + 1)
        self.t = self.t0 * np.expm1(self.ages)
        self.x = self.cells(MOST)
        self.smear = SMEARED * float(self.x[1] - self.x[0])
        x = torch.as_tensor(self.x, device=device)
        t = torch.as_tensor(self.t, device=device)[:, None]
        self.streamed = np.stack([flight.moments(s.expand_as(x), x)[:3].cpu().numpy() for s in t])
        first, gap = self.frame(t)
        self.shocks = [float(k) for k in (0, 1) if flight.waves[-k].shock]
        self.thin = self.smear / float(gap[-1])
        ends = self.graded(torch.tensor([-BEYOND, 1.0 + BEYOND], dtype=torch.float64)).tolist()
        z = torch.linspace(*ends, 1 + FINE * (1 + 2 * BEYOND), dtype=torch.float64, device=device)
        self.start = ends[0]
        places = (first + gap * self.place(z)).cpu().numpy()
        sheet = [self.sheet(math.exp(low + k * step), places) for k in range(sheets)]
        self.table = Table(np.stack(sheet), (step, older, float(z[1] - z[0])), device)

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

    def cells(self, count: int) -> Array:
        """Centres of equal cells."""
        centres: Array = self.flight.left + self.flight.span * (np.arange(count) + 0.5) / count
        return centres

    def solve(self, eps: float) -> tuple[Array, Array, Array]:
        """Cells (x,), U_W there and U_F at the table's times, (t, 3, x)."""
        gamma, nu = self.case.equation.gamma, getattr(self.case.equation, "nu", 0.0)
        span = self.flight.span
        x = self.cells(min(MOST, round(max(LEAST * span / self.flight.length, span / (eps * self.flight.hot**0.5)))))
        streamed = CubicSpline(self.x, self.streamed, axis=-1)(x)
        flown = CubicSpline(self.ages, streamed)
        dx = float(x[1] - x[0])
        viscosity, conductivity, dense = transport_coefficients(self.case, eps)

        def derivative(t: float, y: Array) -> Array:
            now = y.reshape(-1, 3).T
            U = padded(np.ascontiguousarray(now), "free", "free")
            rate = flux_rate(U, gamma, dx)
            age = max(t / eps, 1e-9)
            E, h = math.exp(-age), -math.expm1(-age)
            heat, stress = (-(math.expm1(-r * age) + r * age * E) / h for r in (1.0, 1.0 - nu))
            dissipation(U, gamma, dx, viscosity * stress, conductivity * heat, dense, rate)
            rate += E / (eps * h) * (flown(math.log1p(t / self.t0)) - now)
            flat: Array = rate.T.ravel()
            return flat

        band = 3 * GHOSTS + 2
        found = solve_ivp(
            derivative, (0.0, self.t[-1]), streamed[0].T.ravel(), method="LSODA", t_eval=self.t,
            rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(streamed).max()), lband=band, uband=band,
        )  # fmt: skip
        if not found.success or not np.isfinite(found.y).all():
            raise NumericalError(f"the known part at eps = {eps:g}: {found.message}")
        return x, found.y.T.reshape(len(self.t), -1, 3).transpose(0, 2, 1), streamed

    def sheet(self, eps: float, places: Array) -> Array:
        """D at the table's times and `places` (t, y), shape (t, y, 3)."""
        x, *both = self.solve(eps)
        W, free = (self.flight.state(torch.as_tensor(U)).numpy() for U in both)
        rise = -np.expm1(-self.ages[1:, None, None])  # t/(t + t0)
        D = ((W - free)[1:] / rise**2).transpose(0, 2, 1)
        rows = [PchipInterpolator(x, row)(y.clip(x[0], x[-1])) for row, y in zip(D, places[1:], strict=True)]
        return np.stack([rows[0], *rows])

    def __call__(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(ln rho, u, ln T) of W less those of free flight, (..., 3)."""
        first, gap = self.frame(t)
        D = self.table(eps.log() - self.lowest, torch.log1p(t / self.t0), self.graded((x - first) / gap) - self.start)
        return (t / (t + self.t0)).unsqueeze(-1) ** 2 * D


_kept: dict[tuple[Any, ...], Known] = {}


def known_part(case: Case, flight: Flight, device: str) -> Known:
    """The one of a case: it takes up to 20 CPU seconds, and a training and its evaluation need the same."""
    key = case.problem_sha256, case.domain.t_end, case.knudsen.train, device
    if key not in _kept:
        _kept[key] = Known(case, flight, device)
    return _kept[key]
