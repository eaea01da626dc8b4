"""Block tridiagonal chains against a dense solve, with entries 1/eps too; the inverse of small matrices; plain Python."""

import numpy as np
import pytest

from solvers import gauss_jordan
from solvers.schemes import _block_tridiagonal
from solvers.schemes._block_tridiagonal import Chain
from solvers.schemes.discrete_ordinates import basis, make_matrices

MODES, M = 3, 4  # ordinates, two of each sign
V = np.array([-0.8, -0.3, 0.3, 0.8])
VALUES = basis(np.linspace(-1.0, 1.0, MODES))


def chain_and_dense(periodic, eps, tau=0.1, cells=5):
    """A chain of (rho, g) with g scaled by eps, and its matrix over (cell, mode, component)."""
    same, left, right = make_matrices()
    rng = np.random.default_rng(1)
    h = rng.random(cells) + 0.5
    couple = []
    for keep in (V > 0, V < 0):
        stream = np.where(keep, V, 0.0)[:, None] * np.hstack([np.ones((M, 1)), eps * np.eye(M)])
        couple.append(np.vstack([stream.mean(axis=0) / eps, stream - stream.mean(axis=0)]))
    forward, backward = couple
    relax = np.kron(np.eye(MODES), np.diag(np.r_[0.0, np.ones(M)]))
    blocks = [(np.kron(same[1], forward) + np.kron(same[-1], backward)) / h[i] + relax for i in range(cells)]
    inertia = np.r_[1.0, np.full(M, eps**2)]
    n, q = MODES * (M + 1), M + 1
    dense = np.zeros((cells, n, cells, n))
    for i in range(cells):
        dense[i, :, i] += np.diag(np.tile(inertia, MODES)) + tau * blocks[i]
        if i > 0 or periodic:
            dense[i, :, i - 1] -= tau / h[i] * np.kron(np.outer(left, right), forward)
        if i < cells - 1 or periodic:
            dense[i, :, (i + 1) % cells] += tau / h[i] * np.kron(np.outer(right, left), backward)
    shaped = np.array(blocks).reshape(cells, MODES, q, MODES, q)
    chain = Chain(shaped, inertia, h, VALUES, forward, backward, periodic)
    chain.prepare(tau)
    return chain, dense.reshape(cells * n, cells * n), rng.random((cells, MODES, q))


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("eps", "tolerance"), [(1.0, 1e-12), (1e-4, 1e-9), (1e-8, 1e-5)])
def test_chain_equals_a_dense_solve(periodic, eps, tolerance):
    # the entries 1/eps themselves leave a round-off of 1e-16/eps times the cells
    chain, dense, y = chain_and_dense(periodic, eps)
    solved = chain.solve((dense @ y.ravel()).reshape(y.shape))
    np.testing.assert_allclose(solved[..., 0], y[..., 0], rtol=0, atol=tolerance)


def test_next_step_size_renews_the_factors():
    chain, _, y = chain_and_dense(True, 0.3)
    chain.prepare(0.02)
    _, dense, _ = chain_and_dense(True, 0.3, tau=0.02)
    np.testing.assert_allclose(chain.solve((dense @ y.ravel()).reshape(y.shape)), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 3, 4, 7, 20])
def test_inverse_of_a_matrix_with_scaled_rows(n):
    rng = np.random.default_rng(n)
    scale = 10.0 ** rng.integers(-8, 9, n)
    good = rng.random((n, n)) + n * np.eye(n)
    a = scale[:, None] * good * scale
    gauss_jordan.invert(a)
    np.testing.assert_allclose(scale[:, None] * a * scale @ good, np.eye(n), rtol=0, atol=1e-13 * n)


def test_compiled_equals_plain_python(monkeypatch):
    chain, dense, y = chain_and_dense(True, 0.1)
    b = (dense @ y.ravel()).reshape(y.shape)
    compiled = chain.solve(b)
    monkeypatch.setattr(gauss_jordan, "eliminate", gauss_jordan.eliminate.py_func)
    monkeypatch.setattr(_block_tridiagonal, "invert", gauss_jordan.invert.py_func)
    for name in ("factorise", "substitute"):
        monkeypatch.setattr(_block_tridiagonal, name, getattr(_block_tridiagonal, name).py_func)
    chain.prepare(chain.tau)
    np.testing.assert_allclose(chain.solve(b), compiled, rtol=0, atol=1e-12)
