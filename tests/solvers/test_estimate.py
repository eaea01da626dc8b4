"""The error bar of a reference brackets the true error wherever that is known."""

import numpy as np
import pytest

from kinetic_cli.cases import load_case, shipped_cases
from solvers.estimate import Estimator
from solvers.problem.distance import relative_l2
from solvers.problem.registry import schemes


def run(case):
    """Estimator and filled snapshots of a case at its first Knudsen number."""
    scheme = schemes.load(case.reference["scheme"])()
    options = scheme.Options.model_validate(case.reference)
    eps = case.knudsen.evaluate[0]
    estimator = Estimator(scheme, case, eps, options)
    progress = [snapshot.progress for snapshot in estimator.march()]
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(estimator.share)
    assert 0.0 < estimator.share < 0.6
    return estimator, [s for s in scheme.march(case, eps, options) if s.fields]


@pytest.mark.parametrize("eps", [1.0, 1e-2, 1e-4])
def test_bar_of_discrete_ordinates_holds_the_distance_to_the_exact_solution(eps):
    settings = [f"knudsen.evaluate=[{eps}]", "knudsen.unseen=[]", "domain.output_times=[0.02, 0.1]"]
    coarse = ["reference.scheme=discrete_ordinates", "reference.cells=81", "velocity.nodes=12", "reference.steps=9"]
    estimator, filled = run(load_case(shipped_cases()["transport_periodic"], None, settings + coarse))
    exact_case = load_case(shipped_cases()["transport_periodic"], None, [*settings, "reference.cells=54"])
    scheme = schemes.load("fourier_legendre")()
    exact = [s for s in scheme.march(exact_case, eps, scheme.Options.model_validate(exact_case.reference)) if s.fields]
    x = estimator.axes["x"]
    for ours, truth in zip(filled, exact, strict=True):
        spectrum = np.fft.rfft(truth.fields["rho"]) / 54
        k = np.arange(spectrum.size)
        phase = np.exp(2j * np.pi * np.multiply.outer(x - 0.5 / 54, k))
        rho = (phase @ (np.where(k > 0, 2.0, 1.0) * spectrum)).real
        error = relative_l2(ours.fields["rho"], rho, np.ones_like(x))
        bar = estimator.estimate(ours.t, "rho", ours.fields["rho"]).error
        assert error <= bar <= 300.0 * error + 1e-12


def test_bar_of_two_grids_assumes_first_order_and_none_without():
    case = load_case(shipped_cases()["transport_periodic"], None, ["reference.cells=24", "knudsen.evaluate=[1e-2]"])
    case = case.model_copy(update={"reference": {**case.reference, "cells": 24}})
    estimator, filled = run(case)
    found = estimator.estimate(filled[-1].t, "rho", filled[-1].fields["rho"])
    assert len(found.distances) == 1
    assert np.isnan(found.order)
    assert found.grid == pytest.approx(3.0 * max(found.distances[0], 1e-15) / 2.0)
    scheme = schemes.load("fourier_legendre")()
    options = scheme.Options.model_validate({**case.reference, "cells": 32})
    nothing = Estimator(scheme, case, 1e-2, options)
    assert list(nothing.march()) == []
    assert nothing.share == 0.0
    assert np.isnan(nothing.estimate(0.1, "rho", np.ones(32)).error)
