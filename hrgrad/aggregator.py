r"""For other people's training loops: one call on a Jacobian, or an aggregator that fills `.grad`.

    u = aggregate("hrgrad", J)                                                J (m, P) -> u (P,)
    aggregator = hrgrad.HRGrad(); aggregator.backward(losses, parameters); optimizer.step()

`backward` takes the m gradients of the losses with respect to the shared parameters one by one, combines them by the method
and writes the update into `.grad`, so that any `torch.optim` optimizer follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from .method import Direction, State
from .problem import Problem


def aggregate(method: str, J: Tensor, losses: Tensor | None = None, **options: Any) -> Tensor:
    """The update (P,) of a method without memory from its first step; J (m, P). Raises ValueError naming what is wrong."""
    return Aggregator(method, **options)(J, losses)


class Aggregator:
    """A method with its options and its state; call it on J, or call `backward`.

    direction   the last Direction with its diagnostics
    """

    def __init__(self, method: str, generator: torch.Generator | None = None, **options: Any) -> None:
        from . import load_method

        self.name = method
        self.method = load_method(method)
        self.options = self.method.Options.read(**options)
        self.generator = generator
        self.state: State | None = None
        self.m = 0
        self.direction: Direction | None = None

    def __call__(self, J: Tensor, losses: Tensor | None = None) -> Tensor:
        """The update (P,) for J (m, P), in the dtype of J."""
        problem = Problem(J)
        if self.state is None:
            self.m, self.state = problem.m, self.method.initial_state(problem.m, self.options)
        if problem.m != self.m:
            raise ValueError(f"{self.name}: {problem.m} losses were given, but the state is of {self.m}")
        self.direction, self.state = self.method.direction(problem, losses, self.state, self.options, self.generator)
        return self.direction.update(problem)

    def backward(self, losses: Sequence[Tensor], parameters: Iterable[Tensor]) -> None:
        """Write the combined update into `.grad` of the parameters; one not used by a loss has no share from it."""
        params = [p for p in parameters if p.requires_grad]
        if not losses or not params:
            raise ValueError("backward needs at least one loss and one parameter that requires a gradient")
        rows = []
        for k, loss in enumerate(losses):
            if loss.ndim != 0 or not loss.requires_grad:
                raise ValueError(f"loss {k} must be a scalar that depends on the parameters, found {tuple(loss.shape)}")
            kept = k + 1 < len(losses)
            grads = torch.autograd.grad(loss, params, retain_graph=kept, allow_unused=True, materialize_grads=True)
            rows.append(torch.cat([g.reshape(-1) for g in grads]))
        values = torch.stack([loss.detach() for loss in losses])
        update = self(torch.stack(rows), values)
        for p, part in zip(params, torch.split(update, [p.numel() for p in params]), strict=True):
            p.grad = part.view_as(p).to(p.dtype)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a continuation needs."""
        return {"method": self.name, "m": self.m, "state": self.state}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over a state; raises ValueError for that of another method."""
        if saved.get("method") != self.name:
            raise ValueError(f"a state of method {saved.get('method')!r} does not fit {self.name!r}")
        self.m, self.state = int(saved["m"]), saved["state"]


def make_aggregator(method: str) -> type[Aggregator]:
    """The class `hrgrad.<Title>` of one method."""

    class Named(Aggregator):
        def __init__(self, generator: torch.Generator | None = None, **options: Any) -> None:
            super().__init__(method, generator, **options)

    return Named
