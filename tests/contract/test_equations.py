"""Every equation: its equilibrium is a fixed point, its invariants are kept, entropy does not grow."""

import numpy as np
import pytest

from solvers.discrete_equilibrium import equilibrium
from solvers.problem.maxwellian import maxwellian
from solvers.problem.registry import equations, limits, velocity_sets

RNG = np.random.default_rng(0)


def bgk_collision(f, v, w):
    rho = f @ w
    u = f @ (w * v) / rho
    T = f @ (w * (v - u) ** 2) / rho
    out = np.empty_like(f)
    assert equilibrium(rho, u, T, v, w, out)
    return out - f, np.stack([w, w * v, 0.5 * w * v**2])


def transport_collision(f, v, w):
    return np.full_like(f, f @ w) - f, w[None]


def semiconductor_collision(f, v, w):
    return (f @ w) * maxwellian(1.0, 0.0, 1.0, v) - f, w[None]


#: velocity set, collision operator, and a distribution that it leaves alone
COLLISIONS = {
    "bgk": ("trapezoid", bgk_collision, lambda v: maxwellian(1.0, 0.3, 1.2, v)),
    "transport": ("slab_gauss", transport_collision, np.ones_like),
    "semiconductor": ("gauss_hermite", semiconductor_collision, lambda v: maxwellian(1.0, 0.0, 1.0, v)),
    "transport_2d": ("circle", transport_collision, np.ones_like),
}


@pytest.mark.parametrize("name", equations.names())
def test_collision_operator(name):
    equation = equations.load(name)
    kind, collision, rest = COLLISIONS[name]
    v, w = velocity_sets.load(kind)(kind=kind).nodes_and_weights()
    f = (1.0 + 0.3 * RNG.random(v.size)) * rest(v) + 1e-12
    Q, invariants = collision(f, v, w)
    assert len(invariants) == len(equation.invariants)
    np.testing.assert_allclose(invariants @ Q, 0.0, atol=1e-13)
    assert w @ (Q * np.log(f / rest(v))) < 0.0, "entropy production"
    fixed, _ = collision(f + Q, v, w)
    np.testing.assert_allclose(fixed, 0.0, atol=1e-12)
    assert equation.limit in limits
    assert name in limits.load(equation.limit)().equations
    assert {"rho"} <= set(equation.fields)
    assert set(equation.positive) <= set(equation.fields)
