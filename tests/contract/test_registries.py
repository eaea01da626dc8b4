"""What every folder that is a registry promises: the agreed attribute, a docstring with its mathematics, a reference, a test."""

from pathlib import Path

import pytest

from apnn.options import equation_of
from kinetic_cli.kinds import KINDS, summary
from solvers.problem.status import BadInput

TESTS = Path(__file__).parents[1]
EVERY = [(kind, name) for kind, registry in KINDS.items() for name in registry.names()]
TESTED = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))

#: kinds whose contract test runs over the whole folder
HELD_BY_FOLDER = {"velocity sets", "equations", "verifications"}


@pytest.mark.parametrize(("kind", "name"), EVERY, ids=lambda value: value)
def test_module_keeps_the_promises_of_its_folder(kind, name):
    registry = KINDS[kind]
    module = registry.module(name)
    assert registry.load(name) is not None
    text = module.__doc__ or ""
    if kind == "figures":  # pictures carry no mathematics of their own; tests/contract/test_figures.py holds them
        assert summary(registry, name)
        return
    assert len(text) > 150, "the docstring holds the mathematics"
    assert any(mark in text for mark in ("$", "=", "Reference")), "a formula"
    assert any(f"{year}" in text for year in range(1850, 2027)) or "Source" in text, "a reference with its year"
    assert summary(registry, name)
    assert kind in HELD_BY_FOLDER or name in TESTED, "a test names it"


@pytest.mark.parametrize("name", KINDS["formulations"].names())
def test_formulation_is_named_after_its_equation(name):
    """`[train]` is checked without torch: the beginning of the file name says which equation it solves."""
    formulation = KINDS["formulations"].load(name)
    assert formulation.equations == (equation_of(name),)
    assert all(equation in KINDS["equations"] for equation in formulation.equations)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'imex'"):
        KINDS["schemes"].load("imx")
