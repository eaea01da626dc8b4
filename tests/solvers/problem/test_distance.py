"""Error measures: exact values on uniform and graded grids."""

import numpy as np
import pytest

from solvers.problem.distance import cell_weights, cell_widths, on_grid, relative_l2, scaled_l2


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


def test_a_kink_is_felt_only_in_the_interval_that_holds_it():
    x = np.linspace(0.0, 1.0, 41) ** 2
    wanted = np.linspace(0.0, 1.0, 200)
    kink = np.abs(x - 0.3)[None]
    far = np.searchsorted(x, wanted) != np.searchsorted(x, 0.3)
    found = on_grid(kink, {"x": x}, {"x": wanted})[0]
    np.testing.assert_allclose(found[far], np.abs(wanted - 0.3)[far], rtol=0, atol=1e-13)
    np.testing.assert_allclose(found, np.abs(wanted - 0.3), rtol=0, atol=np.diff(x).max())


def test_shared_centres_are_taken_as_they_are_and_others_by_cubics():
    fine, coarse = (np.arange(n) / n + 0.5 / n for n in (27, 9))
    value = np.random.default_rng(1).normal(size=(2, 27))
    np.testing.assert_array_equal(on_grid(value, {"x": fine}, {"x": coarse}), value[:, 1::3])
    cubic = lambda x: x**3 - x  # noqa: E731
    found = on_grid(cubic(fine)[None], {"x": fine}, {"x": np.linspace(0.1, 0.9, 7)})
    np.testing.assert_allclose(found[0], cubic(np.linspace(0.1, 0.9, 7)), rtol=1e-12)
