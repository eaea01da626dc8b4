"""`kinetic schema`: JSON schema of the case language, for editors."""

import json
from typing import Any

from solvers.problem.case import SCHEMA, Case
from solvers.problem.registry import equations, schemes, velocity_sets

from . import screen
from .cases import train_model


def schema() -> None:
    """Print the JSON schema of case files (one branch per equation).

    Example: kinetic schema > case.schema.json
    """
    screen.answer(json.dumps(case_schema(), indent=1))


def case_schema() -> dict[str, Any]:
    """The schema as plain data (JSON Schema 2020-12)."""
    definitions: dict[str, Any] = {}

    def of(model: Any, name: str) -> dict[str, str]:
        found = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        definitions.update(found.pop("$defs", {}))
        definitions[name] = found
        return {"$ref": f"#/$defs/{name}"}

    branches = []
    for kind in equations.names():
        equation = equations.load(kind)
        own = [name for name in schemes.names() if kind in schemes.load(name).equations]
        tables = {
            "equation": of(equation, f"equation_{kind}"),
            "initial": {"anyOf": [of(equation.Initial, f"initial_{kind}"), {"required": ["riemann"]}]},
            "boundary": of(equation.Boundary, f"boundary_{kind}"),
            "velocity": {"anyOf": [of(velocity_sets.load(v), f"velocity_{v}") for v in equation.velocity]},
            "reference": {"anyOf": [of(schemes.load(name).Options, f"reference_{name}") for name in own]},
            "train": of(train_model({}, kind), f"train_{kind}"),
        }
        branches.append({"properties": tables})
    shared: dict[str, Any] = {key: {} for key in ("equation", "initial", "boundary", "velocity", "reference", "train")}
    for name, field in Case.model_fields.items():
        if name in ("schema_version", "title", "references", "constants", "verify"):
            shared[field.alias or name] = {"description": name}
    for name in ("domain", "knudsen"):
        annotation: Any = Case.model_fields[name].annotation
        shared[name] = of(annotation, name)
    shared |= {"variant": {"type": "string"}, "variants": {"type": "object"}, "title": {"type": "string"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"kinetic case, schema {SCHEMA}",
        "type": "object",
        "required": ["title", "equation", "domain", "velocity", "knudsen", "initial", "boundary"],
        "properties": shared,
        "additionalProperties": False,
        "anyOf": branches,
        "$defs": definitions,
    }
