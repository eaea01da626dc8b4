"""Every case that comes with the program runs small, with both of its engines where it has them."""

import numpy as np
import pytest

from kinetic_cli.cases import load_case, shipped_cases
from solvers.problem.registry import schemes


@pytest.mark.parametrize("name", shipped_cases())
def test_case_runs_small(name):
    scheme_name = load_case(shipped_cases()[name]).reference["scheme"]
    scheme = schemes.load(scheme_name)()
    case = load_case(shipped_cases()[name], None, list(scheme.small))
    options = scheme.Options.model_validate(case.reference)
    axes = scheme.coordinates(case, options)
    cost = scheme.plan(case, case.knudsen.evaluate[-1], options)
    filled = [s for s in scheme.march(case, case.knudsen.evaluate[-1], options) if s.fields]
    assert [s.t for s in filled] == pytest.approx(case.domain.output_times)
    assert filled[-1].step == cost["steps"], "the plan tells the steps"
    assert 0 < cost["unknowns"] <= cost["bytes"]
    for snapshot in filled:
        for field, values in snapshot.fields.items():
            assert field in case.equation.fields
            assert values.shape == tuple(len(axes[axis]) for axis in ("x", "y") if axis in axes)
            assert np.isfinite(values).all()
        assert (snapshot.fields["rho"] > -1e-9).all()
