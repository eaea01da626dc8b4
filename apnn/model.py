r"""A network in a formulation at collocation points: losses, residual vector, fields; holds no parameters.

theta = (encoder, network), the blocks of `apnn/encoder.py` and `apnn/network.py` one behind the other.  With `freeze` only a part
of it is free, the encoder or, without one, the output layer; then `free` says where it lies, and losses and residuals are
functions of that part alone.  A network whose output layer alone is free is linear in it: random features, to which Gauss-Newton
is least squares.

The dtype of theta decides in which precision losses are computed; fields are always float64 (`apnn/precision.py`).

References: training.md 2; Dong, Li (2021), Comput. Methods Appl. Mech. Engrg. 387, 114129, DOI 10.1016/j.cma.2021.114129.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import hrgrad
from hrgrad.optimizer import Residuals
from solvers.problem.case import Case
from solvers.problem.status import BadInput

from .compiled import compiled
from .network import Blocks
from .options import TrainOptions, encoders, formulations, networks
from .precision import cast
from .sampling import collocation
from .second_flight import SecondFlight

PREDICT_CHUNK = 20_000


class Model:
    """Formulation, network, encoder and points of one training.

    size, names, shapes   of theta and its blocks
    dtype                 of theta where the training allows float32
    physics               the formulation by the dtype of the rows that it computes
    free                  the part of theta that is trained
    fixed                 the whole theta at the start; what is frozen stays as it is there
    """

    def __init__(self, case: Case, options: TrainOptions, device: str) -> None:
        self.case, self.options, self.device = case, options, device
        self.formulation = formulations.load(options.formulation)(case, options.velocities, device)
        self.dtype, self.physics = getattr(torch, options.precision), {torch.float64: self.formulation}
        if "float32" in (options.precision, options.second_precision) and self.formulation.float32:
            self.physics[torch.float32] = cast(self.formulation, torch.float32)
        self.encoder = (
            encoders.load(options.encoder)(options.latent, options.width) if options.encoder != "none" else None
        )
        make, known = networks.load(options.network), self.formulation
        code = options.latent if self.encoder else 0
        wanted = network_options(options)
        # which columns know x, and whether they are a basis, matters to separable networks alone
        split = {"places": getattr(known, "places", 0), "basis": getattr(known, "basis", None)}
        inputs = known.inputs + code
        self.network = make(inputs, known.outputs, options.width, options.depth, **split, code=code, options=wanted)
        self.parts = [part for part in (self.encoder, self.network) if part is not None]
        whole = Blocks(wanted)
        for part in self.parts:
            whole.adopt("encoder" if part is self.encoder else "network", part)
        self.draws, self.names, self.shapes, self.size = whole.initial, whole.names, whole.shapes, whole.size
        self.free, self.fixed = slice(0, self.size), torch.empty(0)
        if options.freeze:
            self.free = slice(0, self.encoder.size) if self.encoder else self.network.linear_part()
        low, high = (math.log(eps) for eps in case.knudsen.train)
        self.middle, self.half = 0.5 * (low + high), 0.5 * (high - low)
        self.squares = compiled(self._squares) if options.compile else self._squares
        self._batch: Any = None
        self._batch_key: Any = None
        self._adapted: tuple[int, Any] = (-1, None)
        self._points: Any = None
        self._points_refresh = -1

    def initial(self, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
        """Random parameters, shape (P,); the output layer is zero where the formulation knows the fields nearly."""
        theta = self.draws(generator, dtype)
        if getattr(self.formulation, "begins_at_zero", False):
            behind = self.size - self.network.size
            part = self.network.linear_part()
            theta[behind + part.start : behind + part.stop] = 0.0
        return theta

    def batch(self, refresh: int, dtype: torch.dtype = torch.float64) -> Any:
        """The prepared points after `refresh` refreshes, for a theta of this dtype."""
        if (refresh, dtype) != self._batch_key:
            self._batch, self._batch_key = self.prepare(self._places(refresh), dtype), (refresh, dtype)
        return self._batch

    def prepare(self, places: list[Tensor], dtype: torch.dtype) -> Any:
        """What the formulation prepares at points, for a theta of this dtype."""
        batch = self.formulation.prepare(*places)
        rows = cast(batch, dtype) if dtype in self.physics else batch
        return replace(rows, inputs=batch.inputs.to(dtype))

    def hold_points(self, refresh: int, places: Tensor) -> None:
        """Points (2 + d, m, B) to use after this refresh in place of those drawn."""
        if self._adapted[1] is not places:
            self._adapted, self._batch_key, self._points_refresh = (refresh, places), None, -1

    def _places(self, refresh: int) -> list[Tensor]:
        """eps, t, x[, y], each (m, B)."""
        held, places = self._adapted
        return list(places) if held == refresh else self.draw(refresh)

    def draw(self, refresh: int, shift: int = 0, points: int | None = None) -> list[Tensor]:
        """Low-discrepancy points; other ones with another `shift` of the seed, another number with `points`."""
        options, domain = self.options, self.case.domain
        found = collocation(
            options.seed + shift,
            refresh,
            options.tasks,
            points or options.points,
            self._range(refresh),
            domain.t_end,
            *([domain.x] if domain.y is None else [domain.x, domain.y]),
            stratify=getattr(self.formulation, "stratify", None),
            knee=options.knee,
            spacing=options.spacing,
        )
        eps, t, *space = found
        reached = min(1.0, (refresh + 1) / (options.march + 1))
        return [tensor.to(self.device) for tensor in (eps, reached * t, *space)]

    def _range(self, refresh: int) -> tuple[float, float]:
        """Where eps is drawn from: `focus`, widened from its upper decade down over the first `curriculum` refreshes."""
        low, high = self.options.focus or self.case.knudsen.train
        grown = min(1.0, (refresh + 1) / (self.options.curriculum + 1))
        return max(low, high * (low / high) ** grown), high

    def losses(self, theta: Tensor, refresh: int, weights: Tensor | None = None) -> dict[str, Tensor]:
        """Mean squares (m,) by residual name; theta (P,) or (m, P), weights (m, B) of the points."""
        found: dict[str, Tensor] = self.squares(theta, self.batch(refresh, theta.dtype), weights)
        return found

    def _squares(self, theta: Tensor, batch: Any, weights: Tensor | None) -> dict[str, Tensor]:
        found = {}
        for name, row in self.rows(theta, batch).items():
            squares = (row * row).flatten(2) if row.dim() > 2 else (row * row).unsqueeze(-1)
            if weights is not None and weights.shape == squares.shape[:2]:
                squares = squares * weights.unsqueeze(-1)
            found[name] = squares.sum(dim=(1, 2)) / squares[0].numel()
        return found

    def squares_at_points(self, theta: Tensor, batch: Any) -> Tensor:
        """The sum over the residuals of their mean squares, point by point, (m, B); rows on points of their own are left out."""
        points = batch.t.shape[-1]
        rows = [row for row in self.rows(theta, batch).values() if row.shape[1] == points]
        return torch.stack([row.square().reshape(*row.shape[:2], -1).mean(dim=-1) for row in rows]).sum(dim=0)

    def rows(self, theta: Tensor, batch: Any) -> dict[str, Tensor]:
        """Residual rows by name at prepared points; theta is the free part."""
        outputs = self.outputs(self.whole(theta), batch.inputs, batch.eps).to(batch.eps.dtype)
        formulation = self.physics[batch.eps.dtype]
        found: dict[str, Tensor] = formulation.residuals(formulation.ansatz(outputs, batch), batch)
        return found

    def outputs(self, theta: Tensor, inputs: Tensor, eps: Tensor) -> Tensor:
        """Values and tangents (..., S, B, outputs) of the network for a whole theta."""
        if self.encoder is None:
            return self.network(theta, inputs)  # type: ignore[no-any-return]
        cut = self.encoder.size
        s = (eps.log() - self.middle) / self.half
        columns = self.encoder.append(theta[..., :cut], s.to(theta.dtype), inputs)
        return self.network(theta[..., cut:], columns)  # type: ignore[no-any-return]

    def hold(self, theta: Tensor) -> Tensor:
        """Begin with a whole theta (P,): keep what is frozen, return the free part."""
        if theta.shape != (self.size,):
            raise BadInput(f"the network holds {theta.numel()} parameters, the case's [train] table says {self.size}")
        self.fixed = theta
        return theta[self.free]

    def whole(self, theta: Tensor) -> Tensor:
        """The whole theta from its free part (..., free)."""
        if self.free == slice(0, self.size):
            return theta
        before, behind = (
            part.to(theta.dtype).expand(*theta.shape[:-1], -1)
            for part in (self.fixed[: self.free.start], self.fixed[self.free.stop :])
        )
        return torch.cat([before, theta, behind], dim=-1)

    @property
    def free_shapes(self) -> list[tuple[int, tuple[int, ...]]]:
        """Blocks of the free part, as optimizers see them."""
        inside = [(offset, shape) for offset, shape in self.shapes if self.free.start <= offset < self.free.stop]
        return [(offset - self.free.start, shape) for offset, shape in inside]

    def residuals(self, refresh: int) -> Residuals:
        """The residual vector r, point by point, with |r|^2 / 2 the mean of the L_k; its Jacobian one copy of theta a point."""

        def rows(theta: Tensor, batch: Any, points: int) -> Tensor:
            found = self.rows(theta, batch)
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


def network_options(options: TrainOptions) -> Any:
    """The options of the network that is named; BadInput for one that it does not have."""
    try:
        return networks.load(options.network).make_options(**options.network_options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"train.network_options of {options.network}: {error}") from None


def predict(
    case: Case, options: TrainOptions, state: Mapping[str, Any], eps: list[float], times: Any, *space: Any
) -> dict[str, np.ndarray]:
    """Fields of a trained network at every eps, time and place: arrays (eps, t, x[, y]); `space` holds the axes x[, y].

    state   anything that holds `theta` (P,): a snapshot's state, or the `network` of a result.
    """
    return evaluate(Model(case, options, "cpu"), state, eps, times, *space)


def evaluate(
    model: Model, state: Mapping[str, Any], eps: list[float], times: Any, *space: Any, fly: bool = True
) -> dict[str, np.ndarray]:
    """The same of a model that is there already; without `fly` the network's own fields, much faster where gas is thin."""
    theta = torch.from_numpy(np.array(state["theta"], dtype=float))
    model.hold(theta)
    return fields(model, theta, eps, times, *space, fly=fly)


