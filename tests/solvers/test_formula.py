"""One formula, three array libraries: numpy, numba and torch give the same numbers."""

import numpy as np
import pytest
import torch

from apnn.expression import evaluate
from solvers.compile import njit
from solvers.formula import kernel
from solvers.problem.expression import PRIMITIVES, Expression

FORMULAS = [
    "1 + 0.5*sin(2*pi*x) - cos(x)/3 + tan(0.3*x)",
    "sinh(x) + cosh(t) * tanh(x) - arctan(t)",
    "exp(-x**2) + log(2 + x) * sqrt(1 + t) + erf(x)",
    "abs(x) ** (3/7) * sign(x) + (-2)**2 * x",
    "where(x < 0.2 and not t > 0.5 or x >= 0.8, min(x, t), max(x, t))",
    "piecewise(x < -0.5, 1, -0.5 <= x < 0.5, t, 3) + heaviside(x) * smooth_step(x, 1.5, 0.625, width=0.02, at=0.1)",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_numpy_numba_and_torch_agree(text):
    formula = Expression.parse(text, ("x", "t"))
    x, t = np.random.default_rng(0).uniform(-1.0, 1.0, size=(2, 40))
    t = np.abs(t)
    expected = formula(x=x, t=t)
    compiled = kernel(formula)
    arguments = {"x": x, "t": t}
    found = [compiled(*(arguments[name][i] for name in formula.names)) for i in range(x.size)]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)
    by_torch = evaluate(formula, x=torch.from_numpy(x), t=torch.from_numpy(t)).numpy()
    np.testing.assert_allclose(by_torch, expected, rtol=1e-13, atol=1e-15)


def test_every_primitive_is_held():
    assert all(any(name in text for text in FORMULAS) or name.startswith("logical") for name in PRIMITIVES)


def test_a_kernel_takes_a_formula():
    @njit
    def total(f, points):
        result = 0.0
        for x in points:
            result += f(x)
        return result

    formula = Expression.parse("1 + x**2", ("x",))
    assert total(kernel(formula), np.array([1.0, 2.0])) == 7.0
