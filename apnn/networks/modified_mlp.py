r"""Modified multilayer perceptron: every hidden layer chooses between two encodings of the inputs.

$$ U = \tanh(XW_U + b_U), \quad V = \tanh(XW_V + b_V), \quad h_0 = X, \quad
   z_l = \tanh(h_lW_l + b_l), \quad h_{l+1} = z_lU + (1 - z_l)V, \quad Y = h_LW_L + b_L . $$

Products of inputs, such as a wave that decays, are one layer deep.  Reference: Wang, Teng, Perdikaris (2021), "Understanding
and mitigating gradient flow pathologies in physics-informed neural networks", SIAM J. Sci. Comput. 43, A3055,
DOI 10.1137/20M1318043, equations (43)-(47).
"""

from torch import Tensor

from ..network import Network as NetworkBase
from ..network import blend


class Network(NetworkBase):
    """`network = "modified_mlp"`: `depth` gated hidden layers of `width`."""

    references = ("wang2021understanding",)

    def build(self) -> None:
        for name in ("U", "V"):
            self.layer(name, self.inputs, self.width)
        for k in range(self.depth):
            self.layer(f"layer{k}", self.width if k else self.inputs, self.width)
        self.layer("output", self.width, self.outputs)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        U, V = (self.hidden(theta, name, inputs) for name in ("U", "V"))
        h = inputs
        for k in range(self.depth):
            h = blend(self.hidden(theta, f"layer{k}", h), U, V)
        return self.dense(theta, "output", h)
