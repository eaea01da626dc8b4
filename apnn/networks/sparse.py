r"""Neural sparse representation: a canonical decomposition of low rank whose velocity factors are a learnt dictionary.

$$ Y_o(t,x,\varepsilon) = \sum_{k=1}^{r} a_k(t,\varepsilon)\,X_k(t,x,\varepsilon)\,V_{ko} + b_o, \qquad
   \dot Y_o = \sum_k\big(\dot a_kX_k + a_k\dot X_k\big)V_{ko} . $$

a is a perceptron of the columns that know only t and eps, X one of all columns; both see them on `scales` scales, multiplied by
1, 2, 4, ...  All outputs, velocities and moments alike, share r = `rank` atoms V, so r (outputs + 1) numbers hold the dependence
on v, where `separable` has r coefficients for every output of its own.  The splitting into a Maxwellian and a remainder, the
other half of the reference, is that of the formulations.

Reference: Li, Wang, Liu, Wang, Dong (2023), "Solving Boltzmann equation with neural sparse representation", arXiv:2302.09233
(canonical decomposition in v, multi-scale inputs, Maxwellian splitting).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hrgrad.optimizer import option

from ..features import product
from ..network import Network as NetworkBase
from ..network import NetworkOptions
from .mlp import Network as MLP


@dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions):
    """Of `sparse`."""

    rank: int = option(24, "atoms of the velocity dictionary", low=1)
    scales: int = option(2, "scales of the inputs: 1, 2, 4, ...", low=1, high=8)


class Network(NetworkBase):
    """`network = "sparse"`: two perceptrons of `depth` hidden layers of `width`, and the dictionary."""

    Options = Options
    references = ("li2024solving",)

    def build(self) -> None:
        rank, scales = self.options.rank, self.options.scales
        self.a, self.X = (
            MLP(scales * columns, rank, self.width, self.depth, options=self.options)
            for columns in (self.inputs - self.places, self.inputs)
        )
        self.adopt("coefficients", self.a)
        self.adopt("places", self.X)
        self.layer("dictionary", rank, self.outputs)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        several = torch.stack([2.0**k * inputs for k in range(self.options.scales)], dim=-2)
        cut = self.a.size + self.X.size
        a = self.a(theta[..., : self.a.size], several[..., self.places :].flatten(-2))
        X = self.X(theta[..., self.a.size : cut], several.flatten(-2))
        return self.dense(theta, "dictionary", product(a, X))
