r"""Random Fourier features: waves of random frequencies before a multilayer perceptron.

$$ h_0 = [\cos XB,\ \sin XB], \quad B_{ij} \sim N(0, s^2), \quad h_{l+1} = \tanh(h_lW_l + b_l), \quad Y = h_LW_L + b_L . $$

s (`scale`) sets which frequencies are learnt first; B starts at random and is trained with the rest.  References: Tancik et al.
(2020), "Fourier features let networks learn high frequency functions in low dimensional domains", NeurIPS 33, 7537,
arXiv:2006.10739; Wang, Wang, Perdikaris (2021), Comput. Methods Appl. Mech. Engrg. 384, 113938, DOI 10.1016/j.cma.2021.113938.
"""

from dataclasses import dataclass

from torch import Tensor

from hrgrad.optimizer import option

from ..network import Network as NetworkBase
from ..network import NetworkOptions, linear, waves


@dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions):
    """Of `fourier` and `piratenet`."""

    scale: float = option(0.5, "standard deviation of the frequencies B", low=1e-6)


class Network(NetworkBase):
    """`network = "fourier"`: `width` waves (an even number), then `depth` hidden layers of `width`."""

    Options = Options
    references = ("tancik2020fourier", "wang2021eigenvector")

    def build(self) -> None:
        half = max(self.width // 2, 1)
        self.block("waves.weight", (self.inputs, half), self.options.scale)
        for k in range(self.depth):
            self.layer(f"layer{k}", self.width if k else 2 * half, self.width)
        self.layer("output", self.width, self.outputs)

    def features(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """h_0 of value and tangents."""
        return waves(linear(inputs, self.read(theta, "waves.weight")))

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        h = self.features(theta, inputs)
        for k in range(self.depth):
            h = self.hidden(theta, f"layer{k}", h)
        return self.dense(theta, "output", h)
