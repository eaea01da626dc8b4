"""`kinetic info`: versions and machine, or what a result file holds."""

from pathlib import Path
from typing import Annotated

import typer

from solvers.problem.result import Result

from . import screen
from .provenance import git_revision, versions


def info(file: Annotated[Path | None, typer.Argument(metavar="RESULT", help="Result file.")] = None) -> None:
    """Show versions and devices, or the provenance of a result.

    Example: kinetic info results/sod/reference.h5
    """
    if file is not None:
        result = Result.read(file)
        attributes = [pair for pair in sorted(result.attributes.items()) if pair[0] != "case"]
        rows = [[key, f"{value:.6g}" if isinstance(value, float) else str(value)] for key, value in attributes]
        screen.table(f"{file}", ["attribute", "value"], rows, right=False)
        return
    import os

    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    rows = [[name, number] for name, number in versions().items()]
    rows += [
        ["git revision", git_revision() or "-"],
        ["cpu cores", str(os.cpu_count())],
        ["cuda", ", ".join(devices) or "none"],
    ]
    screen.table("kinetic", ["what", "value"], rows, right=False)
