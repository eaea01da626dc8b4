"""The parity scheme of the semiconductor equation: order, mass, equilibrium, limit, symmetry, and its kernels themselves."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.drift_diffusion import Limit
from solvers.problem.read import read_case
from solvers.problem.status import BadInput
from solvers.schemes import _hermite_kernels as kernels
from solvers.schemes.hermite_parity import Device, Options, Scheme, check_nodes, hermite

DIODE = Path(__file__).parents[3] / "cases/diode.toml"
SMALL = ("velocity.nodes=16",)
#: a bell that moves, flat at the contacts: no kinetic layers
BELL = (
    'equation.doping="1 + 0.5*exp(-(x - 0.5)**2/0.01)"',
    'initial.rho="1 + 0.5*exp(-(x - 0.45)**2/0.01)"',
    "equation.beta=0.05",
    "boundary.right.potential=0.0",
    "domain.t_end=0.02",
    "domain.output_times=[0.02]",
)


def solve(eps, *overrides, variant=None, **options):
    case = read_case(DIODE, variant, [*SMALL, *overrides])
    options = Options(**{"cells": 81, "steps": 12, **options})
    snapshots = list(Scheme().march(case, eps, options))
    return case, Scheme().coordinates(case, options), snapshots[-1], snapshots


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("eps", [0.2, 1e-2, 1e-8])
def test_order_in_space(eps):
    rho = [solve(eps, *BELL, cells=cells)[2].fields["rho"] for cells in (15, 45, 135)]
    first, second = distance(rho[0], rho[1][1::3]), distance(rho[1], rho[2][1::3])
    assert second < 5e-4
    assert np.log(first / second) / np.log(3.0) > 1.9


@pytest.mark.parametrize("eps", [0.2, 1e-2, 1e-8])
def test_order_in_time(eps):
    runs = [solve(eps, *BELL, cells=27, steps=steps, repeat=steps // 4) for steps in (8, 16, 32)]
    rho = [last.fields["rho"] for _, _, last, _ in runs]
    assert [last.step for _, _, last, _ in runs] == pytest.approx([31, 61, 121], abs=1)
    assert distance(rho[1], rho[2]) < 1e-6
    assert np.log2(distance(rho[0], rho[2]) / distance(rho[1], rho[2])) > 3.5


def test_steps_do_not_depend_on_eps_and_mass_is_kept():
    counts = set()
    for eps in (0.1, 1e-4, 1e-8):
        _, _, last, snapshots = solve(eps)
        counts.add(len(snapshots))
        assert all(s.scalars["drift_mass"] < 1e-13 for s in snapshots if s.fields)
        assert last.fields["rho"].min() > 0.0
    assert len(counts) == 1


def test_flux_is_constant_at_the_steady_state():
    _, _, last, _ = solve(1e-2, "domain.t_end=1.0", "domain.output_times=[1.0]", steps=20)
    assert np.ptp(last.fields["J"]) < 1e-10 * np.abs(last.fields["J"]).max()


@pytest.mark.parametrize("eps", [0.1, 1e-6])
def test_without_bias_the_boltzmann_relation_is_kept(eps):
    bias = ("boundary.right.potential=0.0", "domain.t_end=2.0", "domain.output_times=[2.0]", "equation.theta=0.7")
    _, _, last, _ = solve(eps, *bias, "velocity.temperature=0.7", steps=30)
    rho, phi = last.fields["rho"], last.fields["Phi"]
    np.testing.assert_allclose(rho, np.exp(phi / 0.7), rtol=1e-9)
    assert np.abs(last.fields["J"]).max() < 1e-10


def test_constant_state_is_kept():
    flat = ('equation.doping="1"', 'initial.rho="1"', "boundary.right.potential=0.0")
    _, _, last, _ = solve(0.3, *flat)
    np.testing.assert_allclose(last.fields["rho"], 1.0, rtol=0, atol=1e-13)
    assert np.abs(last.fields["E"]).max() < 1e-11


def test_limit_at_fixed_step():
    case, grid, _, snapshots = solve(1e-8, cells=243, steps=36)
    times = np.array(case.domain.output_times)
    limit = Limit().solve(case, grid, times)
    for i, snapshot in enumerate(s for s in snapshots if s.fields):
        for field, allowed in (("rho", 1e-4), ("Phi", 1e-4), ("J", 3e-4), ("E", 1e-3)):
            assert distance(snapshot.fields[field], limit[field][i]) < allowed, field


def test_distance_to_the_limit_falls_like_eps():
    zero = solve(1e-8)[2]
    apart = [distance(solve(eps)[2].fields["rho"], zero.fields["rho"]) for eps in (1e-3, 1e-4)]
    assert np.log10(apart[0] / apart[1]) == pytest.approx(1.0, abs=0.05)


def test_mirror_symmetry():
    mirrored = (
        'equation.doping="1 + 0.5*sin(2*pi*x)"',
        'initial.rho="1 + 0.5*sin(2*pi*x)"',
        'equation.doping="1 - 0.5*sin(2*pi*x)"',
        'initial.rho="1 - 0.5*sin(2*pi*x)"',
    )
    a = solve(0.1, *mirrored[:2])[2].fields
    ends = ("boundary.left.potential=5.0", "boundary.right.potential=0.0")
    b = solve(0.1, *mirrored[2:], *ends)[2].fields
    for field, sign in (("rho", 1.0), ("Phi", 1.0), ("J", -1.0), ("E", -1.0)):
        np.testing.assert_allclose(a[field], sign * b[field][::-1], rtol=0, atol=1e-9)


def test_resumed_march_is_the_same():
    case, _, last, snapshots = solve(1e-2)
    state = next(s.state for s in snapshots if s.state is not None)
    again = list(Scheme().march(case, 1e-2, Options(cells=81, steps=12), resume=state))[-1]
    for field in last.fields:
        np.testing.assert_array_equal(again.fields[field], last.fields[field])
    assert again.scalars == last.scalars


def test_narrow_set_is_refused_with_numbers():
    case = read_case(DIODE, overrides=["velocity.nodes=8"])
    with pytest.raises(BadInput, match=r"max\|E\| = 21.* at eps = 0.1 .* at least 16 nodes"):
        check_nodes(case, 0.1, 8)
    check_nodes(case, 0.01, 8)


def test_distribution_has_the_moments():
    case, grid, last, _ = solve(0.05, distribution=True)
    v, w = case.velocity.nodes_and_weights()
    np.testing.assert_array_equal(grid["v"], v)
    np.testing.assert_allclose(last.fields["f"] @ w, last.fields["rho"], rtol=1e-12)
    np.testing.assert_allclose(last.fields["f"] @ (w * v) / 0.05, last.fields["J"], rtol=1e-9)


def random_device():
    case = read_case(
        DIODE, overrides=["velocity.nodes=6", "equation.beta=0.05", "equation.theta=0.7", "velocity.temperature=0.7"]
    )
    device = Device(case, 0.3, 6, *case.velocity.nodes_and_weights())
    rng = np.random.default_rng(0)
    for name in ("e", "o", "phi"):
        getattr(device, name)[:] += 0.3 * rng.random(getattr(device, name).shape)
    return device, rng


def rate(device, y):
    e, o, phi = unpack(device, y)
    F = [np.empty_like(a) for a in (e, o, phi)]
    grid = (device.B, device.h, device.d, device.doping, device.generation, device.ends, device.potentials)
    kernels.rate(e, o, phi, *F, *grid, *physics(device))
    return np.concatenate([a.ravel() for a in F])


def physics(device):
    return device.theta, device.beta, device.eps, device.relax, device.R


def unpack(device, y):
    n, m = device.e.size, device.o.size
    return y[:n].reshape(device.e.shape).copy(), y[n : n + m].reshape(device.o.shape).copy(), y[n + m :].copy()


def test_solve_inverts_the_exact_jacobian():
    device, rng = random_device()
    y = np.concatenate([device.e.ravel(), device.o.ravel(), device.phi])
    J = np.array([(rate(device, y + d) - rate(device, y - d)) / 2e-6 for d in 1e-6 * np.eye(y.size)]).T
    mass = np.full(y.size, device.eps**2)
    mass[: device.e.size : device.e.shape[1]] = 1.0
    mass[-device.phi.size :] = 0.0
    tau, right = 0.02, rng.random(y.size)
    e, o, phi = unpack(device, right)
    grid = (device.B, device.h, device.d, device.ends, device.potentials)
    kernels.factorise(device.e, device.o, device.phi, tau, *grid, *physics(device), *device.factors)
    solved = (device.work[4], tau, device.B, device.h, device.theta, device.eps, device.relax)
    kernels.solve(e, o, phi, *solved, *device.factors)
    exact = np.linalg.solve(np.diag(mass) / tau - J, right)
    np.testing.assert_allclose(np.concatenate([e.ravel(), o.ravel(), phi]), exact, rtol=0, atol=1e-7)


def test_compiled_step_equals_plain_python(monkeypatch):
    compiled, plain = random_device()[0], random_device()[0]
    compiled.step(1e-3)
    for name in (
        "fit_faces",
        "make_trace",
        "diverge",
        "rate",
        "invert",
        "factorise",
        "couple",
        "multiply",
        "solve",
        "bernoulli",
    ):
        monkeypatch.setattr(kernels, name, getattr(kernels, name).py_func)
    monkeypatch.setattr("solvers.schemes.hermite_parity.advance", kernels.advance.py_func)
    plain.step(1e-3)
    for name in ("e", "o", "phi", "z"):
        np.testing.assert_allclose(getattr(plain, name), getattr(compiled, name), rtol=1e-10, atol=1e-12)


def test_hermite_modes_are_orthonormal():
    z, w = np.polynomial.hermite_e.hermegauss(20)
    h = hermite(z, 20)
    np.testing.assert_allclose((h * w / np.sqrt(2.0 * np.pi)) @ h.T, np.eye(20), atol=1e-11)
