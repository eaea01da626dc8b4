r"""What a formulation of slab transport knows before it learns: a lift.

$$ f = f_{\rm lift} + \rho_b + A\,R + \varepsilon\,G\,\hat g, \qquad \langle\hat g\rangle = 0 . $$

f_lift and the density rho_b are known functions that carry what a network represents badly: data off equilibrium, moving
jumps, kinetic layers.  The amplitudes A(t,x) and G(t,x) vanish at t = 0, so the initial data are exact, and give R and ghat
size one at every eps.  The remainder rho = rho_b + A R, g = G ghat obeys

$$ \partial_t\rho + \partial_x\langle vg\rangle + \sigma_A\rho = S, \qquad
   \varepsilon^2\partial_tg + \varepsilon(v\partial_xg - \langle v\partial_xg\rangle) + v\,\partial_x\rho + \sigma g = M , $$

with sigma = sigma_S + eps^2 sigma_A; S holds the source Q and what collisions bring from f_lift, M has no mean.  At an
in-flow end rho + eps g takes the value that f_lift leaves open.  For eps -> 0: g = -v d_x rho/sigma_S and the diffusion
equation.  Two lifts: `periodic.py` and `inflow.py`.

References: Lemou, Mieussens (2008), SIAM J. Sci. Comput. 31, 334, DOI 10.1137/07069479X (rho + eps g); problems.md 4.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.problem.case import Case

from .expression import evaluate
from .features import with_tangents
from .sampling import times


@dataclass
class Known:
    """What a lift says at points (..., B); the second axis of rho, A and G holds value, d_t, d_x."""

    rho: Tensor  # (..., 3, B): rho_b
    A: Tensor  # (..., 3, B)
    G: Tensor  # (..., 3, B, 1 or one per row of the head)
    S: Tensor  # (..., B)
    M: Tensor | None  # (..., B, v); None is zero
    sigma_s: Tensor  # (..., B)
    sigma_a: Tensor  # (..., B)
    macro_weight: Tensor  # (..., B): makes the rows of the density equation O(1)
    micro_weight: Tensor  # (..., B)
    crowded: Tensor  # (..., B): q of the points (`apnn/crowding.py`)


class Lift(ABC):
    """A lift of one case on `velocities` nodes.

    v, w              nodes and weights of the average, sum of w one
    places, scales    numbers of feature columns: those that know x come first
    columns           place columns that span R and every row of ghat in x, (rank, 1 + head); None: they span nothing
    open_ends         the in-flow ends, a part of ("left", "right")
    size_R, size_g    sizes of R and ghat
    """

    v: Tensor
    w: Tensor
    places: int
    scales: int
    columns: Tensor | None = None
    open_ends: tuple[str, ...] = ()
    size_R: float = 1.0
    size_g: float = 1.0

    def __init__(self, case: Case, device: str) -> None:
        self.case, self.device = case, device
        self.low, self.high = case.domain.x
        self.t_end = case.domain.t_end
        self.floor = case.knudsen.train[0]

    def coefficient(self, name: str, x: Tensor) -> Tensor:
        """sigma_s or sigma_a at x."""
        return evaluate(getattr(self.case.equation, name), x=x)

    def source(self, t: Tensor, x: Tensor) -> Tensor:
        """Q(x, t)."""
        return evaluate(self.case.equation.source, x=x, t=t)

    @abstractmethod
    def features(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs (..., B, places + scales)."""

    @abstractmethod
    def known(self, eps: Tensor, t: Tensor, x: Tensor) -> Known:
        """Everything the residuals need."""

    @abstractmethod
    def base(self, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values of rho_b, A, G at points (..., B)."""

    @abstractmethod
    def lifted(self, eps: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """<f_lift> and <v f_lift>/eps at points (..., B)."""

    @abstractmethod
    def flight(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """f_lift on the nodes, (..., B, v)."""

    def wall(self, side: str, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the entering nodes at an open end and the value of rho + eps g there, (..., B, entering)."""
        raise NotImplementedError

    def remainder(self, f: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """f - f_lift with d_t, d_x along axis -3, from those of f on the nodes."""
        return f - with_tangents(self.flight, eps, t, x)

    def head(self) -> Tensor:
        """Matrix (outputs, v) that turns network outputs into ghat on the nodes, without mean."""
        return torch.eye(self.v.numel(), dtype=self.v.dtype, device=self.v.device) - self.w[:, None]

    def stratify(self, eps: Tensor, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """t and x of points (s, y) of the unit square: more of them where the solution is steep."""
        return times(s, self.t_end), self.low + (self.high - self.low) * y
