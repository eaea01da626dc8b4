r"""Residual multilayer perceptron: hidden layers that add to what comes in.

$$ h_1 = \tanh(XW_0 + b_0), \quad h_{l+1} = h_l + \tanh(h_lW_l + b_l), \quad Y = h_LW_L + b_L . $$

Gradients reach the first layer past the others, so depth costs no accuracy.  Reference: He, Zhang, Ren, Sun (2016), "Deep
residual learning for image recognition", CVPR, 770, DOI 10.1109/CVPR.2016.90.
"""

from torch import Tensor

from ..network import Network as NetworkBase


class Network(NetworkBase):
    """`network = "residual_mlp"`: `depth` hidden layers of `width`, the first without a shortcut."""

    references = ("he2016deep",)

    def build(self) -> None:
        for k in range(self.depth):
            self.layer(f"layer{k}", self.width if k else self.inputs, self.width)
        self.layer("output", self.width, self.outputs)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        h = self.hidden(theta, "layer0", inputs)
        for k in range(1, self.depth):
            h = h + self.hidden(theta, f"layer{k}", h)
        return self.dense(theta, "output", h)
