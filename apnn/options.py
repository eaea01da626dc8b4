"""The `[train]` table of a case.  No torch here: a case is checked without it."""

from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict, ValidationInfo, field_validator, model_validator

from solvers.problem.equation import Table
from solvers.problem.registry import Registry, nearest

formulations = Registry("apnn.formulations", "Formulation")
networks = Registry("apnn.networks", "Network")
encoders = Registry("apnn.encoders", "Encoder")
equations = Registry("solvers.problem.equations", "Equation")
methods = Registry("hrgrad.methods", "Method")
optimizers = Registry("hrgrad.optimizers", "Optimizer")


def _known(registry: Registry, value: str) -> str:
    if value not in registry:
        raise ValueError(f"'{value}' is not there: {nearest(value, registry.names())}")
    return value


class TrainOptions(Table):
    """How a network is trained.

    formulation, network   files of apnn/formulations and apnn/networks
    network_options        of that network: factorized, scale, rank
    encoder, latent        a learnt code of eps, `latent` numbers, beside the formulation's columns (a file of apnn/encoders), or
                           "none"
    method                 multi-task method of the first-order phase (a file of hrgrad/methods)
    method_options         of that method: `kinetic explain METHOD` names them
    optimizer              first-order optimizer that follows the method's direction (a file of hrgrad/optimizers); "auto" is
                           adam, but sgd for a method that carries Adam's momenta itself
    update_length          what the optimizer sees: the update as long as the "method" makes it, or of length 1 ("unit"): Adam
                           forgets early, long gradients over a thousand steps only, which shortens all steps of a short phase
    steps, learning_rate   first-order phase: Adam-like steps with cosine decay
    warm_up                first steps, over which the learning rate rises
    second_order           optimizer of the second phase on the sum of the losses, or "none"
    second_steps           its iterations
    freeze                 train the encoder alone, or without one the output layer
    focus                  part of knudsen.train to draw eps from; else all of it
    curriculum             refreshes over which the range of eps widens from its upper end down; 0 for all of it at once
    march                  refreshes over which the range of t widens from 0 to t_end; 0 for all of it at once
    causal, importance     weight of earlier times first, and of Knudsen numbers that are behind (`apnn/emphasis.py`); 0 for none
    tasks, points          bins of eps, log-uniform, and collocation points per bin
    knee                   Knudsen number below which solutions hardly change: bins are equal in ln(eps + knee)
    spacing                of these bins: "even", or "chebyshev" for edges at Chebyshev's points, narrow at both ends of the range
    refresh                a share of the points is drawn anew every so many steps
    adaptive               share of those that is drawn where the residual is large (`apnn/adaptive.py`); 0 for low discrepancy alone
    width, depth           of the hidden layers
    precision              of the first-order phase, "float64" or "float32": its network, and its residuals where the formulation
                           says that they bear it; errors and fields are float64
    second_precision       of the losses and gradients of the second-order phase, likewise; its optimizer computes in float64
    compile                losses and their gradient through torch.compile
    velocities             velocity nodes of the network's head
    seed                   of the parameters at the start, of the points and of methods that draw numbers
    second_flight          fields of thin transport (`apnn/second_flight.py`) and of gases whose waves part (`apnn/collided.py`) by one
                           more flight of the network's collisions
    time_limit             seconds of training, without preparation and looks, after which a run ends with a valid result
    target                 end as soon as the error estimate of rho is below this for every Knudsen number, nowhere unknown
    clock                  what `time_limit` counts: "wall", or "cpu" seconds of the process (fair on a busy machine)
    diagnose               steps between the first looks at the conflict of tasks and residuals (`apnn/diagnostics.py`), which become
                           rarer like 1/steps; 0 never
    checkpoint_seconds     seconds between checkpoints; 0 writes one at every logged step
    """

    equation_kind: ClassVar[str] = ""

    formulation: str
    network: str = "mlp"
    network_options: dict[str, Any] = Field(default_factory=dict)
    encoder: str = "none"
    latent: Annotated[int, Field(ge=1)] = 4
    method: str = "hrgrad"
    method_options: dict[str, Any] = Field(default_factory=dict)
    optimizer: str = "auto"
    update_length: Literal["method", "unit"] = "method"
    learning_rate: Annotated[float, Field(gt=0.0)] = 3e-3
    steps: Annotated[int, Field(ge=0)] = 300
    warm_up: Annotated[int, Field(ge=0)] = 0
    second_order: str = "ssbroyden"
    second_steps: Annotated[int, Field(ge=0)] = 3000
    freeze: bool = False
    focus: Annotated[tuple[float, float], Strict(False)] | None = None
    curriculum: Annotated[int, Field(ge=0)] = 0
    march: Annotated[int, Field(ge=0)] = 0
    causal: Annotated[float, Field(ge=0.0)] = 0.0
    importance: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    tasks: Annotated[int, Field(ge=1, le=256)] = 8
    points: Annotated[int, Field(ge=8)] = 256
    knee: Annotated[float, Field(ge=0.0)] = 0.0
    spacing: Literal["even", "chebyshev"] = "even"
    refresh: Annotated[int, Field(ge=1)] = 100
    adaptive: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    width: Annotated[int, Field(ge=1)] = 32
    depth: Annotated[int, Field(ge=1)] = 2
    precision: Literal["float64", "float32"] = "float64"
    second_precision: Literal["float64", "float32"] = "float64"
    compile: bool = False
    velocities: Annotated[int, Field(ge=4)] = 32
    second_flight: bool = True
    seed: Annotated[int, Field(ge=0)] = 0
    time_limit: Annotated[float, Field(gt=0.0)] | None = None
    target: Annotated[float, Field(gt=0.0)] | None = None
    clock: Literal["wall", "cpu"] = "wall"
    diagnose: Annotated[int, Field(ge=0)] = 50
    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = 20.0

    @model_validator(mode="after")
    def _something_to_do(self) -> "TrainOptions":
        if not self.steps and (self.second_order == "none" or not self.second_steps):
            raise ValueError("steps = 0 and no second_steps: there is nothing to train")
        return self

    @field_validator("focus")
    @classmethod
    def _focus(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0.0 < value[0] < value[1]:
            raise ValueError(f"focus = [{value[0]:g}, {value[1]:g}] is no interval of Knudsen numbers: 0 < low < high")
        return value

    @field_validator("formulation")
    @classmethod
    def _formulation(cls, value: str) -> str:
        _known(formulations, value)
        if cls.equation_kind and cls.equation_kind != equation_of(value):
            fitting = [name for name in formulations.names() if cls.equation_kind == equation_of(name)]
            raise ValueError(f"'{value}' does not solve '{cls.equation_kind}': {nearest(value, fitting)}")
        return value

    @field_validator("network")
    @classmethod
    def _network(cls, value: str) -> str:
        return _known(networks, value)

    @field_validator("encoder")
    @classmethod
    def _encoder(cls, value: str) -> str:
        return value if value == "none" else _known(encoders, value)

    @field_validator("method")
    @classmethod
    def _method(cls, value: str) -> str:
        return _known(methods, value)

    @field_validator("optimizer", "second_order")
    @classmethod
    def _optimizer(cls, value: str, info: ValidationInfo) -> str:
        free = "auto" if info.field_name == "optimizer" else "none"
        if value != free and value not in optimizers:
            raise ValueError(f"'{value}' is not there: {nearest(value, [free, *optimizers.names()])}")
        return value


def equation_of(formulation: str) -> str:
    """The equation that a formulation solves, which its name begins with: no import of torch."""
    return max((kind for kind in equations.names() if formulation.startswith(f"{kind}_")), key=len, default="")


@cache
def train_options_model(kind: str) -> type[TrainOptions]:
    """The model of `[train]` for one kind of equation."""
    return type(
        "TrainOptions",
        (TrainOptions,),
        {"equation_kind": kind, "__module__": __name__, "__doc__": TrainOptions.__doc__},
    )
