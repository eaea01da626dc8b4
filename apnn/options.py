"""The `[train]` table of a case.  No torch here: a case is checked without it."""

import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from solvers.problem.equation import Table
from solvers.problem.registry import Registry, nearest

formulations = Registry("apnn.formulations", "Formulation")
networks = Registry("apnn.networks", "Network")


def _names(package: str) -> list[str]:
    """Names of the modules in a folder of hrgrad, read from the folder alone."""
    spec = importlib.util.find_spec("hrgrad")
    folder = Path((spec.submodule_search_locations or ["."])[0]) / package if spec else Path(package)
    return sorted(path.stem for path in folder.glob("*.py") if path.stem[0] != "_")


def _known(kind: str, value: str, allowed: Iterable[str]) -> str:
    if value not in allowed:
        raise ValueError(f"no {kind} '{value}': {nearest(value, allowed)}")
    return value


class TrainOptions(Table):
    """How a network is trained.

    formulation, network   files of apnn/formulations and apnn/networks
    method                 multi-task method of the first-order phase (a file of hrgrad/methods)
    optimizer              first-order optimizer that follows the method's direction (a file of hrgrad/optimizers)
    steps, learning_rate   first-order phase: Adam-like steps with cosine decay
    second_order           optimizer of the second phase on the sum of the losses, or "none"
    second_steps           its iterations
    tasks, points          log-uniform bins of eps, and collocation points per bin
    refresh                a share of the points is drawn anew every so many steps
    width, depth           of the hidden layers
    velocities             velocity nodes of the network's head
    time_limit             seconds after which a run ends with a valid result
    checkpoint_seconds     seconds between checkpoints; 0 writes one at every logged step
    """

    equation_kind: ClassVar[str] = ""

    formulation: str
    network: str = "mlp"
    method: str = "hrgrad"
    method_options: dict[str, Any] = Field(default_factory=dict)
    optimizer: str = "adam"
    learning_rate: Annotated[float, Field(gt=0.0)] = 3e-3
    steps: Annotated[int, Field(ge=0)] = 300
    second_order: str = "ssbroyden"
    second_steps: Annotated[int, Field(ge=0)] = 3000
    tasks: Annotated[int, Field(ge=1, le=256)] = 8
    points: Annotated[int, Field(ge=8)] = 256
    refresh: Annotated[int, Field(ge=1)] = 100
    width: Annotated[int, Field(ge=1)] = 32
    depth: Annotated[int, Field(ge=1)] = 2
    velocities: Annotated[int, Field(ge=4)] = 32
    seed: Annotated[int, Field(ge=0)] = 0
    time_limit: Annotated[float, Field(gt=0.0)] | None = None
    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = 20.0

    @model_validator(mode="after")
    def _something_to_do(self) -> "TrainOptions":
        if not self.steps and (self.second_order == "none" or not self.second_steps):
            raise ValueError("steps = 0 and no second_steps: there is nothing to train")
        return self

    @field_validator("formulation")
    @classmethod
    def _formulation(cls, value: str) -> str:
        _known("formulation", value, formulations.names())
        if cls.equation_kind and cls.equation_kind not in _equations_of(value):
            fitting = [name for name in formulations.names() if cls.equation_kind in _equations_of(name)]
            raise ValueError(f"'{value}' does not solve '{cls.equation_kind}': {nearest(value, fitting)}")
        return value

    @field_validator("network")
    @classmethod
    def _network(cls, value: str) -> str:
        return _known("network", value, networks.names())

    @field_validator("method")
    @classmethod
    def _method(cls, value: str) -> str:
        return _known("method", value, _names("methods"))

    @field_validator("optimizer", "second_order")
    @classmethod
    def _optimizer(cls, value: str) -> str:
        return _known("optimizer", value, ["none", *_names("optimizers")])


def _equations_of(formulation: str) -> tuple[str, ...]:
    """Equations that a formulation solves, by the first part of its name: no import of torch."""
    return (formulation.split("_", 1)[0],)


@cache
def train_options_model(kind: str) -> type[TrainOptions]:
    """The model of `[train]` for one kind of equation."""
    return type(
        "TrainOptions",
        (TrainOptions,),
        {"equation_kind": kind, "__module__": __name__, "__doc__": TrainOptions.__doc__},
    )
