"""Every velocity set: exact up to its claimed degree, positive weights, symmetric, the measure it says."""

import numpy as np
import pytest

from solvers.problem.maxwellian import maxwellian
from solvers.problem.registry import velocity_sets


@pytest.mark.parametrize("name", velocity_sets.names())
def test_velocity_set(name):
    rule = velocity_sets.load(name)(kind=name)
    v, w = rule.nodes_and_weights()
    assert (np.diff(v) > 0).all()
    assert (w > 0).all()
    np.testing.assert_allclose(v, -v[::-1], atol=1e-13)
    np.testing.assert_allclose(w, w[::-1], rtol=1e-10)
    assert rule.interval == (v[0], v[-1])
    density = maxwellian(1.0, 0.0, 1.0, v) if name == "gauss_hermite" else np.ones_like(v)
    for degree in range(min(rule.degree, 9) + 1):
        if name == "gauss_hermite":
            exact = 0.0 if degree % 2 else float(np.prod(np.arange(1, degree, 2)))
        else:
            low, high = getattr(rule, "range", (-1.0, 1.0))  # direction cosines unless the set says otherwise
            exact = (
                (high ** (degree + 1) - low ** (degree + 1)) / (degree + 1) / ((high - low) if rule.average else 1.0)
            )
        scale = w @ (density * np.abs(v) ** degree)
        assert abs(w @ (density * v**degree) - exact) / scale < 1e-12


def test_half_range_rule_integrates_a_jump():
    v, w = velocity_sets.load("slab_double_gauss")(kind="slab_double_gauss", nodes=8).nodes_and_weights()
    assert w @ np.where(v > 0, v**3, 0.0) == pytest.approx(1 / 8, abs=1e-15)
