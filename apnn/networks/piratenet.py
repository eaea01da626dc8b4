r"""PirateNet: gated residual blocks that start as the identity, so that a deep network begins as a linear one.

$$ h_0 = \Phi(X), \quad U = \tanh(\Phi W_U + b_U), \quad V = \tanh(\Phi W_V + b_V), $$
$$ f = \tanh(h_lW^1_l + b^1_l), \quad z = fU + (1-f)V, \quad g = \tanh(zW^2_l + b^2_l), \quad y = gU + (1-g)V, $$
$$ h_{l+1} = \alpha_l\tanh(yW^3_l + b^3_l) + (1 - \alpha_l)h_l, \quad \alpha_l = 0\ \text{at first}, \quad Y = h_LW_L + b_L . $$

Phi are the waves of `fourier`.  Reference: Wang, Li, Chen, Perdikaris (2024), "PirateNets: physics-informed deep learning with
residual adaptive networks", J. Mach. Learn. Res. 25(402), arXiv:2402.00326, equations (4.1)-(4.8).
"""

import torch
from torch import Tensor

from ..network import blend
from .fourier import Network as Fourier


class Network(Fourier):
    """`network = "piratenet"`: `depth` blocks of three hidden layers of `width` (an even number)."""

    references = ("wang2024piratenets",)

    def build(self) -> None:
        half = max(self.width // 2, 1)
        n = 2 * half
        self.block("waves.weight", (self.inputs, half), self.options.scale)
        for name in ("U", "V"):
            self.layer(name, n, n)
        for k in range(self.depth):
            for part in ("f", "g", "h"):
                self.layer(f"{part}{k}", n, n)
            self.block(f"alpha{k}", (1,), 0.0)
        self.layer("output", n, self.outputs)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        h = self.features(theta, inputs)
        U, V = (self.hidden(theta, name, h) for name in ("U", "V"))
        for k in range(self.depth):
            z = blend(self.hidden(theta, f"f{k}", h), U, V)
            y = blend(self.hidden(theta, f"g{k}", z), U, V)
            alpha = self.read(theta, f"alpha{k}")[..., None, None, :]
            h = torch.lerp(h, self.hidden(theta, f"h{k}", y), alpha)
        return self.dense(theta, "output", h)
