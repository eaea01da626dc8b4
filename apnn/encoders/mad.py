r"""Meta-auto-decoder (MAD): the code of eps is a set of free numbers, learnt with the network.

$$ z(\varepsilon) = \sum_{k=0}^{K+2} B_3\big(\tfrac{K}{2}(s + 1) - k + 1\big)\,z_k, \qquad
   B_3(d) = \tfrac23 - d^2 + \tfrac12|d|^3\ (|d| < 1),\quad \tfrac16(2 - |d|)^3\ (|d| < 2) . $$

The paper gives every task one latent vector; here K + 3 of them are the coefficients of a cubic spline in log eps, so that any
eps has a code.  Fine-tuning with `freeze` moves the z_k alone (MAD-L), without it everything (MAD-LM).

Reference: Huang, Ye, Liu, Ji, Shi, Yang, Wang, Wu, Dong, Yang (2022), "Meta-auto-decoder for solving parametric partial
differential equations", NeurIPS 35, arXiv:2111.08823.
"""

import torch
from torch import Tensor

from ..encoder import Encoder as EncoderBase

CELLS = 8


class Encoder(EncoderBase):
    """`encoder = "mad"`: a cubic spline over the trained range of log eps."""

    references = ("huang2022meta",)

    def build(self) -> None:
        self.block("code", (CELLS + 3, self.latent), 1.0)

    def __call__(self, theta: Tensor, s: Tensor) -> Tensor:
        place = 0.5 * CELLS * (s.clamp(-1.0, 1.0) + 1.0) + 1.0
        d = (place.unsqueeze(-1) - torch.arange(CELLS + 3, dtype=s.dtype, device=s.device)).abs()
        weights = torch.where(d < 1.0, 2.0 / 3.0 - d**2 + 0.5 * d**3, (2.0 - d).clamp_min(0.0) ** 3 / 6.0)
        return weights @ self.read(theta, "code")
