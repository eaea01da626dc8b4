r"""Drift-diffusion-Poisson limit of the semiconductor equation: Scharfetter-Gummel fluxes, Newton's method, SDIRK3.

$$ \partial_t\rho + \partial_xJ = 0, \quad J = -(\theta\,\partial_x\rho + \rho E), \qquad
   \beta\,\partial_{xx}\Phi = \rho - c, \quad E = -\partial_x\Phi , $$
$$ J_{i+1/2} = -\frac\theta h\big(B(\delta)\rho_{i+1} - B(-\delta)\rho_i\big), \qquad
   \delta = (\Phi_{i+1}-\Phi_i)/\theta , $$

on CELLS equidistant intervals with unknowns at their ends, rho = c at the contacts.  Order 2 in x; rho > 0 with implicit
Euler, rho = C exp(Phi/theta) exact without bias.  In time Alexander's three-stage SDIRK (order 3, L-stable), steps doubled
from t_1/STEPS/2^LEVELS; each stage by Newton's method with the exact Jacobian of the step's start, to round-off.  `steady`
solves for J = const by implicit Euler steps that grow without end (pseudo-transient continuation).

The kinetic solution is O(eps) away from it: what enters at a contact is c M, not c M - eps v M (...), so rho at the contact
slips by about 0.7 eps J/sqrt(theta); away from the contacts the next term is O(eps^2).

References: Scharfetter, Gummel (1969), IEEE Trans. Electron Devices 16, 64, DOI 10.1109/T-ED.1969.16566; Alexander (1977),
SIAM J. Numer. Anal. 14, 1006, DOI 10.1137/0714068; Markowich, Ringhofer, Schmeiser (1990), Semiconductor Equations, DOI
10.1007/978-3-7091-6961-2; problems.md (77)-(79).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_banded
from scipy.linalg.lapack import dgbtrf, dgbtrs

from ..problem.scheme import Array
from ..problem.scheme import Limit as LimitBase
from ..problem.status import NumericalError
from ..scharfetter_gummel import bernoulli_array

if TYPE_CHECKING:
    from ..problem.case import Case

CELLS = 1200
STEPS = 40  # of full size up to the first output time, and at most of this size later
LEVELS = 10
REPEAT = 4  # steps before each doubling
NEWTON_STEPS = 60
GAMMA = 0.435866521508459
STAGES = (
    (GAMMA,),
    (0.5 * (1.0 - GAMMA), GAMMA),
    (-(6.0 * GAMMA**2 - 16.0 * GAMMA + 1.0) / 4.0, (6.0 * GAMMA**2 - 20.0 * GAMMA + 5.0) / 4.0, GAMMA),
)
BAND = 3  # unknowns rho_1, Phi_1, rho_2, Phi_2, ...


class Device:
    """The discrete device: points x, and right-hand side and Jacobian of (rho, Phi) at the inner ones."""

    def __init__(self, case: "Case", cells: int) -> None:
        self.x = np.linspace(*case.domain.x, cells + 1)
        self.h = float(self.x[1] - self.x[0])
        self.theta, self.beta = case.equation.theta, case.equation.beta
        self.doping = case.equation.doping(x=self.x) * np.ones(cells + 1)
        self.potentials = (case.boundary.left.potential, case.boundary.right.potential)

    def whole(self, y: Array) -> tuple[Array, Array]:
        """rho and Phi at all points."""
        ends = self.doping[[0, -1]]
        return (
            np.concatenate([ends[:1], y[0::2], ends[1:]]),
            np.concatenate([self.potentials[:1], y[1::2], self.potentials[1:]]),
        )

    def flux(self, rho: Array, phi: Array) -> Array:
        """J between the points."""
        delta = np.diff(phi) / self.theta
        B, _ = bernoulli_array(delta)
        return -self.theta / self.h * (B * rho[1:] - (B + delta) * rho[:-1])

    def rate(self, y: Array) -> Array:
        """d rho/dt, and the residual of Poisson's equation."""
        rho, phi = self.whole(y)
        F = np.empty_like(y)
        F[0::2] = -np.diff(self.flux(rho, phi)) / self.h
        F[1::2] = self.beta * np.diff(phi, 2) / self.h**2 - (rho - self.doping)[1:-1]
        return F

    def jacobian(self, y: Array) -> Array:
        """d rate/dy in banded storage: row BAND + i - j of column j."""
        rho, phi = self.whole(y)
        delta = np.diff(phi) / self.theta
        plus, plus_slope = bernoulli_array(delta)
        minus, minus_slope = bernoulli_array(-delta)
        right, left = -self.theta / self.h * plus, self.theta / self.h * minus  # dJ/d rho
        bend = -(plus_slope * rho[1:] + minus_slope * rho[:-1]) / self.h  # dJ/d(Phi_R - Phi_L)
        h = self.h
        J = np.zeros((2 * BAND + 1, y.size))
        J[BAND, 0::2] = -(left[1:] - right[:-1]) / h
        J[BAND - 2, 2::2] = -right[1:-1] / h
        J[BAND + 2, 0:-2:2] = left[1:-1] / h
        J[BAND - 1, 1::2] = (bend[1:] + bend[:-1]) / h
        J[BAND - 3, 3::2] = -bend[1:-1] / h
        J[BAND + 1, 1:-2:2] = -bend[1:-1] / h
        J[BAND, 1::2] = -2.0 * self.beta / h**2
        J[BAND - 2, 3::2] = J[BAND + 2, 1:-2:2] = self.beta / h**2
        J[BAND + 1, 0::2] = -1.0
        return J

    def start(self, rho: Array) -> Array:
        """The state of a density: Phi from Poisson's equation."""
        y = np.zeros(2 * (self.x.size - 2))
        y[0::2] = rho[1:-1]
        bands = np.ones((3, self.x.size - 2))
        bands[1] = -2.0
        right = (rho - self.doping)[1:-1] * self.h**2 / self.beta
        right[0] -= self.potentials[0]
        right[-1] -= self.potentials[1]
        y[1::2] = solve_banded((1, 1), bands, right)
        return y

    def stage(self, known: Array, guess: Array, tau: float, factors: tuple[Array, Array] | None = None) -> Array:
        """y with rho = known + tau rate(y), and Poisson's equation, by Newton's method (simplified with `factors`)."""
        y, best, still = guess.copy(), np.inf, 0
        for _ in range(NEWTON_STEPS):
            F = self.rate(y)
            F[0::2] -= (y - known)[0::2] / tau
            lu, pivots = factors or self.factors(y, tau)
            step, info = dgbtrs(lu, BAND, BAND, F, pivots)
            y = y + step
            size = float(np.abs(step).max() / max(np.abs(y).max(), 1.0))
            if info or not np.isfinite(size):
                break
            still = still + 1 if size >= 0.5 * best else 0
            if size < 1e-14 or (size < 1e-11 and still):
                return y
            best = min(best, size)
        raise NumericalError(f"drift-diffusion limit: Newton's method does not converge (step of size {tau:.3g})")

    def factors(self, y: Array, tau: float) -> tuple[Array, Array]:
        """LU factors of mass/tau - Jacobian."""
        matrix = np.zeros((3 * BAND + 1, y.size))
        matrix[BAND:] = -self.jacobian(y)
        matrix[2 * BAND, 0::2] += 1.0 / tau
        lu, pivots, info = dgbtrf(matrix, BAND, BAND)
        if info:
            raise NumericalError("drift-diffusion limit: the Jacobian is singular")
        return lu, pivots

    def step(self, y: Array, dt: float) -> Array:
        """One SDIRK3 step."""
        factors = self.factors(y, GAMMA * dt)
        rates: list[Array] = []
        state = y
        for a in STAGES:
            known = y + dt * sum((aj * rate for aj, rate in zip(a[:-1], rates, strict=True)), np.zeros_like(y))
            state = self.stage(known, state, GAMMA * dt, factors)
            rates.append((state - known) / (GAMMA * dt))
        return state

    def fields(self, y: Array, x: Array) -> dict[str, Array]:
        """rho, J, E and Phi at x, by cubic splines."""
        rho, phi = self.whole(y)
        middle = 0.5 * (self.x[1:] + self.x[:-1])
        return {
            "rho": CubicSpline(self.x, rho)(x),
            "J": CubicSpline(middle, self.flux(rho, phi))(x),
            "E": CubicSpline(middle, -np.diff(phi) / self.h)(x),
            "Phi": CubicSpline(self.x, phi)(x),
        }


