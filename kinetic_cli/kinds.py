"""The registries of the whole program, by the word a user knows them by."""

import importlib
from collections.abc import Callable
from typing import Any

from solvers.problem.registry import Registry, equations, limits, schemes, velocity_sets

formulations = Registry("apnn.formulations", "Formulation")
networks = Registry("apnn.networks", "Network")
methods = Registry("hrgrad.methods", "Method")
optimizers = Registry("hrgrad.optimizers", "Optimizer")

KINDS: dict[str, Registry] = {
    "equations": equations,
    "velocity sets": velocity_sets,
    "schemes": schemes,
    "limits": limits,
    "formulations": formulations,
    "networks": networks,
    "methods": methods,
    "optimizers": optimizers,
}


def summary(registry: Registry, name: str) -> str:
    """First line of the module's docstring, read without running anything else of it."""
    import ast
    from importlib.util import find_spec

    spec = find_spec(registry._modules[name])
    if spec is None or spec.origin is None:
        return ""
    with open(spec.origin, encoding="utf-8") as file:
        text = ast.get_docstring(ast.parse(file.read())) or ""
    return " ".join(text.split("\n\n")[0].split())


def find(name: str) -> list[tuple[str, Any]]:
    """(kind, module) of everything called `name`."""
    load: Callable[[Registry], Any] = lambda registry: importlib.import_module(registry._modules[name])  # noqa: E731
    return [(kind, load(registry)) for kind, registry in KINDS.items() if name in registry]
