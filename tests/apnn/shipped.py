"""The cases that come with the program, for the tests of this folder."""

from pathlib import Path

from solvers.problem.read import read_case

CASES = Path(__file__).parents[2] / "cases"


def read(name, *overrides):
    """A case with overrides 'KEY=VALUE'."""
    return read_case(CASES / f"{name}.toml", overrides=list(overrides))
