"""DUGKS for BGK: second order and conservation at every Knudsen number."""

from pathlib import Path

import numpy as np
import pytest

from solvers.problem.read import read_case
from solvers.schemes.dugks import Options, Scheme

CASES = Path(__file__).parents[3] / "cases"


@pytest.mark.parametrize("eps", [1e-2, 1e-6])
def test_second_order_and_conservation_uniformly_in_eps(eps):
    case = read_case(CASES / "bgk_smooth.toml", None, ["velocity.nodes=64"])
    runs = {n: list(Scheme().march(case, eps, Options(cells=n)))[-1] for n in (27, 81, 243)}
    assert max(abs(drift) for drift in runs[243].scalars.values()) < 1e-12
    exact = runs[243].fields["rho"]
    coarse = np.linalg.norm(runs[27].fields["rho"] - exact[4::9]) / np.sqrt(27)
    fine = np.linalg.norm(runs[81].fields["rho"] - exact[1::3]) / np.sqrt(81)
    assert np.log(coarse / fine) / np.log(3.0) > 1.8
