"""A folder is a registry and a file name is the name.

`Registry("solvers.schemes", "Scheme")` lists the modules of the package without importing them, imports only the one
that is asked for, and returns its agreed attribute.  Packages outside this project add modules through the entry point
group of the same name (`[project.entry-points."solvers.schemes"]`).
"""

import ast
import difflib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from .status import BadInput


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The sentence that names the nearest allowed name (empty if none is near) and lists all of them."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"


class Registry:
    """The modules of `package`, each with the agreed `attribute`.

    Raises BadInput (exit code 2) for a name that is not in the folder, with the nearest name and the full list.
    """

    def __init__(self, package: str, attribute: str) -> None:
        self.package = package
        self.attribute = attribute

    @cached_property
    def _modules(self) -> dict[str, str]:
        spec = importlib.util.find_spec(self.package)
        folder = list(spec.submodule_search_locations or []) if spec else []
        modules = {m.name: f"{self.package}.{m.name}" for m in pkgutil.iter_modules(folder) if m.name[0] != "_"}
        for entry in importlib.metadata.entry_points(group=self.package):
            modules.setdefault(entry.name, entry.value)
        return modules

    def names(self) -> list[str]:
        """Sorted names, nothing imported."""
        return sorted(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def module(self, name: str) -> Any:
        """The module itself (its docstring is the mathematics)."""
        if name not in self:
            kind = self.package.rsplit(".", 1)[-1]
            raise BadInput(f"'{name}' is not among the {kind}: {nearest(name, self._modules)}")
        return importlib.import_module(self._modules[name])

    def docstring(self, name: str) -> str:
        """The module's docstring, nothing of it run or imported."""
        spec = importlib.util.find_spec(self._modules[name])
        if spec is None or spec.origin is None:
            return ""
        return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""

    def load(self, name: str) -> Any:
        """The agreed attribute of the module called `name`."""
        return getattr(self.module(name), self.attribute)


equations = Registry("solvers.problem.equations", "Equation")
velocity_sets = Registry("solvers.problem.velocity", "VelocitySet")
schemes = Registry("solvers.schemes", "Scheme")
limits = Registry("solvers.limits", "Limit")
checks = Registry("solvers.verification", "Check")
