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

No constant is chosen.  The laws are solved at some Knudsen numbers by the scheme of `solvers/limits/navier_stokes.py` on cells that
move with the waves and are narrower than a free path in shocks (`solvers/moving_cells.py`, `wave_frame.py`); the state of what
has flown is held in the same coordinates,

$$ (\ln\rho,u,\ln T)_{G} - (\ln\rho,u,\ln T)_F = \Big(\frac t{t+t_0}\Big)^2 D(\ln\varepsilon,\ \ln(1+t/t_0),\ z), $$

D tabulated beside <(v^2, v e, v^3) C>, e the energy.

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
from scipy.interpolate import CubicSpline
from torch import Tensor

from solvers.limits.euler import primitive
from solvers.limits.navier_stokes import transport_coefficients
from solvers.moving_cells import Cells, march, slope
from solvers.problem.case import Case

from .collided import Collided, split
from .flight import Flight
from .gaussian import equilibrium_of
from .stored import stored
from .table import Table
from .wave_frame import WaveFrame

#: Knudsen numbers of the table per decade, and its intervals in time
PER_DECADE, MOMENTS = 3, 64

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
        self.nu = getattr(case.equation, "nu", 0.0)
        low, high = (math.log(eps) for eps in case.knudsen.train)
        sheets = max(2, 1 + round(PER_DECADE * (high - low) / math.log(10.0)))
        self.lowest, step = low, (high - low) / (sheets - 1)
        older = math.log1p(case.domain.t_end / self.t0) / MOMENTS
        self.ages = older * np.arange(MOMENTS + 1)
        self.t = self.t0 * np.expm1(self.ages)
        self.frame = WaveFrame(flight, flight.waves, self.ages, case.knudsen.train[0])
        self.collided = Collided(flight, self.frame)
        found = keep(lambda: np.stack([self.sheet(math.exp(low + k * step)) for k in range(sheets)]))
        self.table = Table(found, (step, older, 1.0), device)

    def streamed(self, x: Array) -> Array:
        """Five moments of F at the table's times and the places (t, x): (t, 5, x)."""
        found = []
        for t, here in zip(self.t, torch.as_tensor(x, device=self.flight.device), strict=True):
            found.append(self.flight.moments(torch.full_like(here, t), here).cpu().numpy())
        return np.stack(found)

    def solve(self, eps: float, cells: Cells, streamed: Array, flown: Array | None = None) -> Array:
        """U_W at the table's times and the cells, (t, 3, cells).

        streamed   moments of F there
        flown      fluxes of momentum and energy beyond those of Navier and Stokes, (t, cells, 2)
        """
        free = CubicSpline(self.ages, streamed[:, :3])

        def source(t: float, wide: Array) -> tuple[Array, float]:
            E, h, _, _ = self.built_up(t, eps)
            decay = E / (eps * h)
            given = decay * free(math.log1p(t / self.t0))
            if flown is not None:
                given[1:] -= slope(self.collided.field(flown, t).T) / wide
            return given, decay

        def shares(t: float) -> tuple[float, float]:
            return self.built_up(t, eps)[2:]

        return march(self.case, eps, cells, self.frame.at, streamed[0, :3], self.t, shares, source)

    def navier_stokes(self, eps: float, cells: Cells, U: Array) -> Array:
        """<v^2 C> and <v e C> of Chapman and Enskog, built up in time, for U (t, 3, cells): (t, cells, 2)."""
        viscosity, conductivity, _ = transport_coefficients(self.case, eps)
        rho, u, T = primitive(U, self.case.equation.gamma).swapaxes(0, 1)
        heat, stress = np.array([self.built_up(t, eps)[2:] for t in self.t]).T[:, :, None]
        u_x, T_x = (slope(part) / (self.frame.curves(self.ages)[:, 1:] * cells.wide) for part in (u, T))
        beyond = -viscosity * stress * rho * T * u_x
        return np.stack([beyond, u * beyond - conductivity * heat * rho * T * T_x], axis=-1)

    def fly(self, eps: float, cells: Cells, U: Array, stress: Array, streamed: Array) -> tuple[Array, Array]:
        """rho, u, T of collided particles and what is beyond their Maxwellian, (t, cells, 3) each, after one flight.

        U, stress   (t, 3, cells) and (t, cells): moments and <v^2 C> of G, for the equilibrium that flies
        """
        d = self.flight.d
        E = np.exp(-self.t / eps)[:, None]
        h = -np.expm1(-self.t / eps)[:, None]
        whole = [E * streamed[:, k] + h * U[:, k] for k in range(3)]
        rho, u, T = primitive(U, self.case.equation.gamma).swapaxes(0, 1)
        second = E * streamed[:, 3] + h * (rho * (u**2 + T) + stress)
        states = equilibrium_of(*(torch.as_tensor(a) for a in (*whole, second)), d, self.nu, self.flight.cold)
        there = torch.stack(states, dim=-1).numpy()
        return split(self.collided.moments(eps, cells, there, self.t, self.frame.places(cells)), d)

    def sheet(self, eps: float) -> Array:
        """D and what is beyond the Maxwellian at the table's times and cells, shape (t, z, 6)."""
        cells = self.frame.cells(eps)
        streamed = self.streamed(self.frame.places(cells))
        U = self.solve(eps, cells, streamed)
        viscous = self.navier_stokes(eps, cells, U)
        _, beyond = self.fly(eps, cells, U, viscous[..., 0], streamed)
        U = self.solve(eps, cells, streamed, beyond[..., :2] - viscous)
        W, beyond = self.fly(eps, cells, U, beyond[..., 0], streamed)
        free = self.flight.state(torch.as_tensor(streamed)).numpy().transpose(0, 2, 1)
        W = np.stack([np.log(W[..., 0]), W[..., 1], np.log(W[..., 2])], axis=-1)
        rise = -np.expm1(-self.ages[1:, None, None])  # t/(t + t0)
        D = (W - free)[1:] / rise**2
        columns = np.concatenate([np.concatenate([D[:1], D]), beyond], axis=-1)
        z = cells.step * np.arange(cells.y.size)
        found: Array = CubicSpline(z, columns, axis=1)(np.arange(self.frame.count))
        return found

    def built_up(self, t: float, eps: float) -> tuple[float, float, float, float]:
        """E, h, and the shares kappa_1 and kappa_(1-nu) of heat flux and stress."""
        age = max(t / eps, 1e-9)
        E, h = math.exp(-age), -math.expm1(-age)
        heat, stress = (-(math.expm1(-r * age) + r * age * E) / h for r in (1.0, 1.0 - self.nu))
        return E, h, heat, stress

    def __call__(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(ln rho, u, ln T) of W less those of free flight, and <(v^2, v e, v^3) C> of G, (..., 6)."""
        found = self.table(eps.log() - self.lowest, torch.log1p(t / self.t0), self.frame.z(eps, t, x))
        rise = (t / (t + self.t0)).unsqueeze(-1) ** 2
        return torch.cat([rise * found[..., :3], found[..., 3:]], dim=-1)


_kept: dict[tuple[Any, ...], Known] = {}


def known_part(case: Case, flight: Flight, device: str) -> Known:
    """The one of a case: it takes 20 to 80 CPU seconds, once, and a training and all who read its result need the same."""
    key = case.problem_sha256, case.domain.t_end, case.knudsen.train, device
    if key not in _kept:
        _kept[key] = Known(case, flight, device, partial(stored, "known", key))
    return _kept[key]
