r"""Coordinates that move with parted waves and are fine where their shocks are thin.

$$ y = \frac{x - x_{\rm first}(t)}{\ell(t)}, \qquad \ell = \big((x_{\rm last}-x_{\rm first})^8 + \ell_0^8\big)^{1/8}, $$

x_first and x_last the places of the outer waves (`fronts.py`), l_0 the half length of the data; z(y) is that of
`solvers/moving_cells.py`, fine around y = 0 and 1 where such a wave is a shock, within a few free paths: delta ~ eps.  A shock
whose thickness goes with eps stands still in z, at every t and every eps: what varies in (ln eps, ln(1+t/t_0), z) is smooth.
"""

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor

from solvers.moving_cells import CORE, FAR, SIDE, Cells, graded, make_cells

if TYPE_CHECKING:
    from .flight import Flight, Wave

#: delta/(eps sqrt(T)), and the largest delta
THICK, BROAD = 2.0, 0.1
#: cells are wider than the finest, up to so many times, where a free path holds so many of them
WIDEST, FREE = 4, 2.0

Array = NDArray[np.float64]
Scalar = TypeVar("Scalar", float, Tensor)


class WaveFrame:
    """The coordinates of one case at the times t_0 (exp(ages) - 1); `lowest` is the least Knudsen number."""

    def __init__(self, flight: "Flight", waves: "list[Wave]", ages: Array, lowest: float) -> None:
        self.flight, self.ends, self.t0, self.ages = flight, (waves[0], waves[-1]), flight.t0, ages
        t = torch.as_tensor(self.t0 * np.expm1(ages), device=flight.device)
        self.curves = CubicSpline(ages, np.stack([part.cpu().numpy() for part in self.of(t)], axis=-1))
        self.slopes = self.curves.derivative()
        self.sharp = np.array([float(k) for k, wave in enumerate(self.ends) if wave.shock])
        self.path = flight.hot**0.5 / float(self.curves(ages[-1])[1])  # the free path of eps = 1 in y, at the end
        self.start, end = (graded(y, self.thin(lowest), self.sharp) for y in (-FAR, 1.0 + FAR))
        self.count = 1 + math.ceil(end - self.start)

    def thin(self, eps: Scalar) -> Scalar:
        """delta."""
        return 1.0 / (1.0 / (THICK * self.path * eps) + 1.0 / BROAD)

    def of(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_first and l."""
        first, last = (self.flight.place_of(wave, t) for wave in self.ends)
        return first, ((last - first) ** 8 + self.flight.length**8) ** 0.125

    def at(self, t: float) -> tuple[Array, Array]:
        """(x_first, l) at one time, and their derivatives in t."""
        age = math.log1p(t / self.t0)
        return self.curves(age), self.slopes(age) / (self.t0 + t)

    def z(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """z of points (...), from the first cell on."""
        first, length = self.of(t)
        y, thin = (x - first) / length, self.thin(eps)
        near = sum((torch.asinh((y - s) / thin) for s in self.sharp.tolist()), torch.zeros_like(y))
        return 0.5 * CORE * torch.asinh(2.0 * y - 1.0) + SIDE / torch.asinh(0.5 / thin) * near - self.start

    def cells(self, eps: float) -> Cells:
        """Those of one Knudsen number, `count` of them or fewer and wider ones."""
        step = max(1, min(WIDEST, int(self.path * eps * CORE / FREE)))
        return make_cells(self.start, float(step), 1 + math.ceil((self.count - 1) / step), self.thin(eps), self.sharp)

    def places(self, cells: Cells) -> Array:
        """x of the cells at all times, (t, cells)."""
        found: Array = self.curves(self.ages) @ np.stack([np.ones_like(cells.y), cells.y])
        return found
