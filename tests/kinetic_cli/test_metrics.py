"""Error measures: exact values on uniform and graded grids."""

import numpy as np
import pytest

from kinetic_cli.metrics import cell_weights, cell_widths, mean_ranks, relative_l2, scaled_l2, slope


def test_widths_of_a_graded_grid_add_up_to_the_domain():
    edges = np.array([0.0, 0.1, 0.3, 0.7, 1.5])
    centres = 0.5 * (edges[1:] + edges[:-1])
    np.testing.assert_allclose(cell_widths(np.linspace(0.05, 0.95, 10)), 0.1)
    assert cell_widths(centres).sum() == pytest.approx(1.5, rel=0.1)
    weights = cell_weights({"x": np.array([0.25, 0.75]), "y": np.array([0.5, 1.5])})
    np.testing.assert_allclose(weights, 0.5 * np.ones((2, 2)))


def test_relative_error_weighs_cells_by_their_width():
    weights = np.array([1.0, 3.0])
    assert relative_l2(np.array([1.0, 2.0]), np.array([1.0, 1.0]), weights) == pytest.approx(np.sqrt(3 / 4))
    assert scaled_l2(np.array([1.0, 2.0]), np.array([1.0, 1.0]), weights) == pytest.approx(np.sqrt(3 / 16))
    assert np.isnan(relative_l2(np.ones(2), np.zeros(2), weights))
    # an error of 1e-3 everywhere is 1e-3 on any grid and at several times together
    truth = np.random.default_rng(0).normal(size=(3, 2))
    assert relative_l2(1.001 * truth, truth, weights) == pytest.approx(1e-3)


def test_mean_ranks_share_ties_and_put_failures_last():
    errors = {"a": [1.0, 1.0], "b": [2.0, 1.0], "c": [float("nan"), 3.0]}
    assert mean_ranks(errors) == {"a": 1.25, "b": 1.75, "c": 3.0}


def test_slope_is_the_exponent_at_the_small_end():
    eps = np.array([1.0, 1e-2, 1e-3, 1e-4])
    assert slope(eps, np.array([5.0, 3e-2, 3e-3, 3e-4])) == pytest.approx(1.0)
    assert np.isnan(slope(eps[:2], np.ones(2)))
