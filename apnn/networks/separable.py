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

from ..network import Network as NetworkBase
from ..network import tanh
from .mlp import Network as MLP


class Network(NetworkBase):
    """`network = "separable"`: `inputs` columns of which the first `places` know x -> `outputs`.

    basis   (rank, outputs): the columns that are the basis X of each output; None learns one
    """

    def build(self) -> None:
        rank = max(self.width // 2, 1)
        basis, self.rank = self.basis, rank + 1 if self.basis is None else self.basis.shape[0]
        self.trunk = MLP(
            self.inputs - self.places, self.rank * self.outputs, self.width, self.depth, options=self.options
        )
        self.adopt("trunk", self.trunk)
        if basis is None:
            self.learnt = MLP(self.inputs, rank, self.width, 1, options=self.options)
            self.adopt("basis", self.learnt)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
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
        y = self.learnt(theta[..., self.trunk.size :], inputs)
        X = tanh(y, y.new_zeros(1, 1, y.shape[-1]))
        constant = torch.ones_like(X[..., :1])
        constant[..., 1:, :, :] = 0.0
        return torch.cat([X, constant], dim=-1).unsqueeze(-1)

    def linear_part(self) -> slice:
        """The last layer of the trunk."""
        return self.trunk.linear_part()
