"""The registries of the whole program, by the word a user knows them by."""

from typing import Any

from apnn.options import encoders, formulations, methods, networks, optimizers
from solvers.problem.registry import Registry, checks, equations, limits, schemes, velocity_sets

measures = Registry("kinetic_cli.measures", "measure")
figures = Registry("kinetic_cli.figures", "figures")

KINDS: dict[str, Registry] = {
    "equations": equations,
    "velocity sets": velocity_sets,
    "schemes": schemes,
    "limits": limits,
    "verifications": checks,
    "formulations": formulations,
    "networks": networks,
    "encoders": encoders,
    "methods": methods,
    "optimizers": optimizers,
    "measures": measures,
    "figures": figures,
}


def summary(registry: Registry, name: str) -> str:
    """First paragraph of the module's docstring."""
    return " ".join(registry.docstring(name).split("\n\n")[0].split())


def find(name: str) -> list[tuple[str, Any]]:
    """(kind, docstring) of everything called `name`."""
    return [(kind, registry.docstring(name)) for kind, registry in KINDS.items() if name in registry]
