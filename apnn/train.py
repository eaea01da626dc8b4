r"""Training: one network for all Knudsen numbers of a case.

Losses: $L_{k,r} = $ mean square of residual r over the points of task k; $L_k = \sum_r L_{k,r}$.

1. First-order phase.  The m gradients $g_k = \nabla L_k$ come from ONE backward pass with respect to m copies of theta; a
   method of `hrgrad` turns them into an update, a first-order optimizer follows it with a step that decays like a cosine over
   the steps, or over the time limit where that ends the phase first and no other follows.  `precision` is that of this phase.
2. Second-order phase.  A quasi-Newton or Gauss-Newton optimizer minimises the mean of the $L_k$; a share of the points is
   renewed now and then and the curvature is kept.  Parameters and curvature are float64; losses and gradients are float32 with
   `second_precision`, half as dear, until their rounding hides the decrease from a line search, and float64 from then on
   (ssbroyden in float32 alone stalls at an error of 4e-5 where it goes on to 5e-6, training.md 2.4).

Everything that a continuation needs is in `Snapshot.state`: parameters, optimizer and method state, and the step; the points
of any step follow from the seed.  References: training.md 2 and 3.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import hrgrad
from hrgrad.alignment import diagnostics
from hrgrad.optimizer import demand, load_optimizer
from solvers.problem.case import Case
from solvers.problem.status import BadInput, NumericalError, Snapshot

from .adaptive import adapt
from .diagnostics import conflict
from .emphasis import emphasis
from .estimate import Estimator, worst
from .memory import afford
from .model import Model, predict
from .options import TrainOptions
from .sampling import bins

__all__ = ["Model", "predict", "train"]

LOG_EVERY = 10
#: looks at the error estimate: the first after so many seconds of training, the next at so many times that
FIRST_LOOK, NEXT_LOOK = 0.5, 1.3
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def train(
    case: Case,
    options: TrainOptions,
    device: str = "cpu",
    resume: Mapping[str, Any] | None = None,
    start: Any = None,
) -> Iterator[Snapshot]:
    """Snapshots of a training; the last one has progress 1 unless the time limit ended it.

    A look at the error estimate (`apnn/estimate.py`) now and then is logged as `estimate` and kept by Knudsen number in the state;
    looks of a continued training begin anew.

    start    parameters (P,) to begin with in place of random ones
    resume   the `state` of an earlier snapshot: the continuation gives the same numbers on one CPU, and its seconds count.
    Raises NumericalError naming losses, tasks and parameters that are no longer finite; BadInput for options that do not go together.
    """
    model = Model(case, options, device)
    afford(model)
    estimator, look, eta, fitted = Estimator(model), FIRST_LOOK, None, 1.0
    phases: list[Phase] = []
    if options.steps:
        phases.append(FirstOrder(model))
    if options.second_order != "none" and options.second_steps:
        phases.append(SecondOrder(model))
    total = sum(phase.steps for phase in phases)
    clock = CLOCKS[options.clock]
    begin, earlier = (
        clock(),
        0.0,
    )  # what a model must know beforehand may be there from an earlier run: it is no training
    step, current, inner, seconds = 0, 0, None, 0.0
    if resume is not None:
        step, current, earlier = int(resume["step"]), int(resume["phase"]), float(resume.get("seconds", 0.0))
        seconds = earlier
        inner = _restore(resume["inner"], device) if "inner" in resume else None
    whole = resume["theta"] if resume is not None else start
    if whole is None:
        whole = model.initial(torch.Generator().manual_seed(options.seed)).numpy()
    theta = model.hold(_tensor(whole, device).to(phases[current].dtype))
    for number, phase in enumerate(phases):
        if number < current:
            continue
        theta = theta.to(phase.dtype)
        state = inner if inner is not None and number == current else phase.start(theta)
        inner = None
        first = step - sum(p.steps for p in phases[:number])
        for k in range(first, phase.steps):
            before, refresh = theta, step // options.refresh
            share = k / phase.steps
            if options.time_limit is not None and len(phases) == 1:
                share = max(share, min(1.0, seconds / options.time_limit))
            theta, state, stopped, look_back = phase.step(theta, state, k, refresh, share)
            step += 1
            seconds = earlier + clock() - begin
            over = options.time_limit is not None and seconds > options.time_limit
            if step % LOG_EVERY == 0 or step == total or over or stopped:
                scalars, arrays = look_back()
                _check(scalars, step, model, theta)
                pause = clock()
                if options.diagnose and look_is_due(step, options.diagnose):
                    arrays |= conflict(model, before, theta, options.tasks, refresh)
                if seconds >= look or step == total or over or stopped:
                    eta, look = estimator.look(theta.double()), NEXT_LOOK * seconds
                    fitted = estimator.fresh / scalars["loss"]
                    scalars |= {"estimate": worst(eta), "fresh": estimator.fresh}
                    stopped = stopped or (options.target is not None and scalars["estimate"] <= options.target)
                finished = step == total or stopped
                saved = {"theta": model.whole(theta), "step": step, "phase": number, "inner": state, "seconds": seconds}
                if eta is not None:
                    saved |= {"estimate": eta, "fitted": fitted}
                logged = {"seconds": seconds, **scalars}
                yield Snapshot(
                    1.0 if finished else step / total, step, scalars=logged, arrays=arrays, state=_plain(saved)
                )
                if over or stopped:
                    return
                begin += clock() - pause  # neither the diagnostics nor whoever takes the snapshot are training


def look_is_due(step: int, every: int) -> bool:
    """Whether the conflict is looked at after a logged step: every so many steps at first, then after each tenth more of them."""
    number, since = divmod(step - LOG_EVERY, every)
    if since >= LOG_EVERY:
        return False
    return number <= 10 or math.floor(math.log(number, 1.1)) > math.floor(math.log(number - 1, 1.1))


def _check(scalars: Mapping[str, float], step: int, model: Model, theta: Tensor) -> None:
    """NumericalError that names the losses, tasks and blocks of theta that are no longer finite."""
    bad = [name for name, value in scalars.items() if name.startswith("loss") and not math.isfinite(value)]
    if not bad:
        return
    low, high = model.case.knudsen.train if model.options.focus is None else model.options.focus
    edges = bins((low, high), model.options.tasks, model.options.knee, model.options.spacing)
    tasks = [int(name.removeprefix("loss/task")) for name in bad if name.startswith("loss/task")]
    where = ", ".join(f"{k} (eps {edges[k]:.1e} to {edges[k + 1]:.1e})" for k in tasks[:3]) + ", ..." * (len(tasks) > 3)
    losses = ", ".join(name for name in bad if not name.startswith("loss/task"))
    whole = model.whole(theta)
    sizes = [math.prod(shape) for _, shape in model.shapes]
    blocks = zip(model.names, torch.isfinite(whole).split(sizes), strict=True)
    broken = [name for name, finite in blocks if not bool(finite.all())]
    parameters = f"parameters {', '.join(broken)}" if broken else "all parameters are finite"
    raise NumericalError(f"{losses} not finite at step {step}: tasks {where or '-'}; {parameters}")


#: scalars and small arrays for the history
Report = tuple[dict[str, float], dict[str, np.ndarray]]
#: theta, state, whether nothing more is to be gained, and what tells about the step: only those that are logged wait for it on a GPU
Step = tuple[Tensor, Any, bool, Callable[[], Report]]


class Phase:
    """One phase: `steps` steps of (theta, state) -> (theta, state, stopped, look back), theta of one dtype."""

    steps: int
    dtype = torch.float64

    def __init__(self, model: Model) -> None:
        self.model, self.options = model, model.options

    def start(self, theta: Tensor) -> dict[str, Any]:
        raise NotImplementedError

    def step(self, theta: Tensor, state: Any, k: int, refresh: int, share: float) -> Step:
        raise NotImplementedError

    def renew(self, theta: Tensor, state: Mapping[str, Any], refresh: int) -> dict[str, Any]:
        """Points that follow the residual and the points' weights, renewed together, and the refresh they belong to."""
        if state.get("refresh") == refresh:
            kept = {key: state[key] for key in ("refresh", "weights", "places") if key in state}
            if "places" in kept:
                self.model.hold_points(refresh, kept["places"])
            return kept
        found: dict[str, Any] = {"refresh": refresh}
        if self.options.adaptive:
            found["places"] = adapt(self.model, theta, refresh, state.get("places"))
            self.model.hold_points(refresh, found["places"])
        weights = emphasis(self.model, theta, refresh)
        return found if weights is None else found | {"weights": weights}


