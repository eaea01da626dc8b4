"""Read a case file: TOML -> validated Case, every mistake reported at once with file, line, key, value and remedy.

Beyond plain tables a case file may hold

    variant = "IV"                 the variant that is used if the user names none
    [variants.IV]                  keys that replace those of the case: title, domain.t_end, initial.rho, ...
    [initial.riemann]              left = {rho, u, T}, right = {rho, u, T}, at = 0.0, width = 0.0
"""

import copy
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError, create_model

from .case import SCHEMA, Case
from .expression import CONSTANTS, MACROS, PRIMITIVES
from .registry import equations, nearest, velocity_sets
from .status import BadInput

MAX_BYTES = 1_000_000
#: stands for the line number of a key that `--set` gives
COMMAND_LINE = -1

#: finds the model that validates an engine's own table, from the raw table and the equation kind
OptionsModel = Callable[[dict[str, Any], str], type[BaseModel]]


class Mistake(NamedTuple):
    """One thing that is wrong in a case: path of keys, and the message."""

    path: tuple[str, ...]
    message: str


def read_case(
    path: str | Path,
    variant: str | None = None,
    overrides: Iterable[str] = (),
    engines: Mapping[str, OptionsModel] | None = None,
) -> Case:
    """The case in file `path`.

    variant    name of a table in `[variants]`
    overrides  texts "knudsen.evaluate=[1e-3]", validated like the file itself
    engines    how to validate the tables `reference` and `train`
    Raises BadInput with all mistakes at once.
    """
    path = Path(path)
    text = _read_text(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: not valid TOML: {error}") from None
    if not raw:
        raise BadInput(f"{path}: the file holds no keys; `kinetic new NAME --from sod` writes a complete case")
    lines = key_lines(text)
    raw, chosen = _choose_variant(raw, variant, path)
    for override in overrides:
        change = parse_override(override)
        raw = merge(raw, change)
        lines |= dict.fromkeys(_leaves(change), COMMAND_LINE)
    name = path.stem if chosen is None else f"{path.stem}-{chosen}"
    return case_from_data({**raw, "name": name}, engines, str(path), lines)


def case_from_data(
    raw: Mapping[str, Any],
    engines: Mapping[str, OptionsModel] | None = None,
    source: str = "case",
    lines: Mapping[tuple[str, ...], int] | None = None,
) -> Case:
    """The case in plain data (a TOML file's, or `Case.resolved()`); raises BadInput with all mistakes at once."""
    data = copy.deepcopy(dict(raw))
    version = data.get("schema", SCHEMA)
    if isinstance(version, int) and version > SCHEMA:
        raise BadInput(
            f"{source}: schema = {version} is newer than the case language {SCHEMA} of this program; "
            "update kinetic-ap or write the case in schema = 1"
        )
    mistakes: list[Mistake] = []
    models: dict[str, Any] = {}
    equation = _model_of(data, "equation", equations, mistakes)
    velocity = _model_of(data, "velocity", velocity_sets, mistakes)
    if velocity is not None:
        models["velocity"] = (velocity, ...)
    else:
        models["velocity"] = (Any, None)
    if equation is None:
        models["equation"] = (Any, None)
    else:
        models |= {
            "equation": (equation, ...),
            "initial": (equation.Initial, ...),
            "boundary": (equation.Boundary, ...),
        }
        kind = data["velocity"].get("kind") if velocity is not None else None
        if kind is not None and kind not in equation.velocity:
            mistakes.append(Mistake(("velocity", "kind"), f"'{kind}' does not fit: {nearest(kind, equation.velocity)}"))
    constants = _constants(data, mistakes)
    _expand_riemann(data, mistakes)
    case = None
    model = create_model("Case", __base__=Case, **models)
    try:
        case = model.model_validate(data, context={"constants": constants}, by_alias=True)
    except ValidationError as error:
        mistakes += list(_explain(error, model))
    for table, options_model in (engines or {}).items():
        mistakes += _engine_mistakes(data, table, options_model)
    if case is not None and not mistakes:
        mistakes += [Mistake(*problem) for problem in _problems(case)]
    if mistakes or case is None:
        raise BadInput(report(mistakes, data, source, lines or {}))
    return case


def _problems(case: Case) -> Iterable[tuple[tuple[str, ...], str]]:
    allowed = case.equation.fields
    for name in case.verify.tolerances:
        if name not in allowed:
            yield ("verify", name), f"is not a field of {case.equation.kind}: {nearest(name, allowed)}"
    if (case.domain.y is None) != (case.equation.dimension == 1):
        need = "needs" if case.equation.dimension > 1 else "has no"
        yield ("domain", "y"), f"the equation '{case.equation.kind}' {need} y interval"
    yield from case.equation.problems(case)


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise BadInput(f"{path}: is a folder, not a case file")
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: larger than {MAX_BYTES} bytes, not a case file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        hint = f": {nearest(path.name, siblings)}" if siblings else ""
        raise BadInput(f"{path}: no such file{hint}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if not text.strip():
        raise BadInput(f"{path}: the file is empty; `kinetic new NAME --from sod` writes a complete case")
    return text


def _choose_variant(raw: dict[str, Any], variant: str | None, path: Path) -> tuple[dict[str, Any], str | None]:
    """The case with its variant merged in, and the variant's name if there is one."""
    raw = dict(raw)
    variants = raw.pop("variants", {})
    chosen = variant or raw.pop("variant", None)
    raw.pop("variant", None)
    if chosen is None:
        return raw, None
    if not isinstance(variants, dict) or chosen not in variants:
        names = variants if isinstance(variants, dict) and variants else ()
        raise BadInput(
            f"{path}: no variant '{chosen}': " + (nearest(str(chosen), names) if names else "the case has none")
        )
    return merge(raw, variants[chosen]), chosen


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `change`; tables are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def parse_override(override: str) -> dict[str, Any]:
    key, equals, value = override.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", key):
        raise BadInput(f"--set {override}: write KEY=VALUE, for example --set knudsen.evaluate=[1e-3]")
    for text in (f"{key} = {value}", f"{key} = {json.dumps(value.strip())}"):
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            continue
    raise BadInput(f"--set {override}: '{value}' is not a TOML value")


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    """Paths of the values in nested tables."""
    for key, value in tree.items():
        yield from _leaves(value, (*path, key)) if isinstance(value, Mapping) else [(*path, key)]


def _model_of(data: dict[str, Any], table: str, registry: Any, mistakes: list[Mistake]) -> Any:
    """The model class of `[table]` by its `kind`."""
    raw = data.get(table)
    if not isinstance(raw, Mapping):
        mistakes.append(
            Mistake((table,), f"the table [{table}] is missing; it needs `kind`, one of: {_list(registry)}")
        )
        return None
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in registry:
        message = f"missing; one of: {_list(registry)}" if kind is None else nearest(str(kind), registry.names())
        mistakes.append(Mistake((table, "kind"), message))
        return None
    return registry.load(kind)


def _list(registry: Any) -> str:
    return ", ".join(registry.names())


def _constants(data: dict[str, Any], mistakes: list[Mistake]) -> dict[str, float]:
    taken = {"x", "y", "v", "v1", "v2", "t", "eps", *CONSTANTS, *PRIMITIVES, *MACROS}
    constants = {}
    table = data.get("constants", {})
    for name, value in table.items() if isinstance(table, Mapping) else ():
        if name in taken or not name.isidentifier():
            mistakes.append(Mistake(("constants", name), "the name is taken or cannot stand in a formula"))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            constants[name] = data["constants"][name] = float(value)
    return constants


def _expand_riemann(data: dict[str, Any], mistakes: list[Mistake]) -> None:
    """`[initial.riemann]`: two constant states become one formula per field, problems.md (48)."""
    initial = data.get("initial")
    if not isinstance(initial, dict) or "riemann" not in initial:
        return
    riemann = initial.pop("riemann")
    path = ("initial", "riemann")
    if not isinstance(riemann, dict) or not {"left", "right"} <= set(riemann) <= {"left", "right", "at", "width"}:
        mistakes.append(Mistake(path, "needs left = {...} and right = {...}, may have `at` and `width`"))
        return
    at, width = riemann.get("at", 0.0), riemann.get("width", 0.0)
    left, right = riemann["left"], riemann["right"]
    if not (isinstance(left, dict) and isinstance(right, dict) and set(left) == set(right)):
        mistakes.append(Mistake(path, "left and right must name the same fields"))
        return
    if not all(isinstance(number, int | float) and number >= 0 for number in (width,)):
        mistakes.append(Mistake((*path, "width"), f"{width!r} is not a width: a number >= 0 (0 is a jump)"))
        return
    for name in left:
        a, b = left[name], right[name]
        jump = f"({a}) + (({b}) - ({a}))*heaviside(x - ({at}))"
        step = f"smooth_step(x, {a}, {b}, width={width}, at={at})"
        if name in initial:
            mistakes.append(Mistake(("initial", name), "is given twice: by a formula and by [initial.riemann]"))
        initial[name] = step if width > 0 else jump


def _engine_mistakes(data: dict[str, Any], table: str, options_model: OptionsModel) -> list[Mistake]:
    raw = data.get(table, {})
    kind = data["equation"].get("kind") if isinstance(data.get("equation"), Mapping) else None
    kind = kind if isinstance(kind, str) and kind in equations else ""
    if not isinstance(raw, dict):
        return []
    try:
        options_model(raw, kind).model_validate(raw)
    except BadInput as error:
        return [Mistake((table,), str(error))]
    except ValidationError as error:
        return [
            Mistake((table, *mistake.path), mistake.message) for mistake in _explain(error, options_model(raw, kind))
        ]
    return []


def _explain(error: ValidationError, model: type[BaseModel]) -> Iterable[Mistake]:
    """Pydantic's errors in our words."""
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(other["loc"][:-1] == item["loc"] for other in items):
            continue  # entries that are wrong themselves do not count
        path = tuple(str(part) for part in item["loc"] if not str(part).startswith(("function-", "is-instance")))
        match item["type"]:
            case "extra_forbidden":
                allowed = _keys_at(model, path[:-1])
                yield Mistake(path, f"unknown key '{path[-1]}': {nearest(path[-1], allowed)}")
            case "missing":
                yield Mistake(path, f"the key '{path[-1]}' is missing")
            case "less_than_equal" if path[-1] == "cfl":
                yield Mistake(path, f"is outside of the stable range: at most {item['ctx']['le']:g}")
            case "tuple_type":
                yield Mistake(path, "should be a list, [..., ...]")
            case _:
                yield Mistake(path, item["msg"].removeprefix("Value error, ").removeprefix("Input "))


def _keys_at(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The keys that are allowed in the table at `path` of the model."""
    current: Any = model
    for part in path:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            break
        current = field.annotation
    fields = getattr(current, "model_fields", {})
    return [field.alias or name for name, field in fields.items() if name != "name"]


def report(
    mistakes: Iterable[Mistake], data: Mapping[str, Any], source: str, lines: Mapping[tuple[str, ...], int]
) -> str:
    """One line per mistake: file:line: [table] key = value: what would be right."""
    rows = []
    for path, message in mistakes:
        line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 0)
        value: Any = data
        for part in path:
            entry = isinstance(value, list) and part.isdigit() and int(part) < len(value)
            value = value[int(part)] if entry else value.get(part) if isinstance(value, Mapping) else None
        where = {COMMAND_LINE: f"{source}, command line", 0: source}.get(line, f"{source}:{line}")
        shown = f" = {json.dumps(value)[:80]}" if isinstance(value, str | int | float | list) else ""
        rows.append((line, f"{where}: {'.'.join(path)}{shown}: {message}"))
    return "\n".join(text for _, text in sorted(dict.fromkeys(rows)))


_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=""")


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Line number of every table and key of a TOML text, by path; keys of a variant also under the path they replace."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _split(header[1])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            path = (*table, *_split(key[1]))
            for n in range(1, len(path) + 1):
                found.setdefault(path[:n], number)
    for path, number in list(found.items()):
        if path[0] == "variants":
            found.setdefault(path[2:], number)
    return found


def _split(key: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in key.split("."))
