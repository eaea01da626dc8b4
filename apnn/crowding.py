r"""Where collocation points crowd in space, and how dense they are there.

Places of one axis are a mixture: a share all over it, and shares at walls.  A layer needs points in proportion to what
happens in it, not to its width; but the error that a residual r in it makes is the integral of r over places.  So the squares of
residuals are divided by the density

$$ q(x) = (x_{max}-x_{min})\sum_k \mathrm{share}_k\,p_k(x), \qquad
   \frac1N\sum_n\frac{r^2(x_n)}{q(x_n)} \to \frac1{x_{max}-x_{min}}\int r^2\,dx , $$

importance sampling: their mean over crowded points is that over uniform ones, with less scatter.  (Without it a layer as thin
as eps = 1e-4 had nine tenths of the loss and no share in the error.)

Reference: Hammersley, Handscomb (1964), Monte Carlo Methods, section 5.4, DOI 10.1007/978-94-009-5819-7.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Piece(Protocol):
    """One part of a mixture: where u in [0, 1) comes to lie, and how dense that is at x, per length."""

    def place(self, u: Tensor) -> Tensor: ...

    def density(self, x: Tensor) -> Tensor: ...


@dataclass
class Even:
    """Uniform between `a` and `b`."""

    a: Tensor | float
    b: Tensor | float

    def place(self, u: Tensor) -> Tensor:
        return self.a + (self.b - self.a) * u

    def density(self, x: Tensor) -> Tensor:
        return ((x - self.a) * (self.b - x) >= 0.0).to(x) / abs(self.b - self.a)


@dataclass
class Log:
    """At a wall `at`, into the domain along `sign`, up to the distance `far`: uniform in ln(near + distance)."""

    at: float
    sign: float
    near: Tensor
    far: Tensor | float

    def place(self, u: Tensor) -> Tensor:
        return self.at + self.sign * self.near * torch.expm1(u * torch.log1p(self.far / self.near))

    def density(self, x: Tensor) -> Tensor:
        s = self.sign * (x - self.at)
        inside = ((s >= 0.0) & (s <= self.far)).to(x)
        return inside / ((self.near + s.clamp_min(0.0)) * torch.log1p(self.far / self.near))


class Drawn:
    """In proportion to a function: constant between `edges`, a grid of increasing places, with the values `weights` there."""

    def __init__(self, edges: Tensor, weights: Tensor) -> None:
        share = weights * edges.diff()
        self.edges, self.densities = edges, weights / share.sum()
        self.below = torch.cat([torch.zeros_like(share[:1]), share.cumsum(0) / share.sum()])

    def cell(self, grid: Tensor, x: Tensor) -> Tensor:
        return torch.searchsorted(grid, x.contiguous(), right=True).sub(1).clamp(0, self.densities.numel() - 1)

    def place(self, u: Tensor) -> Tensor:
        k = self.cell(self.below, u)
        return self.edges[k] + (u - self.below[k]) / self.densities[k]

    def density(self, x: Tensor) -> Tensor:
        return self.densities[self.cell(self.edges, x)]


class Crowd:
    """A mixture on [low, high]: shares of points and their pieces; what lies outside is drawn to the ends."""

    def __init__(self, low: float, high: float, *pieces: tuple[float, Piece]) -> None:
        self.low, self.high, self.pieces = low, high, pieces

    def places(self, y: Tensor) -> Tensor:
        """x of y in [0, 1)."""
        x, start = torch.empty_like(y), 0.0
        for share, piece in self.pieces:
            u = (y - start) / share
            x = torch.where(u >= 0.0, piece.place(u.clamp(0.0, 1.0)), x)
            start += share
        return x.clamp(self.low, self.high)

    def density(self, x: Tensor) -> Tensor:
        """q at x; one where all points are uniform."""
        total = torch.zeros_like(x)
        for share, piece in self.pieces:
            total = total + share * piece.density(x)
        return (self.high - self.low) * total


def thinned(rows: dict[str, Tensor], q: Tensor) -> dict[str, Tensor]:
    """Residual rows (..., B) and (..., B, v) over sqrt(q), q (..., B)."""
    root = q.sqrt()
    return {name: row / (root if row.dim() == root.dim() else root.unsqueeze(-1)) for name, row in rows.items()}
