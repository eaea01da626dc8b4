r"""How eps enters a network beside the columns of the formulation: a learnt code z(eps).

An encoder is a function of its own part of theta and of

$$ s = -1 + 2\,\frac{\ln(\varepsilon/\varepsilon_{min})}{\ln(\varepsilon_{max}/\varepsilon_{min})} \in [-1, 1] $$

to `latent` numbers, which become the last columns of the network's inputs.  They do not depend on t and x: their tangents are
zero.  One file of `encoders/` each; `encoder = "none"` leaves eps to the formulation's columns (log eps, eps/(eps + 0.2)).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from .network import Blocks, NetworkOptions


class Encoder(Blocks, ABC):
    """A code of `latent` numbers; `width` of whatever is hidden in it."""

    references: ClassVar[tuple[str, ...]] = ()

    def __init__(self, latent: int, width: int) -> None:
        super().__init__(NetworkOptions())
        self.latent, self.width = latent, width
        self.build()

    @abstractmethod
    def build(self) -> None:
        """Declare the blocks of theta."""

    @abstractmethod
    def __call__(self, theta: Tensor, s: Tensor) -> Tensor:
        """z (..., B, latent) at s (..., B); theta (P,), or (m, P) with s (m, B)."""

    def append(self, theta: Tensor, s: Tensor, inputs: Tensor) -> Tensor:
        """Inputs (..., S, B, n) with the code as their last columns."""
        z = self(theta, s).unsqueeze(-3)
        rest = z.new_zeros(*z.shape[:-3], inputs.shape[-3] - 1, *z.shape[-2:])
        return torch.cat([inputs, torch.cat([z, rest], dim=-3).expand(*inputs.shape[:-1], -1)], dim=-1)
