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


def esbgk_collision(f, v, w):
    """ES-BGK with nu = -1/2 on the nodes v (2, n), v2 > 0, of a distribution that is even in v2."""
    v1, v2 = np.unique(v[0]), np.unique(v[1])
    table = w.reshape(v1.size, v2.size)
    W1, W2 = table.sum(axis=1) / table.sum(), table.sum(axis=0)
    rho = f @ w
    u = f @ (w * v[0]) / rho
    theta = np.array([f @ (w * (v[0] - u) ** 2), f @ (w * v[1] ** 2)]) / rho
    T11, T22 = 1.5 * theta.mean() - 0.5 * theta
    along, across = np.empty(v1.size), np.empty(2 * v2.size)
    assert equilibrium(rho, u, T11, v1, W1, along)
    both, weights = np.concatenate([-v2[::-1], v2]), 0.5 * np.concatenate([W2[::-1], W2])
    assert equilibrium(1.0, 0.0, T22, both, weights, across)
    G = np.outer(along, across[v2.size :]).ravel()
    return G - f, np.stack([w, w * v[0], 0.5 * w * (v[0] ** 2 + v[1] ** 2)])


def nodes_and_weights(rule):
    """Nodes and weights; the half plane v2 > 0 of a rule in two dimensions, v of shape (2, n)."""
    v, w = rule.nodes_and_weights()
    if not hasattr(rule, "second"):
        return v, w
    v2, W2 = rule.second()
    half = v2 > 0.0
    return np.stack([a.ravel() for a in np.meshgrid(v, v2[half], indexing="ij")]), np.outer(w, 2.0 * W2[half]).ravel()


#: velocity set, collision operator, and a distribution that it leaves alone
COLLISIONS = {
    "bgk": ("trapezoid", bgk_collision, lambda v: maxwellian(1.0, 0.3, 1.2, v)),
    "esbgk": (
        "trapezoid_2d",
        esbgk_collision,
        lambda v: maxwellian(1.0, 0.3, 1.2, v[0]) * maxwellian(1.0, 0.0, 1.2, v[1]),
    ),
    "transport": ("slab_gauss", transport_collision, np.ones_like),
    "semiconductor": ("gauss_hermite", semiconductor_collision, lambda v: maxwellian(1.0, 0.0, 1.0, v)),
    "transport_2d": ("circle", transport_collision, np.ones_like),
}


@pytest.mark.parametrize("name", equations.names())
def test_collision_operator(name):
    equation = equations.load(name)
    kind, collision, rest = COLLISIONS[name]
    v, w = nodes_and_weights(velocity_sets.load(kind)(kind=kind))
    f = (1.0 + 0.3 * RNG.random(w.size)) * rest(v) + 1e-12
    Q, invariants = collision(f, v, w)
    assert len(invariants) == len(equation.invariants)
    np.testing.assert_allclose(invariants @ Q, 0.0, atol=1e-13)
    assert w @ (Q * np.log(f / rest(v))) < 0.0, "entropy production"
    for _ in range(50):  # stress takes several collisions
        f = f + Q
        Q, _ = collision(f, v, w)
    fixed = Q
    np.testing.assert_allclose(fixed, 0.0, atol=1e-12)
    assert equation.limit in limits
    assert name in limits.load(equation.limit)().equations
    assert limits.load(equation.limit).order == 1
    if equation.correction:
        assert limits.load(equation.correction).order == 2
        assert name in limits.load(equation.correction).equations
    assert {"rho"} <= set(equation.fields)
    assert set(equation.positive) <= set(equation.fields)
