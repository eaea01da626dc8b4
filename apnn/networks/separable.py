r"""Separable network: coefficients in (t, eps) times a basis in x, with hand-written tangents.

$$ Y_o(t,x,\varepsilon) = \sum_{k} a_{ko}(t,\varepsilon)\,X_k(t,x,\varepsilon), \qquad
   \dot Y_o = \sum_k \dot a_{ko}X_k + a_{ko}\dot X_k . $$

a is a multilayer perceptron of the columns that know only t and eps.  X is the basis that the formulation puts into its
first columns, where these span the solution (Fourier modes of a periodic problem with constant coefficients: the network
then holds the exact dependence on x and learns functions of two variables only; a table says which columns serve which
output), and otherwise a learnt one: a perceptron of all the columns with `width`/2 tanh outputs and the constant.  Together
with velocities as outputs this is a canonical decomposition in (t, eps), x and v.

References: Cho, Nam, Yang, Yun, Hong, Park (2023), "Separable physics-informed neural networks", NeurIPS 36,
arXiv:2306.15969; training.md 2.4.
"""

import torch
from torch import Tensor

from .mlp import Network as MLP


class Network:
    """`network = "separable"`: `inputs` columns of which the first `places` know x -> `outputs`.

    basis   (rank, outputs): the columns that are the basis X of each output; None learns one
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, depth: int, places: int = 0, basis: Tensor | None = None
    ) -> None:
        self.places, self.outputs, self.basis = places, outputs, basis
        self.learnt = MLP(inputs, max(width // 2, 1), width, 1) if basis is None else None
        self.rank = max(width // 2, 1) + 1 if basis is None else basis.shape[0]
        self.trunk = MLP(inputs - places, self.rank * outputs, width, depth)
        self.shapes = list(self.trunk.shapes)
        if self.learnt:
            self.shapes += [(self.trunk.size + offset, shape) for offset, shape in self.learnt.shapes]
        self.size = self.trunk.size + (self.learnt.size if self.learnt else 0)

    def initial(self, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
        """Random parameters, shape (P,): the trunk's, then the basis's."""
        parts = [self.trunk.initial(generator, dtype)]
        if self.learnt:
            parts.append(self.learnt.initial(generator, dtype))
        return torch.cat(parts)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """Values and tangents, (..., S, B, inputs) -> (..., S, B, outputs); entry 0 of S is the value, the others tangents."""
        a = self.trunk(theta[..., : self.trunk.size], inputs[..., self.places :])
        a = a.unflatten(-1, (self.rank, self.outputs))
        X = self.places_of(theta, inputs)  # (..., S, B, rank, outputs or 1)
        a0, X0 = a[..., :1, :, :, :], X[..., :1, :, :, :]
        value = (a0 * X0).sum(dim=-2)
        tangents = (a[..., 1:, :, :, :] * X0 + a0 * X[..., 1:, :, :, :]).sum(dim=-2)
        return torch.cat([value, tangents], dim=-3)

    def places_of(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """X with its tangents."""
        if self.basis is not None:
            return inputs[..., : self.places][..., self.basis]
        assert self.learnt is not None
        y = self.learnt(theta[..., self.trunk.size :], inputs)
        value = torch.tanh(y[..., :1, :, :])
        tangents = (1.0 - value**2) * y[..., 1:, :, :]
        constant = torch.cat([torch.ones_like(value[..., :1]), torch.zeros_like(tangents[..., :1])], dim=-3)
        return torch.cat([torch.cat([value, tangents], dim=-3), constant], dim=-1).unsqueeze(-1)
