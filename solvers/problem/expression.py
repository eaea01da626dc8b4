"""Formulas in case files: parsed by a whitelisted syntax tree, compiled for any array library from one definition.

A formula such as `rho = "1 + 0.5*sin(2*pi*x)"` may use

* numbers, the constants `pi` and `e`, and the names of the case's own `[constants]`;
* the variables that its key allows (`x`, `y`, `v`, `v1`, `v2`, `t`, `eps`);
* `+ - * / **`, comparisons (`<`, `<=`, `>`, `>=`, also chained), `and`, `or`, `not` inside conditions;
* the functions of `PRIMITIVES` and `MACROS`, among them

      where(condition, a, b)
      piecewise(condition_1, a_1, condition_2, a_2, ..., otherwise)
      heaviside(z)                               0, 1/2, 1 for z < 0, z = 0, z > 0
      smooth_step(z, left, right, width, at=0)   left + (right - left) / (1 + exp(-(z - at)/width))   problems.md (48)

Nothing else is a formula: no call, attribute, index or name outside these, at most MAX_LENGTH characters and MAX_DEPTH
levels.  The text itself is never executed: a checked tree is rebuilt from it, macros are expanded into primitives,
constant parts are folded, and what is compiled is the source printed from that tree.
"""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import core_schema

from .registry import nearest

MAX_LENGTH = 2000
MAX_DEPTH = 60

CONSTANTS = {"pi": math.pi, "e": math.e}

