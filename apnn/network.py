r"""What every network promises, and the layers they are made of.

A network is a function of ONE flat parameter vector theta and of inputs that carry directional derivatives with them,

$$ (h, \dot h_1, \dots) \mapsto (hW + b,\ \dot h_1W, \dots), \qquad
   (y, \dot y_1, \dots) \mapsto (\tanh y,\ (1 - \tanh^2y)\,\dot y_1, \dots) , $$

stacked along axis S (entry 0 the value), so that one matrix product serves the value and all its tangents and no reverse pass
is nested.  With theta of shape (m, P), one copy of the parameters per task, the products are batched, and the gradient with
respect to that copy is the whole Jacobian of the m losses in one backward pass.

Weight factorization, an option of all networks: W = diag(e^s) V in place of W, one scale per output (`factorized`).

References: Griewank, Walther (2008), Evaluating Derivatives, chapter 3, DOI 10.1137/1.9780898717761; Wang, Wang, Seidman,
Perdikaris (2022), "Random weight factorization improves the training of continuous neural representations", arXiv:2210.01274.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from hrgrad.optimizer import BaseOptions, option
from hrgrad.registry import nearest

from .features import product, value_and_slopes


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(BaseOptions):
    """`[train] network_options`, those of every network."""

    factorized: bool = option(False, "random weight factorization: weights diag(exp(s)) V, s from N(1, 0.1^2)")


class Blocks:
    """Parts of one flat parameter vector theta, in the order in which they are declared.

    shapes    (offset, shape) of the blocks; `names` of the same
    """

    def __init__(self, options: NetworkOptions) -> None:
        self.options: Any = options
        self.names: list[str] = []
        self.shapes: list[tuple[int, tuple[int, ...]]] = []
        self.starts: list[Callable[[torch.Generator, torch.dtype], Tensor]] = []
        self.size = 0

    def block(self, name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> None:
        """Declare a block of theta that starts from N(mean, std^2)."""

        def start(generator: torch.Generator, dtype: torch.dtype) -> Tensor:
            return mean + std * torch.randn(torch.Size(shape).numel(), generator=generator, dtype=dtype)

        self.names.append(name)
        self.shapes.append((self.size, shape))
        self.starts.append(start)
        self.size += torch.Size(shape).numel()

    def layer(self, name: str, inputs: int, outputs: int) -> None:
        """Declare a dense layer: Glorot (2010) weights, biases N(0, 0.3^2)."""
        std = (2.0 / (inputs + outputs)) ** 0.5
        if self.options.factorized:
            self.block(f"{name}.scale", (outputs,), 0.1, 1.0)
            std /= torch.e
        self.block(f"{name}.weight", (inputs, outputs), std)
        self.block(f"{name}.bias", (outputs,), 0.3)

    def adopt(self, name: str, part: "Blocks") -> None:
        """Declare all blocks of another as `name`.<block>, in its order."""
        self.names += [f"{name}.{block}" for block in part.names]
        self.shapes += [(self.size + offset, shape) for offset, shape in part.shapes]
        self.starts += part.starts
        self.size += part.size

    def initial(self, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
        """Random parameters, shape (P,)."""
        return torch.cat([start(generator, dtype) for start in self.starts])

    def read(self, theta: Tensor, name: str) -> Tensor:
        """A block of theta in its shape, (..., *shape)."""
        offset, shape = self.shapes[self.names.index(name)]
        return theta[..., offset : offset + torch.Size(shape).numel()].unflatten(-1, shape)


class Network(Blocks, ABC):
    """`inputs` columns -> `outputs`, through hidden layers of `width`.

    inputs    columns; of them the first `places` know x and the last `code` know eps alone (`apnn/encoder.py`)
    basis     (rank, outputs): the columns that span each output in x; None: they do not
    """

    Options: ClassVar[type[NetworkOptions]] = NetworkOptions
    references: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        places: int = 0,
        basis: Tensor | None = None,
        code: int = 0,
        options: NetworkOptions | None = None,
    ) -> None:
        super().__init__(options if options is not None else self.Options())
        self.inputs, self.outputs, self.width, self.depth = inputs, outputs, width, depth
        self.places, self.basis, self.code = places, basis, code
        self.build()

    @classmethod
    def make_options(cls, **given: Any) -> NetworkOptions:
        """`[train] network_options`; an unknown one is answered with those there are."""
        known = [entry.name for entry in fields(cls.Options)]
        for key in given:
            if key not in known:
                raise ValueError(f"no option '{key}':{nearest(key, known)}")
        return cls.Options(**given)

    @abstractmethod
    def build(self) -> None:
        """Declare the blocks of theta."""

    @abstractmethod
    def __call__(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """Values and tangents, (..., S, B, inputs) -> (..., S, B, outputs); entry 0 of S is the value, the others tangents.

        theta (P,), or (m, P) with inputs (m, S, B, inputs).
        """

    def weight(self, theta: Tensor, name: str) -> Tensor:
        """W of a dense layer, (..., inputs, outputs)."""
        W = self.read(theta, f"{name}.weight")
        return W * self.read(theta, f"{name}.scale").exp().unsqueeze(-2) if self.options.factorized else W

    def bias(self, theta: Tensor, name: str) -> Tensor:
        """b of a dense layer, (..., 1, 1, outputs)."""
        return self.read(theta, f"{name}.bias")[..., None, None, :]

    def dense(self, theta: Tensor, name: str, h: Tensor) -> Tensor:
        """h W + b of value and tangents."""
        return linear(h, self.weight(theta, name), self.read(theta, f"{name}.bias"))

    def hidden(self, theta: Tensor, name: str, h: Tensor) -> Tensor:
        """tanh(h W + b) of value and tangents."""
        return tanh(linear(h, self.weight(theta, name)), self.bias(theta, name))

    def linear_part(self) -> slice:
        """Where the output layer lies in theta, the last layer declared."""
        first = next(k for k, name in enumerate(self.names) if name.split(".")[0] == self.names[-1].split(".")[0])
        return slice(self.shapes[first][0], self.size)


def blend(gate: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """gate a + (1 - gate) b of value and tangents."""
    return b + product(gate, a - b)


def linear(h: Tensor, W: Tensor, bias: Tensor | None = None) -> Tensor:
    """h W of value and tangents, (..., S, B, n) -> (..., S, B, outputs), W (n, outputs) or (..., n, outputs).

    Computed as (W^T h^T)^T, each column of the result one after the other in memory: on CPUs products with few columns take half
    the time so.  The bias (..., outputs) is added to the value.
    """
    first = 0 if W.ndim == 2 else -3
    rows = W.mT @ h.flatten(first, -2).mT
    if bias is not None:
        rows = shifted(rows, bias, h.shape[first:-1])
    return rows.mT.unflatten(-2, h.shape[first:-1])


def shifted(rows: Tensor, bias: Tensor, shape: torch.Size) -> Tensor:
    """Rows (..., n, S B) of value and tangents, their last axis of `shape` (..., S, B), with the value's bias (..., n), in place."""
    if torch.compiler.is_compiling():  # a compiler fuses these, and cannot look into the rule
        value, slopes = value_and_slopes(rows.unflatten(-1, shape), -2)
        return torch.cat([value + columnwise(bias, value), slopes], dim=-2).flatten(-len(shape))
    found: Tensor = _Shifted.apply(rows, bias, shape)
    return found


