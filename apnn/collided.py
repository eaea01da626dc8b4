r"""Particles of a gas that have collided: one flight of an equilibrium that is given.

With the free flight F of `flight.py` and E = exp(-t/eps), h = 1 - E, the rest of f = E F + h G is where its equilibrium was,

$$ G + \varepsilon h\,(\partial_t+v\,\partial_x)G = \mathcal G \quad\Longleftrightarrow\quad
   G(t,x,v) = \int_0^1\mathcal G(t-r,\,x-vr,\,v)\,dz, \qquad r = -\varepsilon\ln(1-hz) . $$

G is a mean: for eps -> 0 it is the equilibrium, a uniform gas stays as it is, and for t << eps every moment of the past counts
alike.  An error of the equilibrium's fields that varies over less than a mean free path is averaged away (Sloan's iterate), and
G carries what no expansion in gradients has: hot particles ahead of a shock, which came out of it.

The fields are given at the times and cells of a grid that moves with the waves (`wave_frame.py`): a shock stays where it is, and
cubics in time (Lagrange) and place (Keys) lead from one cell to the next.

Reference: Sloan (1976), "Improvement by iteration for compact operator equations", Math. Comp. 30, 758, DOI 10.2307/2005396.
"""

import math

import numpy as np
from numpy.typing import NDArray

from solvers.compile import njit
from solvers.moving_cells import Cells, graded

from .flight import Flight
from .wave_frame import WaveFrame

#: Gauss points on a path
PLACES = 12
#: velocities: within so many thermal speeds of every state, no further apart than the coldest thermal speed and than this share of
#: the speed that is one half length of the data in as many free times
REACH, SHARE, LONG = 5.5, 0.5, 5.0
#: what differs by less from one cell to the next does not vary
STILL = 1e-9
#: <(1, v, v^2, v^3) f1> and <(1, v) f2>
MOMENTS = 6

Array = NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def keys(values, z, found):
    """Cubic convolution of values (x, n) at the place z, in cells; the edge beyond."""
    last = values.shape[0] - 1
    z = min(max(z, 0.0), float(last))
    i = min(int(z), last - 1)
    s = z - i
    r = 1.0 - s
    a, d = -0.5 * s * r * r, -0.5 * r * s * s
    b, c = 1.0 + s * s * (1.5 * s - 2.5), 1.0 + r * r * (1.5 * r - 2.5)
    before, behind = max(i - 1, 0), min(i + 2, last)
    for n in range(found.size):
        found[n] = a * values[before, n] + b * values[i, n] + c * values[i + 1, n] + d * values[behind, n]


@njit(cache=True, error_model="numpy")
def mean_moments(profiles, first, length, start, step, thin, sharp, r, share, x, v, found):
    """Moments (x, MOMENTS) per dv of the mean over paths; profiles (r, cells, 4): ln(rho/sqrt(2 pi T11)), u, 1/(2 T11), 2 T22.

    first, length              (r,): the frame at the end of each path
    start, step, thin, sharp   the cells in it
    """
    state = np.empty(4)
    for i in range(x.size):
        found[i] = 0.0
        for j in range(v.size):
            f1, f2 = 0.0, 0.0
            for k in range(r.size):
                z = graded((x[i] - v[j] * r[k] - first[k]) / length[k], thin, sharp)
                keys(profiles[k], (z - start) / step, state)
                c = v[j] - state[1]
                M = share[k] * math.exp(state[0] - c * c * state[2])
                f1 += M
                f2 += state[3] * M
            power = f1
            for n in range(4):
                found[i, n] += power
                power *= v[j]
            found[i, 4] += f2
            found[i, 5] += v[j] * f2


