"""Mean ranks and fitted slopes."""

import numpy as np
import pytest

from kinetic_cli.metrics import mean_ranks, slope


def test_mean_ranks_share_ties_and_put_failures_last():
    errors = {"a": [1.0, 1.0], "b": [2.0, 1.0], "c": [float("nan"), 3.0]}
    assert mean_ranks(errors) == {"a": 1.25, "b": 1.75, "c": 3.0}


def test_slope_is_the_exponent_at_the_small_end():
    eps = np.array([1.0, 1e-2, 1e-3, 1e-4])
    assert slope(eps, np.array([5.0, 3e-2, 3e-3, 3e-4])) == pytest.approx(1.0)
    assert np.isnan(slope(eps[:2], np.ones(2)))
