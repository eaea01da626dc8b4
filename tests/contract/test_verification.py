"""Every verification passes its own tolerances."""

import numpy as np
import pytest

from solvers.problem.registry import checks, limits, schemes

#: seconds of one core above which a verification is a long study
LONG = 10.0


def cases():
    for name in checks.names():
        marks = [pytest.mark.slow] if checks.load(name).seconds > LONG else []
        yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(cases()))
def test_verification_passes(name):
    check = checks.load(name)()
    assert all(other in schemes or other in limits for other in check.verifies)
    outcomes = list(check.run())
    assert outcomes
    for outcome in outcomes:
        assert np.isfinite(outcome.error), outcome.quantity
        assert outcome.passed, f"{outcome.quantity}: {outcome.error:.3e} > {outcome.tolerance:.3e}"
        if outcome.x is not None:
            assert outcome.x.shape == outcome.computed.shape == outcome.exact.shape