class Collided:
    """G of one case for fields at the times of a frame."""

    def __init__(self, flight: Flight, frame: WaveFrame) -> None:
        self.frame = frame
        self.flight = flight
        s, w = np.polynomial.legendre.leggauss(PLACES)
        rest = 0.5 * (1.0 - s)  # dense where particles are just out: their path is nearly -2 eps ln(rest)
        self.z, self.share = 1.0 - rest**2, w * rest

    def speeds(self, eps: float) -> Array:
        """Velocity nodes."""
        low, high = self.flight.reach(REACH)
        oldest = min(LONG * eps, self.flight.case.domain.t_end)
        apart = min(self.flight.cold**0.5, SHARE * self.flight.length / oldest)
        return np.linspace(low, high, 1 + math.ceil((high - low) / apart))

    def between(self, t: float) -> tuple[int, Array]:
        """The first of the four levels that a time lies between, and their weights."""
        ages = self.frame.ages
        age = math.log1p(t / self.frame.t0) / ages[1]
        index = min(max(int(age) - 1, 0), len(ages) - 4)
        p = age - index
        a, b, c, d = p, p - 1.0, p - 2.0, p - 3.0
        return index, np.array([-b * c * d / 6.0, 0.5 * a * c * d, -0.5 * a * b * d, a * b * c / 6.0])

    def paths(self, eps: float, t: float) -> Array:
        """Ages r of particles since their last collision."""
        r: Array = np.minimum(-eps * np.log1p(math.expm1(-t / eps) * self.z), t)
        return r

    def needed(self, eps: float, times: Array) -> Array:
        """Numbers of the levels that `moments` looks at."""
        starts = {self.between(t - r)[0] for t in times for r in self.paths(eps, t)}
        return np.array(sorted({start + k for start in starts for k in range(4)}))

    def field(self, levels: Array, t: float) -> Array:
        """Levels (t, ...) at one time, each cell's own place."""
        index, weights = self.between(t)
        found: Array = np.tensordot(weights, levels[index : index + 4], 1)
        return found

    def moments(self, eps: float, cells: Cells, states: Array, times: Array, places: Array) -> Array:
        """Moments of G at `times` and ascending `places` (t, x), shape (t, x, MOMENTS).

        states   rho, u, T11, T22 of the equilibrium at all levels and cells, (t, cells, 4)
        """
        rho, u, along, across = np.moveaxis(states, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):  # levels that are not needed may be empty
            levels = np.stack([np.log(rho / np.sqrt(2.0 * np.pi * along)), u, 0.5 / along, 2.0 * across], axis=-1)
        v = self.speeds(eps)
        found = np.empty((*places.shape, MOMENTS))
        for t, x, here in zip(times, places, found, strict=True):
            r = self.paths(eps, t)
            profiles = np.stack([self.field(levels, t - age) for age in r])
            first, length = np.array([self.frame.at(t - age)[0] for age in r]).T
            # beyond what particles come from, the gas is at rest with the ends: one place stands for all
            varies = np.flatnonzero(np.abs(np.diff(profiles, axis=1)).max(axis=(0, 2)) > STILL)
            a, b = (max(varies[0] - 2, 0), min(varies[-1] + 3, cells.y.size - 1)) if varies.size else (0, 0)
            near = [(first + length * cells.y[a] + v[0] * r).min(), (first + length * cells.y[b] + v[-1] * r).max()]
            a, b = np.searchsorted(x, near)
            a, b = max(a - 1, 0), min(b + 1, len(x))
            mean_moments(
                profiles, first, length, cells.start, cells.step, cells.thin, cells.sharp,
                r, self.share, x[a:b], v, here[a:b],
            )  # fmt: skip
            here[:a], here[b:] = here[a], here[b - 1]
        found *= v[1] - v[0]
        return found


def fluxes(moments: Array, d: int) -> tuple[Array, ...]:
    """<(1, v, e, v^2, v e)> and <v^3 f1>, e the energy, of moments (..., MOMENTS)."""
    m0, m1, m2, m3, p0, p1 = np.moveaxis(moments, -1, 0)
    return m0, m1, 0.5 * m2 + 0.25 * (d - 1.0) * p0, m2, 0.5 * m3 + 0.25 * (d - 1.0) * p1, m3


def split(moments: Array, d: int) -> tuple[Array, Array]:
    """rho, u, T (..., 3) and what is beyond the Maxwellian of those, <(v^2, v e, v^3) C> (..., 3)."""
    rho, momentum, energy, second, flux, third = fluxes(moments, d)
    u = momentum / rho
    T = (2.0 * energy / rho - u**2) / d
    beyond = [second - rho * (u**2 + T), flux - u * (energy + rho * T), third - rho * u * (u**2 + 3.0 * T)]
    return np.stack([rho, u, T], axis=-1), np.stack(beyond, axis=-1)
