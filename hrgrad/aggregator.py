r"""For other people's training loops: one call on a Jacobian, or an aggregator that fills `.grad`.

    u = aggregate("hrgrad", J)                                                J (m, P) -> u (P,)

    aggregator = hrgrad.HRGrad()
    aggregator.backward(losses, parameters)         in place of sum(losses).backward()
    optimizer.step()                                any torch.optim optimizer

`backward` combines the gradients of the m losses by the method and writes the update into `.grad`. A method that needs the
losses alone takes one backward pass and forms no Jacobian. On a GPU everything the host needs, the Gramian and the losses,
comes over in ONE transfer; the update is queued behind it without waiting.

With one new gradient per step (methods with momenta): `aggregator.backward([loss], parameters, tasks=[k], m=8)`.
`observe(losses)` after the optimizer's step belongs to methods that learn from it (`Method.observes`, FAMO), with the same
batch. A method whose update is Adam's step already (`Method.is_step`) is followed by torch.optim.SGD.
`state_dict` holds the state, the options and the random generator: a copy restored from it continues with equal numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .arrays import Array
from .jacobians import Parameters, check_losses, jacobian, list_parameters
from .method import Direction, State
from .problem import Problem


def aggregate(
    method: str, J: Tensor, losses: Tensor | None = None, generator: torch.Generator | None = None, **options: Any
) -> Tensor:
    """The update (P,) of a method's first step; J (m, P). Raises ValueError naming what is wrong.

    Random methods draw from `generator`, else from torch's global one.
    """
    update = Aggregator(method, generator or torch.default_generator, **options)(J, losses)
    if not update.is_cuda and not bool(torch.isfinite(update).all()):
        Problem(J).finite(method)
    return update


class Aggregator:
    """A method with its options and its state; call it on J, or call `backward`.

    direction   the last Direction: weights or vector, status, the method's own diagnostics
    diagnostics()   arrays about the last step, on demand (see `hrgrad.diagnostics`)
    generator   of the random numbers; by default an own one with torch's seed, so that the global one is left alone
    """

    def __init__(self, method: str, generator: torch.Generator | None = None, **options: Any) -> None:
        from . import load_method

        self.name = method
        self.method = load_method(method)
        self.options = self.method.Options.read(**options)
        if generator is None and "deterministic" not in self.method.properties:
            generator = torch.Generator().manual_seed(torch.initial_seed())
        self.generator = generator
        self.state: State | None = None
        self.m = 0
        self.direction: Direction | None = None
        self._losses: Tensor | None = None
        self._problem: Problem | None = None
        self._restored = False

    def __call__(
        self, J: Tensor, losses: Tensor | None = None, tasks: Sequence[int] | None = None, m: int | None = None
    ) -> Tensor:
        """The update (P,) for J (m, P), in the dtype of J. With `tasks` J holds the gradients of these alone, of m.

        A method that needs the losses alone does not look at the gradients: what is not finite among them comes through.
        """
        if isinstance(J, Tensor) and torch.is_autocast_enabled(J.device.type):  # angles do not survive half precision
            with torch.autocast(J.device.type, enabled=False):
                return self(J, losses, tasks, m)
        if tasks is None:
            problem = Problem(J)
        else:
            self._check_one_by_one()
            known = m or self.m or None
            if known is None:
                raise ValueError(
                    f"{self.name}: tasks={list(tasks)} needs m, the number of all losses, at the first step"
                )
            problem = Problem(J, m=known, rows=tuple(tasks))
        if losses is not None:
            rows = problem.m if tasks is None else len(tasks)
            if not isinstance(losses, Tensor) or losses.shape != (rows,):
                found = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
                raise ValueError(f"{self.name}: losses must be a tensor of shape ({rows},), found {found}")
            if self.method.needs != "jacobian":  # the others take their losses over themselves, where they need them
                losses = problem.bring(losses)
        update = self._step(problem, losses).update(problem)
        problem.J = None  # diagnostics need what is m-dimensional alone: m x P numbers are not kept for them
        return update

    def _check_one_by_one(self) -> None:
        if not self.method.is_step(self.options):
            raise ValueError(f"{self.name} combines all losses at every step; tasks goes with methods with momenta")

    def diagnostics(self) -> dict[str, Array]:
        """`hrgrad.diagnostics` of the last step. The cosines of the update with the gradients need weights: else nan."""
        from .alignment import diagnostics

        if self._problem is None or self.direction is None:
            raise ValueError(f"{self.name}: there are no diagnostics before the first step")
        return diagnostics(self._problem, self.direction)

    def _step(self, problem: Problem, losses: Tensor | None) -> Direction:
        if self.state is None:
            self.m, self.state = problem.m, self.method.initial_state(problem.m, self.options)
        if problem.m != self.m:
            raise ValueError(f"{self.name}: {problem.m} losses were given, but the state is of {self.m}")
        if self._restored and problem.J is not None:
            self.state, self._restored = _placed(self.state, problem.J), False
        self._losses = losses
        found: Direction
        found, self.state = self.method.direction(problem, losses, self.state, self.options, self.generator)
        self.direction, self._problem = found, problem
        return found

    def backward(
        self,
        losses: Sequence[Tensor] | Tensor,
        parameters: Parameters,
        tasks: Sequence[int] | None = None,
        m: int | None = None,
        retain_graph: bool = False,
    ) -> None:
        """Write the combined update into `.grad` of the parameters, over what was there; one not used by a loss has no
        share from it, and one that is listed twice (models with a common part) counts once.

        losses   m scalars, or a tensor (m,); with `tasks` those of these tasks alone
        """
        rows = check_losses(losses)
        params = [p for p in dict.fromkeys(list_parameters(parameters)) if p.requires_grad]
        if not params:
            raise ValueError(f"{self.name}: none of the parameters requires a gradient")
        values = torch.stack([loss.detach() for loss in rows])
        if self.method.needs == "losses":
            if tasks is not None:
                self._check_one_by_one()
            self._backward_of_the_sum(rows, values, params, retain_graph)
            return
        J = jacobian(losses if isinstance(losses, Tensor) else rows, params, retain_graph=retain_graph)
        update = self(J, values, tasks, m)
        for p, part in zip(params, torch.split(update, [p.numel() for p in params]), strict=True):
            p.grad = part.view_as(p).to(p.dtype)

    def _backward_of_the_sum(
        self, rows: Sequence[Tensor], values: Tensor, params: list[Tensor], retain_graph: bool
    ) -> None:
        """Weights from the losses alone: one pass, and no matrix."""
        host = values.to("cpu", torch.float64)
        bad = torch.nonzero(~torch.isfinite(host)).flatten().tolist()
        if bad:
            raise ValueError(f"loss {bad[0]} is not finite: {host.tolist()}")
        found = self._step(Problem(m=len(rows)), host)
        if found.weights is None:
            raise TypeError(f"method {self.name!r} says that it needs the losses alone, but gave no weights")
        weights = [w.to(loss.dtype).reshape(loss.shape) for w, loss in zip(found.weights.unbind(), rows, strict=True)]
        seeds = [w.to(loss.device, non_blocking=True) for w, loss in zip(weights, rows, strict=True)]
        found_grads = torch.autograd.grad(rows, params, seeds, retain_graph=retain_graph, allow_unused=True)
        grads = [None if g is None else g.to_dense() for g in found_grads]
        # on a GPU the look would be a second transfer: there the next step's losses tell
        if not values.is_cuda and not all(bool(torch.isfinite(g).all()) for g in grads if g is not None):
            raise ValueError(f"{self.name}: the gradient of the weighted sum is not finite, though all losses are")
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.zeros_like(p) if g is None else g.detach()

    def observe(self, losses: Sequence[Tensor] | Tensor) -> None:
        """For methods that learn from a step: the losses of the SAME batch after it. Others take no notice."""
        if not self.method.observes:
            return
        if self.state is None or self._losses is None:
            raise ValueError(f"{self.name}: observe comes after a step that was given its losses")
        after = losses.detach() if isinstance(losses, Tensor) else torch.stack([loss.detach() for loss in losses])
        if after.shape != self._losses.shape:
            raise ValueError(f"{self.name}: observe needs {len(self._losses)} losses, found shape {tuple(after.shape)}")
        self.state = self.method.observe(self._losses, after.cpu(), self.state, self.options)

    def state_dict(self) -> dict[str, Any]:
        """All that a continuation needs, copied: tensors, numbers and words alone."""
        random = None
        if self.generator is not None:
            random = {"device": str(self.generator.device), "state": self.generator.get_state()}
        state = None if self.state is None else _copied(self.state)
        return {"method": self.name, "m": self.m, "state": state, "options": asdict(self.options), "generator": random}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over a state (the options stay as they are). Raises ValueError for one that does not fit, and changes nothing."""
        if saved.get("method") != self.name:
            raise ValueError(f"a state of method {saved.get('method')!r} does not fit {self.name!r}")
        m, state, random = int(saved["m"]), saved["state"], saved.get("generator")
        if state is not None:
            expected = set(self.method.initial_state(m, self.options))
            if set(state) != expected:
                there = saved.get("options", {})
                other = {k: v for k, v in there.items() if v != getattr(self.options, k, v)}
                raise ValueError(
                    f"the state of {self.name!r} does not fit its options here; it was written with {other or there}"
                )
            state = _copied(state)
        if random is not None:
            generator = torch.Generator(random["device"])
            generator.set_state(random["state"].cpu())
            self.generator = generator
        self.m, self.state, self._losses, self._restored = m, state, None, True


def _copied(state: Mapping[str, Any]) -> State:
    return {key: value.detach().clone() if isinstance(value, Tensor) else value for key, value in state.items()}


def _placed(state: State, J: Tensor) -> State:
    """Restored tensors of P numbers go where the gradients are; those of m numbers stay on the host."""
    m, size = J.shape

    def place(value: Any) -> Any:
        long = isinstance(value, Tensor) and value.ndim > 0 and value.shape[-1] == size > m
        return value.to(J.device) if long else value

    return {key: place(value) for key, value in state.items()}


@cache
def make_aggregator(method: str) -> type[Aggregator]:
    """The class `hrgrad.<Title>` of one method."""
    from . import load_method

    title = load_method(method).title

    class Named(Aggregator):
        def __init__(self, generator: torch.Generator | None = None, **options: Any) -> None:
            super().__init__(method, generator, **options)

    Named.__name__ = Named.__qualname__ = title
    Named.__module__ = "hrgrad"
    Named.__doc__ = (
        f"Aggregator of the method {method!r}: `kinetic explain {method}`, or the file hrgrad/methods/{method}.py."
    )
    return Named
