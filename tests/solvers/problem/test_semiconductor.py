"""What is wrong with a semiconductor case is said before anything runs."""

from pathlib import Path

import pytest

from solvers.problem.read import read_case
from solvers.problem.status import BadInput

DIODE = Path(__file__).parents[3] / "cases/diode.toml"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('equation.doping="x - 0.5"', r"equation.doping .* must be positive, but is -0.5 at x = 0"),
        ('initial.rho="-1"', r"initial.rho .* must be positive, but is -1"),
        ('equation.doping="1/x"', r"equation.doping .* is not finite at x = 0"),
        ("equation.theta=-1.0", r"equation.theta = -1.0: .*greater than 0"),
        ("equation.beta=0.0", r"equation.beta = 0.0: .*greater than 0"),
        ("equation.theta=0.5", r"velocity.temperature = 1.0: must be that of the lattice, equation.theta = 0.5"),
        ("velocity.nodes=33", r"velocity.nodes = 33: must be even"),
        ("boundary.left.kind=free", r"boundary.left.kind = \"free\""),
        ('velocity={kind="trapezoid"}', r"velocity.kind.*gauss_hermite"),
    ],
)
def test_mistake_is_explained(override, message):
    with pytest.raises(BadInput, match=message):
        read_case(DIODE, overrides=[override])


@pytest.mark.parametrize("variant", [None, "mild", "unit"])
def test_variants_are_valid(variant):
    case = read_case(DIODE, variant)
    assert case.equation.limit == "drift_diffusion"
    assert case.equation.doping(x=0.5) == pytest.approx(0.001, abs=1e-4)
