r"""Where the shocks of the limit run and how thick they are there: what a network need not find out.

Two unequal states with something smooth between them send out the waves of a Riemann problem (`flight.py`), but a shock
forms late, from compression, and runs beside the place that the jump would give it.  The Euler limit of the case is solved once
(`solvers/limits/euler.py`), and at every moment a shock of the family $u\pm c$ is where its characteristics run together fastest,

$$ s(t) = \arg\min_x g_\pm, \qquad g_\pm = \partial_xu \pm \frac{\partial_xp}{\rho c}, \qquad
   w(t) = \frac{|\Delta u|}{\max|g_\pm|} , $$

Delta u the jump of u that the Riemann problem has there; less what the grid adds to w.  Curves in t are piecewise cubics.

Reference: Whitham (1974), Linear and Nonlinear Waves, section 6.8 (simple waves and where they break), DOI 10.1002/9781118032954.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator, PPoly, make_lsq_spline
from torch import Tensor

from solvers.limits.euler import finite_differences
from solvers.problem.case import Case

CELLS = 1200
MOMENTS = 60
#: pieces of a shock's path, which is smoother than the cells that it was found in
PIECES = 10
#: thickness that the scheme gives to a jump, in cells
SMEARED = 3.0


class Curve:
    """A piecewise cubic over [0, t_end], pieces of one length."""

    def __init__(self, pieces: PPoly, device: str) -> None:
        breaks = np.unique(pieces.x)
        self.step = float(breaks[1] - breaks[0])
        inner = [pieces(breaks[:-1], nu=k) / (1.0, 1.0, 2.0, 6.0)[k] for k in range(4)]
        self.coefficients = torch.as_tensor(np.stack(inner), dtype=torch.float64, device=device)

    def __call__(self, t: Tensor) -> Tensor:
        piece = (t / self.step).long().clamp(0, self.coefficients.shape[1] - 1)
        s = t - piece * self.step
        a, b, c, d = self.coefficients[:, piece]
        return a + s * (b + s * (c + s * d))


@dataclass(frozen=True)
class Course:
    """Place and half thickness of a front of the limit over t."""

    place: Curve
    width: Curve


def track(case: Case, jumps: dict[int, float], device: str) -> dict[int, Course]:
    """Courses of the shocks by family, -1 or 1; `jumps` holds |Delta u| of each."""
    t = case.domain.t_end * np.linspace(0.0, 1.0, MOMENTS + 1)
    x, values = finite_differences(case, CELLS, t)
    dx, gamma = float(x[1] - x[0]), case.equation.gamma
    rho, u, T = values.transpose(1, 0, 2)
    found = {}
    for sign, jump in jumps.items():
        g = np.gradient(u, dx, axis=1) + sign * np.gradient(rho * T, dx, axis=1) / (rho * np.sqrt(gamma * T))
        at = g[:, 1:-1].argmin(axis=1) + 1
        before, here, behind = (g[np.arange(len(t)), at + k] for k in (-1, 0, 1))
        place = x[at] + 0.5 * dx * (before - behind) / np.maximum(before - 2.0 * here + behind, 1e-300)
        width = np.sqrt(np.maximum((jump / np.abs(here)) ** 2 - (SMEARED * dx) ** 2, (0.1 * dx) ** 2))
        found[sign] = Course(smooth(t, place, device), Curve(PchipInterpolator(t, width), device))
    return found


def smooth(t: NDArray[np.float64], place: NDArray[np.float64], device: str) -> Curve:
    """Least squares with few pieces."""
    knots = np.concatenate([[t[0]] * 3, np.linspace(t[0], t[-1], PIECES + 1), [t[-1]] * 3])
    return Curve(PPoly.from_spline(make_lsq_spline(t, place, knots, k=3)), device)
