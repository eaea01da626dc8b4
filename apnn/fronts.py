r"""Where the shocks of the limit run and how thick they are there: what a network need not find out.

Two unequal states with something smooth between them send out the waves of a Riemann problem (`flight.py`), but a shock
forms late, from compression, and runs beside the place that the jump would give it.  The Euler limit of the case is solved once
(`solvers/limits/euler.py`), and at every moment a shock of the family $u\pm c$ is where its characteristics run together fastest,

$$ s(t) = \arg\min_x g_\pm, \qquad g_\pm = \partial_xu \pm \frac{\partial_xp}{\rho c}, \qquad
   w(t) = \frac{|\Delta u|}{\max|g_\pm|} , $$

Delta u the jump of u that the Riemann problem has there.  Both come in the end from cells that move with the waves and resolve the
shocks of a gas that is nearly dense (`solvers/moving_cells.py`): they are not the grid's.  Curves in t are piecewise cubics.

Reference: Whitham (1974), Linear and Nonlinear Waves, section 6.8 (simple waves and where they break), DOI 10.1002/9781118032954.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator, PPoly, make_lsq_spline
from torch import Tensor

from solvers.limits.euler import conserved, finite_differences, primitive
from solvers.moving_cells import march, slope

from .stored import stored
from .wave_frame import WaveFrame

if TYPE_CHECKING:
    from .flight import Flight, Wave

CELLS = 1200
MOMENTS = 100
#: pieces of a shock's path, which is smoother than the cells that it was found in
PIECES = 20
#: a gas is nearly dense with so many free paths in the half length of the data
DENSE = 300.0

Array = NDArray[np.float64]


class Curve:
    """A piecewise cubic over [0, t_end], pieces of one length."""

    def __init__(self, pieces: PPoly, device: str) -> None:
        breaks = np.unique(pieces.x)
        self.step = float(breaks[1] - breaks[0])
        inner = [pieces(breaks[:-1], nu=k) / (1.0, 1.0, 2.0, 6.0)[k] for k in range(4)]
        self.coefficients = torch.as_tensor(np.stack(inner), dtype=torch.float64, device=device)

    def __call__(self, t: Tensor) -> Tensor:
        piece = (t / self.step).long().clamp(0, self.coefficients.shape[1] - 1)
        s = t - self.step * piece.to(t.dtype)
        a, b, c, d = self.coefficients[:, piece]
        return a + s * (b + s * (c + s * d))


@dataclass(frozen=True)
class Course:
    """Place and half thickness of a front of the limit over t."""

    place: Curve
    width: Curve


def track(flight: "Flight", waves: "list[Wave]", jumps: "dict[Wave, float]") -> "list[Wave]":
    """The waves with the courses of those that jump; `jumps` holds Delta u of each shock, its sign that of the family."""
    case = flight.case
    # the limit for moving cells
    dense = min(case.knudsen.train[0], flight.length / (DENSE * flight.hot**0.5))
    key = case.problem_sha256, case.domain.t_end, dense
    found = stored(
        "shocks", key, lambda: np.stack([[place, width] for place, width in follow(flight, waves, jumps, dense)])
    )
    t = moments(flight)
    courses = {wave: course(t, *rows, flight.device) for wave, rows in zip(jumps, found, strict=True)}
    return [replace(wave, course=courses.get(wave)) for wave in waves]


def moments(flight: "Flight") -> Array:
    return flight.case.domain.t_end * np.linspace(0.0, 1.0, MOMENTS + 1)


def follow(
    flight: "Flight", waves: "list[Wave]", jumps: "dict[Wave, float]", dense: float
) -> list[tuple[Array, Array]]:
    """Places and widths of the shocks at the moments, (t,) each."""
    case, t = flight.case, moments(flight)
    x, values = finite_differences(case, CELLS, t)
    dx, gamma = float(x[1] - x[0]), case.equation.gamma
    ages = np.log1p(t / flight.t0)
    first, length = WaveFrame(flight, waves, ages, dense).curves(ages).T[:, :, None]
    found = []
    for jump in jumps.values():
        index, width = sharpest(values, gamma, dx, (x - first) / length, jump, flight.span)
        found.append((x[0] + dx * index, width))
    # such a scheme is off by part of a cell: cells that move and are finer than shocks
    for eps in (10.0 * dense, dense):
        known = {wave: course(t, *rows, flight.device) for wave, rows in zip(jumps, found, strict=True)}
        frame = WaveFrame(flight, [replace(wave, course=known.get(wave)) for wave in waves], ages, eps)
        cells = frame.cells(eps)
        places = frame.places(cells)
        rho, u, T = (part.numpy() for part in flight.initial(torch.as_tensor(places[0])))
        values = primitive(march(case, eps, cells, frame.at, conserved(rho, u, T, gamma), t), gamma)
        wide, y = frame.curves(ages)[:, 1:] * cells.wide, np.broadcast_to(cells.y, places.shape)
        found = []
        for jump in jumps.values():
            index, width = sharpest(values, gamma, wide, y, jump, flight.span)
            at = [CubicSpline(np.arange(row.size), row)(k) for k, row in zip(index, places, strict=True)]
            found.append((np.array(at), width))
    return found


def sharpest(
    values: Array, gamma: float, wide: Array | float, y: Array, jump: float, most: float
) -> tuple[Array, Array]:
    """Where -g of (rho, u, T) (t, 3, cells) is largest, in cells, and w there, (t,) each; the vertex of a parabola.

    wide, y   widths and places of the cells, (t, cells): a family stays on its side of y = 1/2
    most      of w
    """
    rho, u, T = values.transpose(1, 0, 2)
    steep = -(slope(u) + np.sign(jump) * slope(rho * T) / (rho * np.sqrt(gamma * T))) / wide
    at = np.where(np.sign(jump) * (y - 0.5) > 0.0, steep, -np.inf)[:, 1:-1].argmax(axis=1) + 1
    before, here, behind = (steep[np.arange(len(at)), at + k] for k in (-1, 0, 1))
    off = 0.5 * (before - behind) / np.minimum(before - 2.0 * here + behind, -1e-300)
    return at + off.clip(-0.5, 0.5), abs(jump) / np.maximum(here, abs(jump) / most)


def course(t: Array, place: Array, width: Array, device: str) -> Course:
    """Places by least squares with few pieces, each by how sharp the shock is; widths as they are."""
    knots = np.concatenate([[t[0]] * 3, np.linspace(t[0], t[-1], PIECES + 1), [t[-1]] * 3])
    path = make_lsq_spline(t, place, knots, k=3, w=1.0 / width)
    return Course(Curve(PPoly.from_spline(path), device), Curve(PchipInterpolator(t, width), device))