#: primitive functions and their numbers of arguments; every array library supplies exactly these
PRIMITIVES = {
    **dict.fromkeys(("sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "exp", "log", "sqrt", "abs", "sign"), 1),
    "erf": 1,
    "min": 2,
    "max": 2,
    "where": 3,
    "logical_and": 2,
    "logical_or": 2,
    "logical_not": 1,
}
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


class ExpressionError(ValueError):
    """A text is not a formula; the message says where and what would be one."""


def _number(value: float) -> ast.expr:
    # a negative literal is a minus sign before a number: printed otherwise, (-2)**x would come out as -2**x
    number = ast.Constant(abs(float(value)))
    return ast.UnaryOp(ast.USub(), number) if math.copysign(1.0, value) < 0 else number


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return isinstance(inner, ast.Constant)


def _call(name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _combine(left: ast.expr, operator: ast.operator, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, operator, right)


def _heaviside(z: ast.expr) -> ast.expr:
    below = ast.Compare(z, [ast.Lt()], [_number(0)])
    above = ast.Compare(z, [ast.Gt()], [_number(0)])
    return _call("where", below, _number(0), _call("where", above, _number(1), _number(0.5)))


def _smooth_step(z: ast.expr, left: ast.expr, right: ast.expr, width: ast.expr, at: ast.expr) -> ast.expr:
    # tanh form of the logistic function: it cannot overflow
    argument = _combine(_combine(z, ast.Sub(), at), ast.Div(), _combine(_number(2), ast.Mult(), width))
    weight = _combine(_number(0.5), ast.Mult(), _combine(_number(1), ast.Add(), _call("tanh", argument)))
    return _combine(left, ast.Add(), _combine(_combine(right, ast.Sub(), left), ast.Mult(), weight))


def _piecewise(*parts: ast.expr) -> ast.expr:
    if len(parts) < 3 or len(parts) % 2 == 0:
        raise ExpressionError("piecewise takes condition, value, condition, value, ..., otherwise")
    result = parts[-1]
    for condition, value in reversed(list(zip(parts[:-1:2], parts[1::2], strict=True))):
        result = _call("where", condition, value, result)
    return result


#: functions written in terms of the primitives: parameter names with defaults, and the expansion
MACROS: dict[str, tuple[dict[str, float | None] | None, Callable[..., ast.expr]]] = {
    "heaviside": ({"z": None}, _heaviside),
    "smooth_step": ({"z": None, "left": None, "right": None, "width": None, "at": 0.0}, _smooth_step),
    "piecewise": (None, _piecewise),
}


def _numpy_primitives() -> dict[str, Callable[..., Any]]:
    from scipy.special import erf

    same = {name: getattr(np, name) for name in PRIMITIVES if hasattr(np, name) and name not in ("min", "max")}
    return {**same, "min": np.minimum, "max": np.maximum, "erf": erf}


class _Checker:
    """Rebuilds a checked tree: names resolved, macros expanded, constant parts folded."""

    def __init__(self, variables: tuple[str, ...], constants: Mapping[str, float]) -> None:
        self.variables = variables
        self.constants = {**CONSTANTS, **constants}
        self.used: set[str] = set()

    def check(self, node: ast.AST, depth: int = 0) -> ast.expr:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels")
        match node:
            case ast.Constant(value=bool()):
                raise ExpressionError(f"'{node.value!r}' is not a number")
            case ast.Constant(value=int() | float() as value):
                return _number(self._float(value))
            case ast.Name():
                return self._name(node.id)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return self._fold(ast.UnaryOp(node.op, self.check(node.operand, depth + 1)))
            case ast.UnaryOp(op=ast.Not()):
                return _call("logical_not", self.check(node.operand, depth + 1))
            case ast.BinOp() if isinstance(node.op, OPERATORS):
                left, right = self.check(node.left, depth + 1), self.check(node.right, depth + 1)
                return self._fold(_combine(left, node.op, right))
            case ast.BoolOp():
                name = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
                return self._chain(name, [self.check(value, depth + 1) for value in node.values])
            case ast.Compare() if all(isinstance(op, COMPARISONS) for op in node.ops):
                terms = [self.check(term, depth + 1) for term in (node.left, *node.comparators)]
                pairs = zip(terms[:-1], node.ops, terms[1:], strict=True)
                return self._chain("logical_and", [ast.Compare(a, [op], [b]) for a, op, b in pairs])
            case ast.Call(func=ast.Name()):
                return self._call(node, depth)
        text = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
        raise ExpressionError(f"'{text[:60]}' is not allowed in a formula")

    def _float(self, value: float) -> float:
        try:
            return float(value)
        except OverflowError:
            raise ExpressionError("a number is too large") from None

    def _chain(self, name: str, terms: list[ast.expr]) -> ast.expr:
        result = terms[0]
        for term in terms[1:]:
            result = _call(name, result, term)
        return result

    def _name(self, name: str) -> ast.expr:
        if name in self.variables:
            self.used.add(name)
            return ast.Name(name, ast.Load())
        if name in self.constants:
            return _number(self.constants[name])
        raise ExpressionError(f"unknown name '{name}': {nearest(name, [*self.variables, *self.constants])}")

    def _call(self, node: ast.Call, depth: int) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
            raise ExpressionError(f"{name}: no * or ** in a call")
        args = [self.check(a, depth + 1) for a in node.args]
        keywords = {str(k.arg): self.check(k.value, depth + 1) for k in node.keywords}
        if name in PRIMITIVES:
            if keywords or len(args) != PRIMITIVES[name]:
                raise ExpressionError(f"{name} takes {PRIMITIVES[name]} argument(s), got {len(args) + len(keywords)}")
            return self._fold(_call(name, *args))
        if name in MACROS:
            parameters, expand = MACROS[name]
            if parameters is None:
                return expand(*args)
            return self._refold(expand(*self._bind(name, parameters, args, keywords)))
        raise ExpressionError(f"unknown function '{name}': {nearest(name, [*PRIMITIVES, *MACROS])}")

    def _bind(
        self, name: str, parameters: dict[str, float | None], args: list[ast.expr], keywords: dict[str, ast.expr]
    ) -> list[ast.expr]:
        bound = dict(zip(parameters, args, strict=False))
        signature = ", ".join(p if d is None else f"{p}={d:g}" for p, d in parameters.items())
        if len(args) > len(parameters) or set(keywords) - set(parameters) or set(keywords) & set(bound):
            raise ExpressionError(f"the arguments are {name}({signature})")
        bound |= keywords
        for parameter, default in parameters.items():
            if parameter not in bound and default is None:
                raise ExpressionError(f"{name} misses '{parameter}': the arguments are {name}({signature})")
            bound.setdefault(parameter, _number(default or 0.0))
        return [bound[p] for p in parameters]

    def _fold(self, node: ast.expr) -> ast.expr:
        """Numbers stay numbers: `2*pi` is folded, so that array functions only ever see arrays."""
        children = [c for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr)]
        if isinstance(node, ast.Call):
            children = children[1:]
        if not all(_is_number(c) for c in children):
            return node
        with np.errstate(all="ignore"):
            value = _bind_source(ast.unparse(ast.fix_missing_locations(node)), (), _numpy_primitives())()
        if isinstance(value, complex) or not np.isfinite(value):
            raise ExpressionError(f"'{ast.unparse(node)}' is not a finite number")
        return _number(float(value))

    def _refold(self, node: ast.expr) -> ast.expr:
        """Fold the constant parts of an expanded macro."""
        for name, child in ast.iter_fields(node):
            if isinstance(child, ast.expr):
                setattr(node, name, self._refold(child))
            elif isinstance(child, list):
                setattr(node, name, [self._refold(c) if isinstance(c, ast.expr) else c for c in child])
        return self._fold(node) if isinstance(node, ast.BinOp | ast.Call) else node


@lru_cache(maxsize=1024)
def _compiled(source: str, names: tuple[str, ...]) -> CodeType:
    return compile(f"lambda {', '.join(names)}: {source}", "<formula>", "eval")


def _bind_source(source: str, names: tuple[str, ...], primitives: Mapping[str, Any]) -> Callable[..., Any]:
    """The function `lambda names: source` over the given primitives and nothing else (no builtins)."""
    try:
        function: Callable[..., Any] = eval(_compiled(source, names), {"__builtins__": {}, **primitives})
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None
    return function


@dataclass(frozen=True)
class Expression:
    """A checked formula.

    text    as it stands in the case file
    names   the variables that occur in it, sorted
    source  the same formula over PRIMITIVES only, constants folded
    """

    text: str
    names: tuple[str, ...]
    source: str

    @classmethod
    def parse(
        cls, text: str | float, variables: tuple[str, ...], constants: Mapping[str, float] | None = None
    ) -> "Expression":
        """Check `text`; raises ExpressionError with the reason and the nearest allowed name."""
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ExpressionError("a formula is a string or a number")
        written = text if isinstance(text, str) else repr(text)
        if len(written) > MAX_LENGTH:
            raise ExpressionError(f"longer than {MAX_LENGTH} characters")
        if not written.strip():
            raise ExpressionError("the formula is empty")
        checker = _Checker(variables, constants or {})
        try:
            tree = ast.parse(written.strip(), mode="eval")
            checked = checker.check(tree.body)
            source = ast.unparse(ast.fix_missing_locations(checked))
        except SyntaxError as error:
            raise ExpressionError(f"not a formula: {error.msg}") from None
        except (RecursionError, MemoryError):
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels") from None
        except (ZeroDivisionError, OverflowError) as error:
            raise ExpressionError(f"a constant part cannot be evaluated: {error}") from None
        except ValueError as error:
            raise error if isinstance(error, ExpressionError) else ExpressionError(f"not a formula: {error}") from None
        return cls(written, tuple(sorted(checker.used)), source)

    def bind(self, primitives: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
        """The formula as a function of `self.names` (positional, in that order) over another array library.

        `primitives` maps every name of PRIMITIVES to a function of that library.
        """
        return _bind_source(self.source, self.names, primitives)

    @cached_property
    def _numpy(self) -> Callable[..., Any]:
        return self.bind(_numpy_primitives())

    def __call__(self, **variables: Any) -> NDArray[np.float64]:
        """Value on numpy arrays, broadcast to the common shape of ALL given variables (dimensionless)."""
        shape = np.broadcast_shapes(*(np.shape(value) for value in variables.values()))
        arguments = [np.asarray(variables[name], dtype=float) for name in self.names]
        with np.errstate(all="ignore"):
            value = np.asarray(self._numpy(*arguments), dtype=float)
        return np.array(np.broadcast_to(value, shape))

    @property
    def constant(self) -> float | None:
        """The number, if the formula contains no variable."""
        return float(self._numpy()) if not self.names else None

    def __str__(self) -> str:
        return self.text


class In:
    """The variables of a case key that holds a formula: `rho: Annotated[Expression, In("x", "eps")]`."""

    def __init__(self, *variables: str) -> None:
        self.variables = variables

    def _parse(self, value: Any, info: core_schema.ValidationInfo) -> Expression:
        if isinstance(value, Expression):
            return value
        return Expression.parse(value, self.variables, (info.context or {}).get("constants"))

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        text = core_schema.plain_serializer_function_ser_schema(lambda expression: expression.text)
        return core_schema.with_info_plain_validator_function(self._parse, serialization=text)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": ["string", "number"], "description": f"formula in {', '.join(self.variables)}"}