def steady(case: "Case", x: Array, cells: int = CELLS) -> dict[str, Array]:
    """The stationary fields at x."""
    device = Device(case, cells)
    y = device.start(device.doping)
    for tau in 1e-4 * 4.0 ** np.arange(16):
        y = device.stage(y, y, float(tau))
    return device.fields(device.stage(y, y, 1e14), x)


class Limit(LimitBase):
    """Drift-diffusion-Poisson between two contacts."""

    equations = ("semiconductor",)

    def solve(
        self, case: "Case", coordinates: Mapping[str, Array], times: Array, cells: int = CELLS
    ) -> dict[str, Array]:
        device = Device(case, cells)
        x = np.asarray(coordinates["x"], dtype=float)
        y = device.start(case.initial.rho(x=device.x, eps=1e-12) * np.ones(cells + 1))
        full = float(times[0]) / STEPS
        t, done, found = 0.0, 0, []
        for end in map(float, times):
            while t < end * (1.0 - 1e-12):
                dt = full * 0.5 ** max(LEVELS - done // REPEAT, 0)
                dt = (end - t) / max(round((end - t) / dt), 1) if end - t < 3.0 * dt else dt
                y = device.step(y, dt)
                t, done = t + dt, done + 1
            t = end
            found.append(device.fields(y, x))
        return {name: np.array([fields[name] for fields in found]) for name in found[0]}