def chosen_method(options: TrainOptions) -> tuple[Any, Any, str]:
    """The multi-task method, its options, and the name of the optimizer that follows it; BadInput where they do not go together."""
    method = hrgrad.load_method(options.method)
    try:
        method_options = method.Options.read(**options.method_options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"train.method_options: {error}") from None
    is_step = method.is_step(method_options)
    name = options.optimizer if options.optimizer != "auto" else "sgd" if is_step else "adam"
    if is_step and name != "sgd":
        raise BadInput(
            f"train.optimizer = '{name}': {options.method} carries Adam's momenta itself and they would act twice; "
            "choose sgd or auto"
        )
    if is_step and options.update_length == "unit":
        raise BadInput(
            f"train.update_length = 'unit': the update of {options.method} is Adam's step already; use 'method'"
        )
    try:
        demand(name, ("direction",), "this phase")
    except ValueError as error:
        raise BadInput(f"train.optimizer: {error}, or set train.second_order") from None
    return method, method_options, name


class FirstOrder(Phase):
    """A method of `hrgrad` combines the tasks' gradients; a first-order optimizer follows."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        options = model.options
        self.steps, self.dtype = options.steps, model.dtype
        self.method, self.method_options, name = chosen_method(options)
        self.optimizer = load_optimizer(name)()
        self.optimizer_options = self.optimizer.make_options()

    def start(self, theta: Tensor) -> dict[str, Any]:
        m = self.options.tasks
        return {
            "method": self.method.initial_state(m, self.method_options),
            "optimizer": self.optimizer.start(theta, self.model.free_shapes, self.optimizer_options),
        }

    def step(self, theta: Tensor, state: Any, k: int, refresh: int, share: float) -> Step:
        m = self.options.tasks
        generator = torch.Generator().manual_seed(self.options.seed * 7_919 + k)
        weighed = self.renew(theta, state, refresh)
        losses = partial(self.model.losses, refresh=refresh, weights=weighed.get("weights"))
        if self.method.needs == "losses":
            leaf = theta.detach().requires_grad_()
            named = losses(leaf)
            tasks = torch.stack(list(named.values())).sum(dim=0)
            problem = hrgrad.Problem(m=m)
            found, memory = self.method.direction(
                problem, tasks.detach(), state["method"], self.method_options, generator
            )
            (update,) = torch.autograd.grad((found.weights.to(tasks) * tasks).sum(), leaf)
        else:
            leaf = theta.detach().expand(m, -1).clone().requires_grad_()
            named = losses(leaf)
            tasks = torch.stack(list(named.values())).sum(dim=0)
            (J,) = torch.autograd.grad(tasks.sum(), leaf)
            try:
                problem = hrgrad.Problem(J)
                arguments = (problem, tasks.detach(), state["method"], self.method_options, generator)
                found, memory = self.method.direction(*arguments)
            except ValueError as error:
                _check(_scalars(named), k, self.model, theta)
                raise NumericalError(f"step {k}: {error} (loss k is task k, a bin of eps)") from None
            update = found.update(problem)
        if self.options.update_length == "unit":
            update = torch.nn.functional.normalize(update, dim=0)
        decay = 0.5 * (1.0 + math.cos(math.pi * share))
        rise = min(1.0, (k + 1) / (self.options.warm_up + 1))
        lr = self.options.learning_rate * rise * (0.02 + 0.98 * decay)
        theta, inner = self.optimizer.step(theta, update, state["optimizer"], self.optimizer_options, lr=lr)
        before = tasks.detach()
        if self.method.observes:
            with torch.no_grad():
                after = torch.stack(list(losses(theta).values())).sum(dim=0)
            memory = self.method.observe(before, after, memory, self.method_options)

        def look_back() -> Report:
            scalars = _scalars(named)
            if self.method.needs != "losses":
                off = problem.cosines[~np.eye(m, dtype=bool)]
                scalars |= {"conflicts": float((off < 0).mean()), "min_cosine": float(off.min(initial=1.0))}
            return scalars, diagnostics(problem, found)

        return theta, {"method": memory, "optimizer": inner, **weighed}, False, look_back


class SecondOrder(Phase):
    """A quasi-Newton or Gauss-Newton optimizer on the mean of the tasks' losses."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.steps, self.single = model.options.second_steps, model.options.second_precision == "float32"
        try:
            demand(model.options.second_order, ("closure", "residuals"), "this phase")
        except ValueError as error:
            raise BadInput(f"train.second_order: {error}") from None
        self.optimizer = load_optimizer(model.options.second_order)()
        self.optimizer_options = self.optimizer.make_options()
        if self.optimizer.needs == "residuals" and self.single:
            raise BadInput(
                f"train.second_precision: {model.options.second_order} solves in float64; "
                'set it to "float64" or choose second_order = "ssbroyden" or "lbfgs"'
            )
        if self.optimizer.needs == "residuals" and (model.options.causal or model.options.importance):
            raise BadInput(
                f"train.causal, train.importance: they weigh losses, {model.options.second_order} sees the residual vector alone; "
                "choose second_order ssbroyden or lbfgs"
            )

    def start(self, theta: Tensor) -> dict[str, Any]:
        inner = self.optimizer.start(theta, self.model.free_shapes, self.optimizer_options)
        return {"optimizer": inner, "stalls": 0, "single": int(self.single)}

    def step(self, theta: Tensor, state: Any, k: int, refresh: int, share: float) -> Step:
        named: dict[str, Tensor] = {}
        weighed = self.renew(theta, state, refresh)
        weights, single = weighed.get("weights"), state["single"]

        def closure(point: Tensor) -> tuple[Tensor, Tensor]:
            leaf = (point.float() if single else point.detach()).requires_grad_()
            named.update(self.model.losses(leaf, refresh, weights))
            loss = torch.stack([losses.to(self.dtype) for losses in named.values()]).sum(dim=0).mean()
            (gradient,) = torch.autograd.grad(loss, leaf)
            return loss.detach(), gradient.to(self.dtype)

        inner = state["optimizer"]
        if state.get("refresh") != refresh:
            inner = self.optimizer.renew(inner)
        drive = closure if self.optimizer.needs == "closure" else self.model.residuals(refresh)
        # rounding of float32 is no reason to forget the curvature
        options = replace(self.optimizer_options, restart=False) if single else self.optimizer_options
        theta, inner, info = self.optimizer.step(theta, drive, inner, options)
        stalls = state["stalls"] + 1 if info["status"] == "stalled" else 0
        if single and stalls:
            inner, stalls, single = self.optimizer.renew(inner), 0, 0
        state = {"optimizer": inner, "stalls": stalls, "single": single, **weighed}
        return theta, state, stalls > 2, lambda: (_scalars(named) if named else {"loss": float(info["loss"])}, {})


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
