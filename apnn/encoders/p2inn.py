r"""Parameter encoder (P2INN): a perceptron of its own turns eps into a code.

$$ z(\varepsilon) = \tanh(sW_1 + b_1)W_2 + b_2 . $$

The code joins the columns of the formulation, which stand for the coordinate encoder of the paper.  Reference: Cho, Jo, Lim, Lee,
Lee, Hong, Park (2024), "Parameterized physics-informed neural networks for parameterized PDEs", ICML, arXiv:2408.09446.
"""

from torch import Tensor

from ..encoder import Encoder as EncoderBase
from ..networks.mlp import Network as MLP


class Encoder(EncoderBase):
    """`encoder = "p2inn"`: one hidden layer of `width`."""

    references = ("cho2024parameterized",)

    def build(self) -> None:
        self.mlp = MLP(1, self.latent, self.width, 1)
        self.adopt("code", self.mlp)

    def __call__(self, theta: Tensor, s: Tensor) -> Tensor:
        return self.mlp(theta, s[..., None, :, None]).squeeze(-3)
