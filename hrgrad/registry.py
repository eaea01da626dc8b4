"""A folder is a registry, a file name is the name.

`Registry(package, attribute)` lists the module names of a package without importing one of them, imports only the module
that is asked for and hands back its agreed attribute. Other distributions add names through the entry-point group that
carries the package's name (`[project.entry-points."hrgrad.methods"] mymethod = "their.module"`).
"""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any


def nearest(name: str, known: list[str]) -> str:
    """A sentence that names the closest known name and the full list."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."


class Registry:
    """The modules of a package, by file name."""

    def __init__(self, package: str, attribute: str, kind: str) -> None:
        self.package, self.attribute, self.kind = package, attribute, kind

    @cached_property
    def _where(self) -> dict[str, str]:
        """Name -> module. Read once per process: a look-up of entry points costs more than a direction."""
        folder = Path(__file__).parent / self.package.rpartition(".")[2]
        own = [entry.name for entry in pkgutil.iter_modules([str(folder)]) if not entry.name.startswith("_")]
        outside = {entry.name: entry.value for entry in entry_points(group=self.package)}
        return outside | {name: f"{self.package}.{name}" for name in own}

    def names(self) -> list[str]:
        return sorted(self._where)

    def module(self, name: str) -> Any:
        if name not in self._where:
            raise ValueError(f"unknown {self.kind} {name!r}.{nearest(name, self.names())}")
        return import_module(self._where[name])

    def load(self, name: str) -> Any:
        module = self.module(name)
        try:
            return getattr(module, self.attribute)
        except AttributeError:
            raise AttributeError(
                f"{module.__name__} has no attribute {self.attribute!r}: a {self.kind} needs one"
            ) from None
