"""Formulas of case files: what they mean, and that nothing else is a formula."""

import contextlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from solvers.problem.expression import MAX_LENGTH, Expression, ExpressionError

X = np.linspace(-1.0, 1.0, 41)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 0.5*sin(2*pi*x)", 1 + 0.5 * np.sin(2 * np.pi * X)),
        ("-x**2", -(X**2)),
        ("where(x < 0, 1, 2)", np.where(X < 0, 1.0, 2.0)),
        ("where(-0.5 < x <= 0.5 and not x > 0.25, 1, 0)", ((X > -0.5) & (X <= 0.5) & (X <= 0.25)) * 1.0),
        ("piecewise(x < -0.5, 1, x < 0.5, 2, 3)", np.where(X < -0.5, 1.0, np.where(X < 0.5, 2.0, 3.0))),
        ("heaviside(x)", np.heaviside(X, 0.5)),
        ("smooth_step(x, 1, 3, width=0.1)", 1 + 2 / (1 + np.exp(-X / 0.1))),
        ("smooth_step(x, 1, 3, 0.1, at=0.5)", 1 + 2 / (1 + np.exp(-(X - 0.5) / 0.1))),
        ("max(x, 0) + min(x, 0) - x", 0 * X),
        ("(-2)**2 * x", 4.0 * X),
        ("(0 - 2)**2 - 2**-1 + 0*x", 3.5 + 0 * X),
        ("k*e", 2.5 * math.e + 0 * X),
        (3, 3.0 + 0 * X),
    ],
)
def test_value(text, expected):
    formula = Expression.parse(text, ("x",), {"k": 2.5})
    np.testing.assert_allclose(formula(x=X), expected, rtol=1e-14, atol=1e-14)


def test_smooth_step_does_not_overflow():
    assert Expression.parse("smooth_step(x, 1, 3, width=1e-5)", ("x",))(x=np.array([-1.0, 1.0])).tolist() == [1.0, 3.0]


def test_broadcasts_to_all_arguments():
    formula = Expression.parse("2", ("x", "v"))
    assert formula(x=np.zeros((5, 1)), v=np.zeros(7)).shape == (5, 7)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.real",
        "x[0]",
        "(lambda: 1)()",
        "[1, 2]",
        "'a'",
        "True",
        "x if x else 1",
        "open('f')",
        "sin(*x)",
        "sin(x, x)",
        "smooth_step(x, 1, 2)",
        "smooth_step(x, 1, 2, width=1, z=3)",
        "x == 1",
        "1/0",
        "sqrt(-1)",
        "(-8)**(1/3)",
        "9**9**9",
        "x :=1",
        "",
        "   ",
        "nan",
        "y",
        "x +",
        "1;2",
        "x" * (MAX_LENGTH + 1),
        "(" * 300 + "x" + ")" * 300,
        "-" * 500 + "x",
        "1" * 400,
        "1_0j",
    ],
)
def test_is_not_a_formula(text):
    with pytest.raises(ExpressionError):
        Expression.parse(text, ("x",))


def test_unknown_name_names_the_nearest():
    with pytest.raises(ExpressionError, match="did you mean 'tanh'"):
        Expression.parse("tanhh(x)", ("x",))


@given(st.text(max_size=60))
def test_any_text_is_a_formula_or_an_error(text):
    with contextlib.suppress(ExpressionError):
        Expression.parse(text, ("x",))


TORCH = {
    **{name: getattr(torch, name) for name in ("sin", "cos", "exp", "tanh", "sqrt", "where", "erf", "sign", "abs")},
    "max": torch.maximum,
}


def test_numpy_and_torch_agree():
    formula = Expression.parse(
        "sin(3*x) + smooth_step(x, 1, 2, width=0.1)*exp(-x**2) + where(x < 0, 1, erf(x))", ("x",)
    )
    ours = formula.bind(TORCH)(torch.tensor(X))
    np.testing.assert_allclose(ours.numpy(), formula(x=X), rtol=1e-14)
