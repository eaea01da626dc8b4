r"""Random features: a hidden layer that is drawn once and stays, and an output layer that is all of theta.

$$ \varphi_j = \tanh(zW + b)_j, \quad W_{ij}, b_j \sim U(-s, s)\ \text{fixed}, \qquad
   Y_o = \sum_{k}\Big(\sum_{j=1}^{n}\varphi_jC_{jko} + c_{ko}\Big)X_k . $$

Y is linear in theta = (C, c).  Where the formulation is linear in Y (transport), so are its residuals, and training is a linear
least-squares problem, which `steps = 0`, `second_order = "gauss_newton"` solves in some steps of falling damping; elsewhere
each of its steps solves a linearised one.  X is the formulation's basis in x where it offers one, and z then the columns
that know only t and eps; otherwise X = 1 and z are all columns, for which random features are too few: 8e-2 against 4e-4
on periodic transport (training.md 2.4).  n is `width`; `depth` has no meaning.

References: Dong, Li (2021), Comput. Methods Appl. Mech. Engrg. 387, 114129, DOI 10.1016/j.cma.2021.114129; Chen, Chi, E, Yang
(2022), "Bridging traditional and machine learning-based algorithms for solving PDEs: the random feature method", J. Mach.
Learn. 1, 268, DOI 10.4208/jml.220726.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hrgrad.optimizer import option

from ..features import product
from ..network import Network as NetworkBase
from ..network import NetworkOptions, tanh


@dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions):
    """Of `random_features`."""

    scale: float = option(0.7, "s, largest hidden weight and bias; measured on transport_periodic", low=1e-6)
    draw: int = option(0, "seed of the hidden layer", low=0)


class Network(NetworkBase):
    """`network = "random_features"`: `width` features."""

    Options = Options
    references = ("dong2021local", "chen2022bridging")

    def build(self) -> None:
        self.first = 0 if self.basis is None else self.places
        self.rank = 1 if self.basis is None else self.basis.shape[0]
        generator = torch.Generator().manual_seed(self.options.draw)
        draws = torch.rand(1 + self.inputs - self.first, self.width, generator=generator, dtype=torch.float64)
        self.hidden_layer = self.options.scale * (2.0 * draws - 1.0)
        self.layer("output", self.width, self.rank * self.outputs)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        b, W = self.hidden_layer.to(inputs).split([1, len(self.hidden_layer) - 1])
        a = self.dense(theta, "output", tanh(inputs[..., self.first :] @ W, b.unsqueeze(0)))
        if self.basis is None:
            return a
        X = inputs[..., : self.places][..., self.basis]
        return product(a.unflatten(-1, (self.rank, self.outputs)), X, -4).sum(dim=-2)
