"""DUGKS for BGK and ES-BGK: second order, conservation and the Prandtl number at every Knudsen number."""

from pathlib import Path

import numpy as np
import pytest

from solvers.problem.read import read_case
from solvers.problem.status import BadInput
from solvers.schemes import imex_esbgk
from solvers.schemes.dugks import Options, Scheme

CASES = Path(__file__).parents[3] / "cases"


def last(name, *overrides, eps, cells, variant=None):
    case = read_case(CASES / f"{name}.toml", variant, ["velocity.nodes=64", *overrides])
    return list(Scheme().march(case, eps, Options(cells=cells)))[-1]


@pytest.mark.parametrize("eps", [1e-2, 1e-6])
@pytest.mark.parametrize(("name", "variant"), [("bgk_smooth", None), ("bgk_smooth", "3v"), ("esbgk_smooth", None)])
def test_second_order_and_conservation_uniformly_in_eps(name, variant, eps):
    runs = {n: last(name, eps=eps, cells=n, variant=variant) for n in (27, 81, 243)}
    assert max(abs(drift) for drift in runs[243].scalars.values()) < 1e-12
    exact = runs[243].fields["rho"]
    coarse = np.linalg.norm(runs[27].fields["rho"] - exact[4::9]) / np.sqrt(27)
    fine = np.linalg.norm(runs[81].fields["rho"] - exact[1::3]) / np.sqrt(81)
    assert np.log(coarse / fine) / np.log(3.0) > 1.8


@pytest.mark.parametrize("nu", [-1.0, 0.6])
def test_stress_and_heat_flux_are_those_of_the_other_scheme(nu):
    """Where nu and tau matter: eps = 0.03, tau = 0.9 pi rho/2."""
    settings = [f"equation.nu={nu}", "equation.tau=filbet_jin"]
    found = last("esbgk_smooth", *settings, eps=0.03, cells=243).fields
    case = read_case(CASES / "esbgk_smooth.toml", None, ["velocity.nodes=64", *settings])
    exact = list(imex_esbgk.Scheme().march(case, 0.03, imex_esbgk.Options(cells=81)))[-1].fields
    assert found.keys() == exact.keys()
    for field in ("rho", "T", "q", "A"):
        np.testing.assert_allclose(found[field][1::3], exact[field], atol=3e-3 * np.abs(exact[field]).max())


def test_what_it_cannot_do_is_said():
    with pytest.raises(BadInput, match="no diffuse walls"):
        last("sod", "boundary.left={kind='diffuse', T=1.0}", eps=1.0, cells=16)
    case = read_case(CASES / "esbgk_smooth.toml", None, ["velocity.nodes=64"])
    with pytest.raises(BadInput, match="reduced in v2"):
        next(Scheme().march(case, 1.0, Options(cells=16, distribution=True)))
