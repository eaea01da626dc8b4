r"""Training: one network for all Knudsen numbers of a case.

Losses: $L_{k,r} = $ mean square of residual r over the points of task k; $L_k = \sum_r L_{k,r}$.

1. First-order phase.  The m gradients $g_k = \nabla L_k$ come from ONE backward pass with respect to m copies of theta; a
   method of `hrgrad` turns them into an update, a first-order optimizer follows it with a step that decays like a cosine over
   the steps, or over the time limit where that ends the phase first and no other follows.
2. Second-order phase.  A quasi-Newton or Gauss-Newton optimizer minimises the mean of the $L_k$; a share of the points is
   renewed now and then and the curvature is kept.

Everything that a continuation needs is in `Snapshot.state`: parameters, optimizer and method state, and the step; the points
of any step follow from the seed.  References: training.md 2 and 3.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import hrgrad
from hrgrad.alignment import diagnostics
from hrgrad.optimizer import Residuals, demand, load_optimizer
from solvers.problem.case import Case
from solvers.problem.status import BadInput, NumericalError, Snapshot

from .diagnostics import conflict
from .options import TrainOptions, formulations, networks
from .sampling import collocation

LOG_EVERY = 10
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PREDICT_CHUNK = 20_000


class Model:
    """Formulation, network and points of one training; holds no parameters."""

    def __init__(self, case: Case, options: TrainOptions, device: str) -> None:
        self.case, self.options, self.device = case, options, device
        self.formulation = formulations.load(options.formulation)(case, options.velocities, device)
        make, known = networks.load(options.network), self.formulation
        # which columns know x, and whether they are a basis, matters to separable networks alone
        split = {"places": getattr(known, "places", 0), "basis": getattr(known, "basis", None)}
        self.network = make(known.inputs, known.outputs, options.width, options.depth, **split)
        self._batch: Any = None
        self._refresh = -1
        self._points: Any = None
        self._points_refresh = -1

    def batch(self, refresh: int) -> Any:
        """The prepared points after `refresh` refreshes."""
        if refresh != self._refresh:
            self._batch = self.formulation.prepare(*self._places(refresh))
            self._refresh = refresh
        return self._batch

    def _places(self, refresh: int) -> list[Tensor]:
        """eps, t, x[, y], each (m, B)."""
        options, domain = self.options, self.case.domain
        points = collocation(
            options.seed,
            refresh,
            options.tasks,
            options.points,
            self.case.knudsen.train,
            domain.t_end,
            *([domain.x] if domain.y is None else [domain.x, domain.y]),
            stratify=getattr(self.formulation, "stratify", None),
        )
        return [tensor.to(self.device) for tensor in points]

    def losses(self, theta: Tensor, refresh: int) -> dict[str, Tensor]:
        """Mean squares (m,) by residual name; theta (P,) or (m, P)."""
        batch = self.batch(refresh)
        outputs = self.network(theta, batch.inputs)
        rows = self.formulation.residuals(self.formulation.ansatz(outputs, batch), batch)
        return {name: row.square().flatten(1).mean(dim=1) for name, row in rows.items()}

    def residuals(self, refresh: int) -> Residuals:
        """The residual vector r, point by point, with |r|^2 / 2 the mean of the L_k; its Jacobian one copy of theta a point."""

        def rows(theta: Tensor, batch: Any, points: int) -> Tensor:
            found = self.formulation.residuals(self.formulation.ansatz(self.network(theta, batch.inputs), batch), batch)
            for name, row in found.items():
                if row.numel() % points or row.shape[:2].numel() != points:
                    raise BadInput(f"train.second_order: residual '{name}' does not belong to points; choose ssbroyden")
            named = [row.reshape(points, -1) for row in found.values()]
            return torch.cat([row * (2.0 / row.numel()) ** 0.5 for row in named], dim=1)

        count = self.options.tasks * self.options.points

        def jacobian(theta: Tensor) -> tuple[Tensor, Tensor]:
            if refresh != self._points_refresh:
                self._points = self.formulation.prepare(*(place.reshape(-1, 1) for place in self._places(refresh)))
                self._points_refresh = refresh
            return hrgrad.pointwise_jacobian(lambda copies: rows(copies, self._points, count), theta, count)

        return Residuals(lambda theta: rows(theta, self.batch(refresh), count).reshape(-1), jacobian=jacobian)


def train(
    case: Case,
    options: TrainOptions,
    device: str = "cpu",
    resume: Mapping[str, Any] | None = None,
) -> Iterator[Snapshot]:
    """Snapshots of a training; the last one has progress 1 unless the time limit ended it.

    resume   the `state` of an earlier snapshot: the continuation gives the same numbers on one CPU, and its seconds count.
    Raises NumericalError naming the loss that is no longer finite; BadInput for options that do not go together.
    """
    clock = CLOCKS[options.clock]
    begin, earlier = clock(), 0.0
    model = Model(case, options, device)
    generator = torch.Generator().manual_seed(options.seed)
    theta = model.network.initial(generator).to(device)
    phases: list[Phase] = []
    if options.steps:
        phases.append(FirstOrder(model))
    if options.second_order != "none" and options.second_steps:
        phases.append(SecondOrder(model))
    total = sum(phase.steps for phase in phases)
    step, current, inner, seconds = 0, 0, None, 0.0
    if resume is not None:
        theta = _tensor(resume["theta"], device)
        step, current, earlier = int(resume["step"]), int(resume["phase"]), float(resume.get("seconds", 0.0))
        seconds = earlier
        inner = _restore(resume["inner"], device) if "inner" in resume else None
    for number, phase in enumerate(phases):
        if number < current:
            continue
        state = inner if inner is not None and number == current else phase.start(theta)
        inner = None
        first = step - sum(p.steps for p in phases[:number])
        for k in range(first, phase.steps):
            before, refresh = theta, step // options.refresh
            share = k / phase.steps
            if options.time_limit is not None and len(phases) == 1:
                share = max(share, min(1.0, seconds / options.time_limit))
            theta, state, scalars, measure = phase.step(theta, state, k, refresh, share)
            step += 1
            stopped = scalars.pop("stop", 0.0) > 0
            seconds = earlier + clock() - begin
            over = options.time_limit is not None and seconds > options.time_limit
            if step % LOG_EVERY == 0 or step == total or over or stopped:
                _check(scalars, step)
                pause = clock()
                arrays = measure()
                if options.diagnose and (step - LOG_EVERY) % options.diagnose < LOG_EVERY:
                    arrays |= conflict(model, before, theta, options.tasks, refresh)
                finished = step == total or stopped
                saved = {"theta": theta, "step": step, "phase": number, "inner": state, "seconds": seconds}
                logged = {"seconds": seconds, **scalars}
                yield Snapshot(
                    1.0 if finished else step / total, step, scalars=logged, arrays=arrays, state=_plain(saved)
                )
                if over or stopped:
                    return
                begin += clock() - pause  # neither the diagnostics nor whoever takes the snapshot are training


def _check(scalars: Mapping[str, float], step: int) -> None:
    bad = [name for name, value in scalars.items() if name.startswith("loss") and not math.isfinite(value)]
    if bad:
        raise NumericalError(
            f"{', '.join(bad)} not finite at step {step}; a smaller train.learning_rate or another seed may help"
        )


#: theta, state, scalars for the history, and what tells more about the step when it is asked: small arrays by name
Step = tuple[Tensor, Any, dict[str, float], Callable[[], dict[str, np.ndarray]]]


class Phase:
    """One phase: `steps` steps of (theta, state) -> (theta, state, scalars, measure)."""

    steps: int

    def __init__(self, model: Model) -> None:
        self.model, self.options = model, model.options

    def start(self, theta: Tensor) -> dict[str, Any]:
        raise NotImplementedError

    def step(self, theta: Tensor, state: Any, k: int, refresh: int, share: float) -> Step:
        raise NotImplementedError


class FirstOrder(Phase):
    """A method of `hrgrad` combines the tasks' gradients; a first-order optimizer follows."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        options = model.options
        self.steps = options.steps
        self.method = hrgrad.load_method(options.method)
        try:
            self.method_options = self.method.Options.read(**options.method_options)
        except (TypeError, ValueError) as error:
            raise BadInput(f"train.method_options: {error}") from None
        is_step = self.method.is_step(self.method_options)
        name = options.optimizer if options.optimizer != "auto" else "sgd" if is_step else "adam"
        if is_step and name != "sgd":
            raise BadInput(
                f"train.optimizer = '{name}': {options.method} carries Adam's momenta itself and they would act twice; "
                "choose sgd or auto"
            )
        try:
            demand(name, ("direction",), "this phase")
        except ValueError as error:
            raise BadInput(f"train.optimizer: {error}, or set train.second_order") from None
        self.optimizer = load_optimizer(name)()
        self.optimizer_options = self.optimizer.make_options()

    def start(self, theta: Tensor) -> dict[str, Any]:
        m = self.options.tasks
        return {
            "method": self.method.initial_state(m, self.method_options),
            "optimizer": self.optimizer.start(theta, self.model.network.shapes, self.optimizer_options),
        }

    def step(self, theta: Tensor, state: Any, k: int, refresh: int, share: float) -> Step:
        m = self.options.tasks
        generator = torch.Generator().manual_seed(self.options.seed * 7_919 + k)
        scalars: dict[str, float] = {}
        if self.method.needs == "losses":
            leaf = theta.detach().requires_grad_()
            named = self.model.losses(leaf, refresh)
            tasks = torch.stack(list(named.values())).sum(dim=0)
            problem = hrgrad.Problem(m=m)
            found, memory = self.method.direction(
                problem, tasks.detach(), state["method"], self.method_options, generator
            )
            (update,) = torch.autograd.grad((found.weights.to(tasks) * tasks).sum(), leaf)
        else:
            leaf = theta.detach().expand(m, -1).clone().requires_grad_()
            named = self.model.losses(leaf, refresh)
            tasks = torch.stack(list(named.values())).sum(dim=0)
            (J,) = torch.autograd.grad(tasks.sum(), leaf)
            try:
                problem = hrgrad.Problem(J)
                arguments = (problem, tasks.detach(), state["method"], self.method_options, generator)
                found, memory = self.method.direction(*arguments)
            except ValueError as error:
                _check(_scalars(named), k)
                raise NumericalError(f"step {k}: {error} (loss k is task k, a bin of eps)") from None
            update = found.update(problem)
            off = problem.cosines[~np.eye(m, dtype=bool)]
            scalars = {"conflicts": float((off < 0).mean()), "min_cosine": float(off.min(initial=1.0))}
        decay = 0.5 * (1.0 + math.cos(math.pi * share))
        lr = self.options.learning_rate * (0.02 + 0.98 * decay)
        theta, inner = self.optimizer.step(theta, update, state["optimizer"], self.optimizer_options, lr=lr)
        before = tasks.detach()
        if self.method.observes:
            with torch.no_grad():
                after = torch.stack(list(self.model.losses(theta, refresh).values())).sum(dim=0)
            memory = self.method.observe(before, after, memory, self.method_options)
        measure = partial(diagnostics, problem, found)
        return theta, {"method": memory, "optimizer": inner}, {**_scalars(named), **scalars}, measure


