"""The terminal and the files of `kinetic`; `load` and `compare` are its Python interface."""

from typing import Any


def load(path: Any) -> Any:
    """The Result in file `path` (solvers.problem.result.Result); raises BadInput naming what is wrong with it."""
    from pathlib import Path

    from solvers.problem.result import Result

    return Result.read(Path(path))


def compare(paths: Any) -> dict[str, Any]:
    """What `kinetic compare PATHS --json` prints: `errors`, `ranks`, `cost` and `skipped`."""
    from pathlib import Path

    from .comparison import comparison

    return comparison([Path(path) for path in paths])
