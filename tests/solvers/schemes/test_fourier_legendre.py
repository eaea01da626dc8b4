"""Fourier-Legendre against an independent S_N eigen-decomposition, free flight and the diffusion limit."""

from pathlib import Path

import mpmath
import numpy as np
import pytest

from solvers.limits.diffusion import Limit
from solvers.problem.read import read_case
from solvers.problem.status import BadInput
from solvers.schemes.fourier_legendre import Options, Scheme, march_mode

CASES = Path(__file__).parents[3] / "cases"


def solve(eps, *overrides, **options):
    case = read_case(CASES / "transport_periodic.toml", overrides=overrides)
    scheme, options = Scheme(), Options(**options)
    return case, scheme.coordinates(case, options), list(scheme.march(case, eps, options))


def ordinates(k, eps, t, nodes=96):
    """rho(t) of the mode exp(-v^2/2)/sqrt(2 pi) exp(ikx) by S_96 and the exponential of its complex matrix."""
    from scipy.linalg import expm

    v, w = np.polynomial.legendre.leggauss(nodes)
    w = 0.5 * w
    M = -np.diag(1j * k * v / eps) + (np.outer(np.ones(nodes), w) - np.eye(nodes)) / eps**2
    return w @ expm(M * t) @ (np.exp(-(v**2) / 2) / np.sqrt(2 * np.pi))


@pytest.mark.parametrize("eps", [1.0, 1e-1, 1e-2])
def test_against_discrete_ordinates(eps):
    _, grid, snapshots = solve(eps)
    mean = 0.34134474606854
    for s in snapshots:
        exact = mean + (ordinates(4 * np.pi, eps, s.t) * np.exp(4j * np.pi * grid["x"])).real
        np.testing.assert_allclose(s.fields["rho"], exact, rtol=0, atol=3e-12)
        assert s.scalars["drift_mass"] < 1e-14


@pytest.mark.parametrize("eps", [1e-2, 3e-3])
def test_slow_mode_equals_the_exponential_where_both_hold(eps, monkeypatch):
    c0 = np.exp(-np.arange(40.0)) + 0j
    monkeypatch.setattr("solvers.schemes.fourier_legendre.LAYER", 1e9)
    full = march_mode(c0, 12.6, eps, 1.0, 0.1)
    monkeypatch.setattr("solvers.schemes.fourier_legendre.LAYER", 1e2)
    np.testing.assert_allclose(march_mode(c0, 12.6, eps, 1.0, 0.1), full, rtol=0, atol=1e-11 * abs(full[0]))


@pytest.mark.parametrize("eps", [1e-4, 1e-8])
def test_slow_eigenvalue_is_the_discrete_eigenvalue_of_case(eps):
    # infinite medium: 1 = (1/(k eps)) arctan(k eps / (1 + eps^2 lambda)), so eps^2 lambda = k eps cot(k eps) - 1
    from solvers.schemes.fourier_legendre import slow_mode

    k = 4 * np.pi
    with mpmath.workdps(50):
        q = mpmath.mpf(k) * mpmath.mpf(eps)
        exact = float((q * mpmath.cot(q) - 1) / mpmath.mpf(eps) ** 2)
    assert slow_mode(k, eps, 1.0, 96)[0] == pytest.approx(exact, rel=1e-14)


def test_limit_and_flux_at_tiny_eps():
    case, grid, snapshots = solve(1e-8)
    limit = Limit().solve(case, grid, np.array([s.t for s in snapshots]))
    for i, s in enumerate(snapshots):
        np.testing.assert_allclose(s.fields["rho"], limit["rho"][i], rtol=0, atol=1e-7)
        np.testing.assert_allclose(s.fields["J"], limit["J"][i], rtol=0, atol=1e-6)


def test_free_flight_without_collisions():
    _, grid, snapshots = solve(1.0, "equation.sigma_s=1e-14", distribution=True)
    for s in snapshots:
        x, v = grid["x"][:, None], grid["v"]
        exact = (1 + np.cos(4 * np.pi * (x - v * s.t))) / np.sqrt(2 * np.pi) * np.exp(-(v**2) / 2)
        np.testing.assert_allclose(s.fields["f"], exact, rtol=0, atol=1e-12)


def test_refuses_what_it_cannot_solve():
    with pytest.raises(BadInput, match="constant sigma_s"):
        solve(1.0, "equation.sigma_s='1 + x'")
    with pytest.raises(BadInput, match="no source"):
        solve(1.0, "equation.source='1'")
