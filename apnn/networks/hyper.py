r"""Low-rank hypernetwork: eps sets the strength of every hidden direction, through a code z(eps) of an encoder.

$$ h_1 = \tanh(XW_0 + b_0), \quad h_{l+1} = \tanh\big((h_lU_l \odot s_l(\varepsilon))\,V_l + b_l\big), \quad
   s_l = zS_l + c_l, \quad Y = h_LW_L + b_L . $$

Each Knudsen number has a network of its own, W_l = U_l diag(s_l) V_l, and all of them share the directions.  Needs
`encoder = "p2inn"` or `"mad"`.  References: de Avila Belbute-Peres, Chen, Sha (2021), "HyperPINN: learning parameterized
differential equations with physics-informed hypernetworks", arXiv:2111.01008; Cho, Lee, Rim, Park (2023),
"Hypernetwork-based meta-learning for low-rank physics-informed neural networks", NeurIPS 36, arXiv:2310.09528.
"""

from dataclasses import dataclass

from torch import Tensor

from hrgrad.optimizer import option
from solvers.problem.status import BadInput

from ..network import Network as NetworkBase
from ..network import NetworkOptions, linear


@dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions):
    """Of `hyper`."""

    rank: int = option(12, "directions that eps weighs in each hidden layer", low=1)


class Network(NetworkBase):
    """`network = "hyper"`: a hidden layer of `width`, then `depth` - 1 of them whose weights follow eps."""

    Options = Options
    references = ("belbute2021hyperpinn", "cho2023hypernetwork")

    def build(self) -> None:
        if not self.code:
            raise BadInput('train.network: hyper reads a code of eps; add encoder = "p2inn" or "mad"')
        self.layer("layer0", self.inputs - self.code, self.width)
        for k in range(1, self.depth):
            self.layer(f"strength{k}", self.code, self.options.rank)
            self.block(f"directions{k}", (self.width, self.options.rank), (2.0 / self.width) ** 0.5)
            self.layer(f"layer{k}", self.options.rank, self.width)
        self.layer("output", self.width, self.outputs)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        z = inputs[..., :1, :, inputs.shape[-1] - self.code :]
        h = self.hidden(theta, "layer0", inputs[..., : inputs.shape[-1] - self.code])
        for k in range(1, self.depth):
            U = self.read(theta, f"directions{k}")
            h = self.hidden(theta, f"layer{k}", linear(h, U) * self.dense(theta, f"strength{k}", z))
        return self.dense(theta, "output", h)
