"""`kinetic predict RESULT`: evaluate a trained network at any Knudsen number, time and grid."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from solvers.problem.result import Result
from solvers.problem.status import BadInput, Status

from . import screen
from .cases import train_options
from .provenance import provenance
from .train import default_grid

#: bytes of one point: coordinates and fields, a copy of each while they are put together
BYTES = 2 * 8 * 10


def numbers(text: str, flag: str) -> list[float]:
    """Positive numbers separated by commas."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"{flag} {text}: write numbers separated by commas, for example {flag} 1,0.3") from None
    if not values or not all(np.isfinite(values)) or min(values) <= 0 or len(set(values)) < len(values):
        raise BadInput(f"{flag} {text}: the numbers must be positive, finite and distinct")
    return values


def trained_network(result: Result, path: Path) -> dict[str, Any]:
    """The parameters in a result; BadInput for one without."""
    if "theta" not in result.network:
        raise BadInput(f"{path}: holds no trained network (kind '{result.kind}'); give a result of `kinetic train`")
    return result.network


def predict(
    result_file: Annotated[Path, typer.Argument(metavar="RESULT", help="Result of `kinetic train`.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    knudsen: Annotated[str, typer.Option(help="Knudsen numbers, separated by commas.")],
    times: Annotated[str | None, typer.Option(help="Times, separated by commas; else the case's output times.")] = None,
    points: Annotated[int, typer.Option(min=2, help="Number of cells of a uniform grid, per direction.")] = 400,
) -> None:
    """Evaluate a trained network at any Knudsen numbers, times and points and write a result file.

    Example: kinetic predict results/sod/hrgrad-seed0.h5 --knudsen 3e-3,0.5 --times 0.05,0.1 --out sod-fine.h5
    """
    from apnn.memory import SHARE, memory
    from apnn.model import predict as evaluate

    trained = Result.read(result_file)
    network, case = trained_network(trained, result_file), trained.case
    eps = sorted(numbers(knudsen, "--knudsen"), reverse=True)
    options = train_options(case)
    t = sorted(numbers(times, "--times")) if times else list(case.domain.output_times)
    if t[-1] > case.domain.t_end * (1 + 1e-12):
        raise BadInput(f"--times {t[-1]:g}: the network was trained up to t_end = {case.domain.t_end:g}")
    low, high = options.focus or case.knudsen.train
    for value in eps:
        if not low <= value <= high:
            screen.say(f"warning: eps = {value:g} lies outside the trained range [{low:g}, {high:g}]: extrapolation")
    count = len(eps) * len(t) * points ** (1 if case.domain.y is None else 2)
    if (needed := BYTES * count) > SHARE * memory("cpu"):
        raise BadInput(
            f"--points {points}: {count:.3g} values of every field need about {needed / 2**30:.3g} GiB, "
            f"{memory('cpu') / 2**30:.3g} GiB are there; ask for fewer points, times or Knudsen numbers"
        )
    space = default_grid(case, points)
    coordinates = {"eps": np.array(eps), "t": np.array(t), **space}
    result = Result(case, "train", f"{trained.run}-predict", coordinates, {}, status=Status.DONE)
    with screen.busy("evaluating the network"):
        result.fields = evaluate(case, options, network, eps, np.array(t), *space.values())
    result.network = network
    kept: dict[str, Any] = {
        key: trained.attributes[key] for key in ("method", "seed", "dtype", "device") if key in trained.attributes
    }
    result.attributes |= {**kept, **provenance(), "wall_seconds": 0.0}
    result.write(out)
    screen.answer(str(out))
