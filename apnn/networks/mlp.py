r"""Multilayer perceptron: dense layers with tanh between them.

$$ h_0 = X, \quad h_{l+1} = \tanh(h_lW_l + b_l), \quad Y = h_LW_L + b_L . $$

All columns are alike to it.  Reference: Glorot, Bengio (2010), "Understanding the difficulty of training deep feedforward
neural networks", AISTATS, PMLR 9, 249 (the start).
"""

import itertools

from torch import Tensor

from ..network import Network as NetworkBase


class Network(NetworkBase):
    """`network = "mlp"`: `depth` hidden layers of `width`."""

    def build(self) -> None:
        sizes = [self.inputs, *[self.width] * self.depth, self.outputs]
        for k, (a, b) in enumerate(itertools.pairwise(sizes)):
            self.layer(f"layer{k}", a, b)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        h = inputs
        for k in range(self.depth):
            h = self.hidden(theta, f"layer{k}", h)
        return self.dense(theta, f"layer{self.depth}", h)
