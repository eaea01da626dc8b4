"""`kinetic finetune RESULT`: go on from a trained network on one Knudsen number or a narrow range of them."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from solvers.problem.case import Case
from solvers.problem.read import case_from_data, merge, parse_override
from solvers.problem.result import Result
from solvers.problem.status import BadInput

from . import screen
from .cases import ENGINES, Results, Settings, result_path, train_options
from .predict import numbers, trained_network
from .train import Device, Target, TimeLimit, Training, place_of, start_result

#: half width in log10 of the interval around a single Knudsen number
WIDTH = 1e-3
#: collocation points of a single Knudsen number: two variables are left
POINTS = 512


def finetune(
    result_file: Annotated[Path, typer.Argument(metavar="RESULT", help="Result of `kinetic train`.")],
    knudsen: Annotated[str, typer.Option(help="Knudsen numbers, separated by commas: one, or a range that they span.")],
    freeze: Annotated[
        bool,
        typer.Option("--freeze", help="Train the code of eps alone (MAD-L), or without an encoder the output layer."),
    ] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the second-order optimizer.")] = None,
    time_limit: TimeLimit = None,
    target: Target = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, exactly.")] = False,
    settings: Settings = [],  # noqa: B006 typer copies it
    out: Results = Path("results"),
    name: Annotated[str | None, typer.Option(help="Name of the result file, else <run>-eps<KNUDSEN>.")] = None,
) -> None:
    """Continue a trained network where it shall be better, and write a result that names its parent.

    Example: kinetic finetune results/sod/hrgrad-seed0.h5 --knudsen 3e-3 --time-limit 20
    """
    parent = Result.read(result_file)
    theta = trained_network(parent, result_file)["theta"]
    eps = sorted(numbers(knudsen, "--knudsen"))
    case = narrowed(
        parent.case, eps, freeze, {"second_steps": steps, "time_limit": time_limit, "target": target}, settings
    )
    options = train_options(case)
    run = name or f"{parent.run}-eps{'-'.join(f'{e:g}' for e in dict.fromkeys((eps[0], eps[-1])))}{'-frozen' * freeze}"
    path = result_path(out, case, run)
    result, state = start_result(case, run, path, resume)
    place = place_of(device)
    result.attributes |= {"method": options.method, "seed": options.seed, "dtype": "float64", "device": place}
    result.attributes |= {
        "parent": parent.run,
        "parent_theta_sha256": hashlib.sha256(np.asarray(theta).tobytes()).hexdigest(),
    }
    part = (
        f"{options.encoder} code"
        if freeze and options.encoder != "none"
        else "output layer"
        if freeze
        else "all weights"
    )
    screen.say(f"{case.name}: {parent.run} on eps = {knudsen}, {part}, on {place}")
    Training(case, options, result, path, out).run(place, state, start=theta)


def narrowed(parent: Case, eps: list[float], freeze: bool, budget: dict[str, Any], settings: list[str]) -> Case:
    """The parent's case with these Knudsen numbers to evaluate and to draw from, in a second-order phase alone."""
    low, high = parent.knudsen.train
    outside = [value for value in eps if not low <= value <= high]
    if outside:
        raise BadInput(f"--knudsen {outside[0]:g}: the network was trained on [{low:g}, {high:g}]")
    data = parent.resolved()
    data["knudsen"] |= {"evaluate": sorted(eps, reverse=True), "unseen": []}
    focus = [max(low, eps[0] * 10.0**-WIDTH), min(high, eps[-1] * 10.0**WIDTH)]
    data["train"] = {**data["train"], "freeze": freeze, "focus": focus, "steps": 0}
    if len(eps) == 1:
        data["train"] |= {"tasks": 1, "points": POINTS, "method": "ls", "method_options": {}}
    data["train"] |= {key: value for key, value in budget.items() if value is not None}
    if data["train"].get("second_order") == "none":
        data["train"]["second_order"] = "ssbroyden"
    for setting in settings:
        data = merge(data, parse_override(setting))
    return case_from_data(data, ENGINES, source="finetune")
