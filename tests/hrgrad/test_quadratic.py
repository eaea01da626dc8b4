"""Equal projections and projections onto the dual cone where the gradients are dependent, and nearly opposed or aligned."""

import numpy as np
import pytest

from hrgrad.quadratic import dual_projections, equal_projections


def cosines(J):
    A = J / np.linalg.norm(J, axis=1, keepdims=True)
    C = A @ A.T
    np.fill_diagonal(C, 1.0)
    return C


@pytest.mark.parametrize("m", [5, 8, 12])
def test_equal_projections_of_dependent_vectors_of_one_direction(m):
    """All within 1e-4 of one axis of R^3: |sum y_i a_i| = 1 / c is 1, however the singular system is rounded."""
    for seed in range(50):
        J = np.hstack([np.ones((m, 1)), 1e-4 * np.random.default_rng(seed).normal(size=(m, 2))])
        C = cosines(J)
        y, residual = equal_projections(C)
        assert residual < 1e-6
        assert y @ C @ y == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("m", [3, 6, 10])
def test_dual_projections_of_more_vectors_than_dimensions_two_of_them_opposed(m):
    """y >= 0, r = C y + C e_i >= 0, y'r = 0, for every i: the conditions of the projection, on any active set."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        J = rng.normal(size=(m, max(2, m // 2)))
        J[1] = -J[0] + 10.0 ** rng.uniform(-3, -1) * J[1]
        C = cosines(J)
        Y = dual_projections(C)
        r = Y @ C + C
        size = 1.0 + np.abs(Y).sum(1, keepdims=True)
        assert Y.min() >= 0.0
        assert (r / size).min() > -1e-6
        assert np.abs(Y * r / size**2).max() < 1e-6
