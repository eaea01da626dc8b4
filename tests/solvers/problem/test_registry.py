"""Folders as registries: packages outside this project add to them by entry points."""

import importlib
import sys

import pytest

from hrgrad.registry import Registry as PlainRegistry
from solvers.problem.registry import Registry
from solvers.problem.status import BadInput

METADATA = "Metadata-Version: 2.1\nName: foreign-kinetic\nVersion: 1.0\n"


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """An installed distribution that adds one velocity set and one method."""
    info = tmp_path / "foreign_kinetic-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    points = "[solvers.problem.velocity]\nforeign = foreign_kinetic\n[hrgrad.methods]\nforeign = foreign_kinetic\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "foreign_kinetic.py").write_text('"""A set from elsewhere."""\nVelocitySet = 42\nMethod = 43\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("foreign_kinetic", None)


def test_entry_points_join_the_folder(foreign):
    registry = Registry("solvers.problem.velocity", "VelocitySet")
    assert "foreign" in registry
    assert {"foreign", "trapezoid"} <= set(registry.names())
    assert registry.docstring("foreign") == "A set from elsewhere."
    assert "foreign_kinetic" not in sys.modules, "listed without being imported"
    assert registry.load("foreign") == 42
    assert PlainRegistry("hrgrad.methods", "Method", "method").load("foreign") == 43


def test_without_them_the_name_is_unknown():
    with pytest.raises(BadInput, match="'foreign' is not among the velocity"):
        Registry("solvers.problem.velocity", "VelocitySet").load("foreign")