class SecondOrder(Phase):
    """A quasi-Newton or Gauss-Newton optimizer on the mean of the tasks' losses."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.steps = model.options.second_steps
        try:
            demand(model.options.second_order, ("closure", "residuals"), "this phase")
        except ValueError as error:
            raise BadInput(f"train.second_order: {error}") from None
        self.optimizer = load_optimizer(model.options.second_order)()
        self.optimizer_options = self.optimizer.make_options()

    def start(self, theta: Tensor) -> dict[str, Any]:
        inner = self.optimizer.start(theta, self.model.network.shapes, self.optimizer_options)
        return {"optimizer": inner, "refresh": -1, "stalls": 0}

    def step(self, theta: Tensor, state: Any, k: int, refresh: int, share: float) -> Step:
        named: dict[str, Tensor] = {}

        def closure(point: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                leaf = point.detach().requires_grad_()
                named.update(self.model.losses(leaf, refresh))
                loss = torch.stack(list(named.values())).sum(dim=0).mean()
                (gradient,) = torch.autograd.grad(loss, leaf)
            return loss.detach(), gradient

        inner = state["optimizer"]
        if state["refresh"] != refresh:
            inner = self.optimizer.renew(inner)
        drive = closure if self.optimizer.needs == "closure" else self.model.residuals(refresh)
        theta, inner, info = self.optimizer.step(theta, drive, inner, self.optimizer_options)
        stalls = state["stalls"] + 1 if info["status"] == "stalled" else 0
        state = {"optimizer": inner, "refresh": refresh, "stalls": stalls}
        scalars = _scalars(named) if named else {"loss": float(info["loss"])}
        return theta, state, {**scalars, "stop": float(stalls > 2)}, dict


def _scalars(named: Mapping[str, Tensor]) -> dict[str, float]:
    """Losses by name, by residual and by task."""
    tasks = torch.stack([loss.detach() for loss in named.values()]).sum(dim=0)
    result = {"loss": float(tasks.mean())}
    result |= {f"loss/{name}": float(loss.detach().mean()) for name, loss in named.items()}
    return result | {f"loss/task{k}": value for k, value in enumerate(tasks.tolist())}


def _plain(tree: Any) -> Any:
    """Tensors as numpy arrays (shared memory on the CPU)."""
    return _map(tree, lambda value: value.detach().cpu().numpy() if isinstance(value, Tensor) else value)


def _restore(tree: Any, device: str) -> Any:
    """Arrays as tensors again."""
    return _map(tree, lambda value: _tensor(value, device) if isinstance(value, np.ndarray) else value)


def _tensor(value: Any, device: str) -> Tensor:
    return torch.from_numpy(np.array(value)).to(device)


def _map(tree: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _map(value, change) for key, value in tree.items()}
    return change(tree)


@torch.no_grad()
def predict(
    case: Case, options: TrainOptions, state: Mapping[str, Any], eps: list[float], times: Any, *space: Any
) -> dict[str, np.ndarray]:
    """Fields of a trained network at every eps, time and place: arrays (eps, t, x[, y]); `space` holds the axes x[, y].

    state   anything that holds `theta` (P,): a snapshot's state, or the `network` of a result.
    """
    model = Model(case, options, "cpu")
    theta = _tensor(state["theta"], "cpu")
    if theta.numel() != model.network.size:
        raise BadInput(
            f"the network holds {theta.numel()} parameters, the case's [train] table says {model.network.size}"
        )
    axes = [torch.as_tensor(np.asarray(a, dtype=float)) for a in (eps, times, *space)]
    shape = tuple(len(axis) for axis in axes)
    flat = [grid.reshape(-1) for grid in torch.meshgrid(*axes, indexing="ij")]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in model.formulation.fields}
    for start in range(0, flat[0].numel(), PREDICT_CHUNK):
        points = [grid[start : start + PREDICT_CHUNK] for grid in flat]
        inputs = model.formulation.features(*points).unsqueeze(-3)
        found = model.formulation.fields_of(model.network(theta, inputs), *points)
        for name in parts:
            parts[name].append(found[name].numpy())
    return {name: np.concatenate(values).reshape(shape) for name, values in parts.items()}