@torch.no_grad()
def fields(
    model: Model, theta: Tensor, eps: list[float], times: Any, *space: Any, fly: bool = False
) -> dict[str, np.ndarray]:
    """The same of a model and a whole theta, on its device."""
    axes = [torch.as_tensor(np.asarray(a, dtype=float), device=model.device) for a in (eps, times, *space)]
    shape = tuple(len(axis) for axis in axes)
    flat = [grid.reshape(-1) for grid in torch.meshgrid(*axes, indexing="ij")]
    found = at_points(model, theta, *flat)
    again = flies_again(model) if fly else None
    if again:
        network = partial(at_points, model, theta)
        for k, one in enumerate(eps):
            own = {name: values.reshape(shape)[k].reshape(-1) for name, values in found.items()}  # views
            points = [values.reshape(shape)[k].reshape(-1) for values in flat[1:]]
            again(one, own, network, *points)
    return {name: values.cpu().numpy().reshape(shape) for name, values in found.items()}


def flies_again(model: Model) -> Callable[..., None] | None:
    """What puts the fields of one more flight in place of a network's own: of eps, own, network, *points."""
    if not model.options.second_flight:
        return None
    if SecondFlight.applies(model.case):
        return lambda eps, *rest: SecondFlight(model.case, eps).mix(*rest)
    return getattr(model.formulation, "fly_again", None)


def at_points(model: Model, theta: Tensor, *points: Tensor) -> dict[str, Tensor]:
    """The network's own fields at points eps, t, x[, y] (B,)."""
    parts: dict[str, list[Tensor]] = {name: [] for name in model.formulation.fields}
    for some in zip(*(values.split(PREDICT_CHUNK) for values in points), strict=True):
        inputs = model.formulation.features(*some).unsqueeze(-3)
        found = model.formulation.fields_of(model.outputs(theta, inputs, some[0]), *some)
        for name in parts:
            parts[name].append(found[name])
    return {name: torch.cat(values) for name, values in parts.items()}
