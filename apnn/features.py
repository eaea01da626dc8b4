r"""Network inputs: what formulations share.

Periodic places enter as $\cos 2\pi kx,\ \sin 2\pi kx$ (exactly periodic, HRGrad (65)); eps on a logarithmic scale and through
$\varepsilon/(\varepsilon+0.2)$; time through its share of t_end and through $t/(t + 5\tau)$, which resolves a layer of duration
tau (training.md 2.2).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

Features = Callable[..., Tensor]


def harmonics(x: Tensor, interval: tuple[float, float], count: int) -> list[Tensor]:
    """sin and cos of the first `count` harmonics of the interval, 2 count tensors of the shape of x."""
    s = 2.0 * math.pi * (x - interval[0]) / (interval[1] - interval[0])
    return [trig(k * s) for k in range(1, count + 1) for trig in (torch.sin, torch.cos)]


def scales(eps: Tensor, t: Tensor, layer: Tensor, t_end: float, floor: float = 0.0) -> list[Tensor]:
    """Four inputs of eps and t; `layer` is the duration of the initial layer.

    floor   added to eps under the logarithm: what is smaller than all the Knudsen numbers of a training is the limit
    """
    return [t / (t + 5.0 * layer), eps / (eps + 0.2), (eps + floor).log10() / 4.0 + 0.5, 2.0 * t / t_end - 1.0]


def with_tangents(features: Features, eps: Tensor, *places: Tensor) -> Tensor:
    """Features of eps, t, x[, y] and their derivatives in t, x[, y] at points (..., B): (..., S, B, features), no graph."""
    count = len(places)
    moved = tuple(torch.stack([place] * count) for place in places)
    along = torch.eye(count, dtype=eps.dtype, device=eps.device).unflatten(1, (count, *[1] * eps.dim())).unbind(1)
    steps = tuple(one * torch.ones_like(place) for one, place in zip(along, moved, strict=True))
    shared = partial(features, eps.expand(count, *eps.shape))
    value, slopes = torch.func.jvp(shared, moved, steps)  # one for all directions
    return torch.cat([value[:1], slopes]).movedim(0, -3).detach()


def by_column(f: Tensor) -> Tensor:
    """The same (..., n) with its columns one after the other in memory, as networks give them (`network.linear`)."""
    return f.movedim(-1, 0).contiguous().movedim(0, -1)


def columns(*parts: Tensor) -> Tensor:
    """Parts (...) as the columns of one tensor (..., n), one after the other in memory."""
    return torch.stack(parts).movedim(0, -1)


def split_columns(f: Tensor, *counts: int) -> list[Tensor]:
    """The first columns of (..., n), the next and so on; gradients keep their columns one after the other in memory."""
    return [part.movedim(0, -1) for part in f.movedim(-1, 0).split(counts)]


def value_and_slopes(f: Tensor, axis: int = -3) -> tuple[Tensor, ...]:
    """The first entry of `axis` and the others; the gradient of both is one concatenation, that of two slices pads with zeros."""
    return f.split([1, f.shape[axis] - 1], axis)


def product(a: Tensor, b: Tensor, axis: int = -3) -> Tensor:
    """Value and derivatives of a b from those of a and b along `axis`, the value first."""
    if torch.compiler.is_compiling():  # a compiler fuses these, and cannot look into the rule
        (a0, a_), (b0, b_) = (value_and_slopes(f, axis) for f in (a, b))
        return torch.cat([a0 * b0, a_ * b0 + a0 * b_], dim=axis)
    found: Tensor = _Product.apply(a, b, axis)
    return found


class _Product(torch.autograd.Function):
    """(a, da), (b, db) -> (a b, b da + a db); back g, dg -> (b g + sum db dg, b dg) for a, the same with a for b."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, axis: int) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.axis = axis
        (a0, a_), (b0, _) = (value_and_slopes(f, axis) for f in (a, b))
        found = a0 * b
        value_and_slopes(found, axis)[1].addcmul_(a_, b0)
        return found

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        def back(b: Tensor, a: Tensor) -> Tensor:
            (b0, *b_), (_, *dg) = b.split(1, ctx.axis), g.split(1, ctx.axis)
            found = b0 * g
            value = found.narrow(ctx.axis, 0, 1)
            for db, slope in zip(b_, dg, strict=True):
                value.addcmul_(db, slope)
            return found.sum_to_size(a.shape)

        a, b = ctx.saved_tensors
        needs_a, needs_b, _ = ctx.needs_input_grad
        return back(b, a) if needs_a else None, back(a, b) if needs_b else None, None
