"""Even-parity circular harmonics: the limit, the second scheme agreeing with the first, steady constants, bad input."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.diffusion_2d import Limit
from solvers.problem.read import read_case
from solvers.problem.status import BadInput
from solvers.schemes import discrete_ordinates_2d
from solvers.schemes.circular_harmonics import Scheme

CASE = Path(__file__).parents[3] / "cases/transport_2d.toml"
LATE = "domain.output_times=[0.5]"


def last(*overrides, eps=0.1, scheme=Scheme, **options):
    case = read_case(CASE, overrides=[LATE, *overrides])
    solver = scheme()
    chosen = solver.Options(**options)
    return case, solver.coordinates(case, chosen), list(solver.march(case, eps, chosen))[-1].fields["rho"]


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_limit():
    case, axes, rho = last(eps=1e-8, elements=10, harmonics=3, steps=12)
    assert distance(rho, Limit().solve(case, axes, np.array([0.5]))["rho"][0]) < 1e-3


def test_a_state_in_balance_with_its_walls_stays():
    sides = [f"boundary.{side}={{kind='inflow', f='2'}}" for side in ("left", "right", "bottom", "top")]
    rho = last(*sides, "initial.f=2", "equation.source=0", eps=0.3, cells=9, elements=6, harmonics=3, steps=2)[2]
    np.testing.assert_allclose(rho, 2.0, rtol=1e-5)


@pytest.mark.parametrize(("eps", "harmonics", "tolerance"), [(0.3, 5, 1e-2), (1e-2, 3, 3e-3)])
def test_two_independent_schemes_agree(eps, harmonics, tolerance):
    one = last(eps=eps, cells=9, elements=6, harmonics=harmonics, steps=12)[2]
    two = last("velocity.nodes=16", eps=eps, scheme=discrete_ordinates_2d.Scheme, cells=9, elements=9, steps=8)[2]
    assert distance(one, two) < tolerance


@pytest.mark.parametrize("eps", [0.3, 1e-6])
def test_order_in_space(eps):
    """Order 3 of quadratic elements, on a source that is smooth and flat at the walls."""
    smooth = "equation.source='(cos(pi*x/2)*cos(pi*y/2))**2'"
    runs = [last(smooth, eps=eps, cells=9, elements=n, harmonics=3, steps=2)[2] for n in (6, 12, 24)]
    assert np.log2(distance(runs[0], runs[1]) / distance(runs[1], runs[2])) > 2.7


@pytest.mark.parametrize("eps", [0.3, 1e-6])
def test_order_in_time(eps):
    runs = [last("equation.source='t**2'", eps=eps, cells=9, elements=4, harmonics=3, steps=n)[2] for n in (8, 16, 32)]
    assert np.log2(distance(runs[0], runs[1]) / distance(runs[1], runs[2])) > 1.7


def test_bad_input_is_answered():
    with pytest.raises(BadInput, match="inflow"):
        last("boundary.left='specular'")
    with pytest.raises(BadInput, match="odd"):
        last(harmonics=4)
    with pytest.raises(BadInput, match="constant"):
        last("equation.sigma_s='1 + x**2'")
