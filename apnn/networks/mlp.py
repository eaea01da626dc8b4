r"""Multilayer perceptron with hand-written tangents over one flat parameter vector.

$$ h_0 = X, \quad h_{l+1} = \tanh(h_l W_l + b_l), \quad Y = h_L W_L + b_L, \qquad
   \dot h_{l+1} = (1 - h_{l+1}^2)\,(\dot h_l W_l) . $$

The value and its directional derivatives travel together as one matrix product per layer: no nested reverse pass.  With
theta of shape (m, P), one copy of the parameters per task, the products are batched, and the gradient with respect to that
copy is the whole Jacobian of the m losses in one backward pass.

Glorot (2010) initialisation, biases N(0, 0.3^2).  References: Glorot, Bengio (2010), AISTATS, PMLR 9, 249; Griewank, Walther
(2008), Evaluating Derivatives, chapter 3, DOI 10.1137/1.9780898717761.
"""

import itertools

import torch
from torch import Tensor


class Network:
    """`network = "mlp"`: `inputs` -> `depth` hidden layers of `width` -> `outputs`; all columns are alike to it."""

    def __init__(
        self, inputs: int, outputs: int, width: int, depth: int, places: int = 0, basis: Tensor | None = None
    ) -> None:
        sizes = [inputs, *[width] * depth, outputs]
        self.layers = list(itertools.pairwise(sizes))
        self.shapes: list[tuple[int, tuple[int, ...]]] = []
        offset = 0
        for a, b in self.layers:
            self.shapes += [(offset, (a, b)), (offset + a * b, (b,))]
            offset += a * b + b
        self.size = offset

    def initial(self, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
        """Random parameters, shape (P,)."""
        parts = []
        for a, b in self.layers:
            parts.append(torch.randn(a * b, generator=generator, dtype=dtype) * (2.0 / (a + b)) ** 0.5)
            parts.append(0.3 * torch.randn(b, generator=generator, dtype=dtype))
        return torch.cat(parts)

    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """Values and tangents, (..., S, B, inputs) -> (..., S, B, outputs); entry 0 of S is the value, the others tangents.

        theta (P,), or (m, P) with inputs (m, S, B, inputs).
        """
        h = inputs
        rows = h.shape[-3:-1]
        for k, ((a, b), (start, _)) in enumerate(zip(self.layers, self.shapes[::2], strict=True)):
            W = theta[..., start : start + a * b].unflatten(-1, (a, b))
            bias = theta[..., start + a * b : start + a * b + b]
            y = (h.flatten(-3, -2) @ W).unflatten(-2, rows)
            value = y[..., 0, :, :] + bias.unsqueeze(-2)
            if k + 1 < len(self.layers):
                value = torch.tanh(value)
                tangents = (1.0 - value**2).unsqueeze(-3) * y[..., 1:, :, :]
            else:
                tangents = y[..., 1:, :, :]
            h = torch.cat([value.unsqueeze(-3), tangents], dim=-3)
        return h