def columnwise(bias: Tensor, value: Tensor) -> Tensor:
    """A bias (..., n) beside (..., n, *points)."""
    return bias[(...,) + (None,) * (value.ndim - bias.ndim)]


class _Shifted(torch.autograd.Function):
    """(y, dy) -> (y + b, dy)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bias: Tensor, shape: torch.Size) -> Tensor:
        value, _ = value_and_slopes(rows.unflatten(-1, shape), -2)
        value.add_(columnwise(bias, value))
        ctx.mark_dirty(rows)
        ctx.shape, ctx.n = shape, bias.ndim
        return rows

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        value, _ = value_and_slopes(g.unflatten(-1, ctx.shape), -2)
        return g, value.flatten(ctx.n).sum(-1), None


def waves(y: Tensor) -> Tensor:
    """cos y beside sin y, of a value and its tangents."""
    value, slopes = value_and_slopes(y)
    cos, sin = torch.cos(value), torch.sin(value)
    return torch.cat([torch.cat([cos, -sin * slopes], dim=-3), torch.cat([sin, cos * slopes], dim=-3)], dim=-1)


def tanh(y: Tensor, bias: Tensor) -> Tensor:
    """tanh(y + bias) of a value and its tangents, (..., S, B, n); the bias (..., 1, 1, n) is the value's."""
    if torch.compiler.is_compiling():  # a compiler fuses these, and cannot look into the rule
        value, slopes = value_and_slopes(y)
        value = torch.tanh(value + bias)
        return torch.cat([value, (1.0 - value * value) * slopes], dim=-3)
    found: Tensor = _Tanh.apply(y, bias)
    return found


class _Tanh(torch.autograd.Function):
    """(y, dy) -> (v, w) = (tanh(y + b), (1 - v^2) dy), and back (g, dg) -> ((1 - v^2) g - 2 v sum w dg, (1 - v^2) dg)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, bias: Tensor) -> Tensor:
        out = torch.empty_like(y)
        (y0, dy), (v, w) = value_and_slopes(y), value_and_slopes(out)
        torch.add(y0, bias, out=v).mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)  # tanh itself takes twice as long
        torch.mul(dy, 1.0 - v * v, out=w)
        ctx.save_for_backward(out)
        ctx.shape = bias.shape
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        (out,) = ctx.saved_tensors
        (v, *w), (_, *dg) = out.split(1, -3), g.split(1, -3)
        gy = g * (1.0 - v * v)
        g0 = gy.narrow(-3, 0, 1)
        for a, b in zip(w, dg, strict=True):
            g0.addcmul_(v, a * b, value=-2.0)
        return gy, g0.sum_to_size(ctx.shape)
