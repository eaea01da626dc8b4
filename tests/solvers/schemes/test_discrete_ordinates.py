"""Implicit discrete ordinates against the spectral scheme, the diffusion and Milne limits, and its own claims."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.diffusion import Limit
from solvers.problem.read import read_case
from solvers.problem.status import BadInput, NumericalError
from solvers.schemes import _collided_sweep, discrete_ordinates, fourier_legendre
from solvers.schemes._first_collision import Uncollided, make_split
from solvers.schemes.discrete_ordinates import Options, Scheme

CASES = Path(__file__).parents[3] / "cases"


def solve(name, eps, *overrides, **options):
    case = read_case(CASES / f"{name}.toml", overrides=["velocity.nodes=16", *overrides])
    scheme, options = Scheme(), Options(**options)
    snapshots = list(scheme.march(case, eps, options))
    return case, scheme.coordinates(case, options), snapshots[-1], snapshots


# without tiny eps in the case the mesh has no cells of 1e-9, whose 1/h would lift round-off to 1e-9
MILD = ("knudsen.evaluate=[1.0, 0.1, 0.01]", "knudsen.unseen=[]")


def periodic_error(eps, cells, steps):
    case, _, last, _ = solve("transport_periodic", eps, cells=cells, graded=1, steps=steps)
    exact = list(fourier_legendre.Scheme().march(case, eps, fourier_legendre.Options(cells=cells)))[-1]
    assert last.scalars["drift_mass"] < 1e-14
    return np.linalg.norm(last.fields["rho"] - exact.fields["rho"]) / np.linalg.norm(exact.fields["rho"])


@pytest.mark.parametrize("eps", [1.0, 1e-2, 1e-8])
def test_order_mass_and_independence_of_eps(eps):
    coarse, fine = periodic_error(eps, 16, 8), periodic_error(eps, 32, 16)
    assert fine < 1e-4
    assert np.log2(coarse / fine) > 2.4


def test_steps_and_unknowns_do_not_depend_on_eps():
    counts = [len(solve("transport_inflow", eps, cells=9, graded=3, steps=4)[3]) for eps in (1e-2, 1e-5, 1e-8)]
    assert len(set(counts)) == 1


def test_inflow_reaches_the_heat_solution():
    case, grid, last, _ = solve("transport_inflow", 1e-8)
    limit = Limit().solve(case, grid, np.array([last.t]))
    np.testing.assert_allclose(last.fields["rho"], limit["rho"][0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("F", "outer", "wall"), [("v", 0.710446, 1 / np.sqrt(3)), ("5*sin(v)", 3.188932, 2.630)])
def test_boundary_layer_and_wall_value(F, outer, wall):
    eps = 1e-6
    case, grid, last, _ = solve("transport_inflow", eps, f'boundary.left.f="{F}"', "knudsen.unseen=[]", cells=27)
    x, rho = grid["x"], last.fields["rho"]
    limit = Limit().solve(case, grid, np.array([last.t]))["rho"][0]
    outside = x > 50 * eps
    np.testing.assert_allclose(rho[outside], limit[outside], rtol=0, atol=1e-3 * outer)
    assert rho[0] == pytest.approx(wall, rel=2e-2)  # first cell centre, half a cell from the wall


def test_constant_state_is_kept():
    _, _, last, _ = solve(
        "transport_inflow", 1e-2, "initial.f='1'", "boundary.right.f='1'", *MILD, cells=9, graded=3, steps=4
    )
    np.testing.assert_allclose(last.fields["rho"], 1.0, rtol=0, atol=1e-11)


def test_mirror_symmetry():
    swap = ("boundary.left.f='0'", "boundary.right.f='1'")
    a, b = (solve("transport_inflow", 0.1, *o, *MILD, cells=9, graded=3, steps=4)[2] for o in ((), swap))
    np.testing.assert_allclose(a.fields["rho"], b.fields["rho"][::-1], rtol=0, atol=1e-11)
    np.testing.assert_allclose(a.fields["J"], -b.fields["J"][::-1], rtol=0, atol=1e-9)


def test_specular_ends_equal_the_even_continuation():
    ends = [f"boundary.{side}={{kind='specular'}}" for side in ("left", "right")]
    _, _, box, _ = solve("transport_periodic", 0.1, *ends, "domain.x=[0.0, 0.5]", cells=12, graded=1, steps=8)
    _, _, ring, _ = solve("transport_periodic", 0.1, cells=24, graded=1, steps=8)
    np.testing.assert_allclose(box.fields["rho"], ring.fields["rho"][:12], rtol=0, atol=1e-9)


@pytest.mark.parametrize("eps", [1.0, 1e-3, 1e-8])
def test_walls_keep_the_mass_to_round_off(eps):
    walls = ("boundary.left='diffuse'", "boundary.right='specular'", "initial.f='(2 + sin(5*x))*(1 + v + v**2)'")
    _, _, last, snapshots = solve("transport_periodic", eps, *walls, cells=18, graded=1, steps=6)
    assert all(s.scalars["drift_mass"] < 1e-14 for s in snapshots if s.fields)
    assert np.ptp(last.fields["rho"]) > 1e-4


def test_diffuse_walls_leave_an_isotropic_gas_at_rest_and_mix_a_beam():
    walls = [f"boundary.{side}='diffuse'" for side in ("left", "right")]
    _, _, last, _ = solve("transport_periodic", 1.0, *walls, "initial.f='1'", cells=9, graded=1, steps=6)
    np.testing.assert_allclose(last.fields["rho"], 1.0, rtol=0, atol=1e-12)
    slow = ("equation.sigma_s=1e-9", "domain.t_end=200.0", "domain.output_times=[200.0]")
    case, _, last, _ = solve(
        "transport_periodic", 1.0, *walls, *slow, "initial.f='1 + v'", cells=9, graded=1, steps=40, distribution=True
    )
    np.testing.assert_allclose(last.fields["f"][:, case.velocity.nodes_and_weights()[0] > 0.5], 1.0, atol=1e-3)


def test_uncollided_moments():
    # sigma = 0, F = 1: <f_u> = (1 - eps x/t)/2, <v f_u>/eps = (1 - (eps x/t)^2)/(4 eps)
    ray = Uncollided(lambda t, v: np.ones_like(v), np.zeros_like, 0.0, 1.0, 0.5)
    x = np.array([0.1, 0.5, 0.9])
    slowest = np.minimum(0.5 * x / 0.3, 1.0)
    np.testing.assert_allclose(ray.moment(0, 0.3, x), 0.5 * (1 - slowest), atol=1e-12)
    np.testing.assert_allclose(ray.moment(1, 0.3, x), (1 - slowest**2) / 2.0, atol=1e-12)


@pytest.mark.parametrize(("eps", "t"), [(1.0, 0.02), (0.1, 0.05), (0.03, 0.02)])
@pytest.mark.parametrize("source", ["0", "3"])
def test_uncollided_moments_of_a_line_in_time_are_exponential_integrals(eps, t, source):
    data = ("equation.sigma_s='1 + 3*x'", f"equation.source='{source}'")
    exact, gauss = (
        make_split(read_case(CASES / "transport_inflow.toml", overrides=[*data, f"boundary.left.f='{F}'"]), eps).rays[0]
        for F in ("2", "2 + 0*v")  # the second seems to depend on v
    )
    assert exact.line == (2.0, -float(source))
    assert gauss.line is None
    x = np.geomspace(1e-6, 1.0, 50)
    for n in (0, 1):
        np.testing.assert_allclose(exact.moment(n, t, x), gauss.moment(n, t, x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("source", ["2", "2 + 0*t"])
def test_split_of_a_source_between_dark_walls(source):
    # without collisions f = Q min(t, eps s/|v|), s the distance to the wall behind
    case, grid, last, _ = solve(
        "transport_variable_scattering", 0.5, f"equation.source='{source}'", "equation.sigma_s='1e-12'",
        *MILD, cells=9, graded=3, steps=9,
    )  # fmt: skip
    assert len(make_split(case, 0.5).rays) == 2
    absorbing = read_case(CASES / "transport_variable_scattering.toml", overrides=["equation.sigma_a=3.0"])
    assert make_split(absorbing, 0.5) is None, "q would outgrow f"
    z, w = np.polynomial.legendre.leggauss(400)
    v, x = 0.5 * (z + 1.0), grid["x"][:, None]
    f = [2.0 * np.minimum(last.t, 0.5 * s / v) for s in (x, 1.0 - x)]
    np.testing.assert_allclose(last.fields["rho"], 0.25 * sum(f) @ w, rtol=0, atol=3e-5)


def test_sweep_solves_the_upwind_dg_system():
    # cell by cell (D + s h D_k) f = state + isotropic + what the upwind cell sends, D of a sigma that varies within the cells
    rng = np.random.default_rng(1)
    n, half = 4, _collided_sweep.BLOCK
    v = np.linspace(-1.0, 1.0, 2 * half)
    w, h, eps, tau = np.full(2 * half, 0.5 / half), rng.uniform(0.1, 1.0, n), 0.3, 0.2
    root = rng.normal(size=(n, 3, 3))
    total = root @ np.moveaxis(root, 1, 2)
    sweeper = _collided_sweep.Sweeper(v, w, h, eps, 0.0 * total, total)
    sweeper.prepare(tau)
    state, q = rng.normal(size=(2, n, 3, half)), rng.normal(size=(n, 3))
    f = sweeper.join(sweeper.solve(state, q, np.zeros((n, 3)))[0])
    same, left, right = discrete_ordinates.make_matrices()
    known = sweeper.join(state) + tau * q[:, :, None]
    for k, speed in enumerate(v):
        for c in range(n):
            s = tau * speed / (eps * h[c])
            to, sent = (left, right) if speed > 0 else (-right, left)
            ahead = c - 1 if speed > 0 else c + 1
            inflow = s * to * (sent @ f[ahead, :, k]) if 0 <= ahead < n else 0.0
            A = np.eye(3) + tau * total[c] + s * same[1 if speed > 0 else -1]
            np.testing.assert_allclose(A @ f[c, :, k], known[c, :, k] + inflow, rtol=1e-11, atol=1e-11)


def test_mixing_saves_most_of_the_sweeps_where_they_contract_slowly(monkeypatch):
    # in cells of sigma up to 101 and eps = 0.3 a sweep contracts by 0.96
    calls, sweep, memory = [], _collided_sweep.sweep, _collided_sweep.MEMORY
    monkeypatch.setattr(_collided_sweep, "sweep", lambda *data: calls.append(1) or sweep(*data))
    found = []
    for kept in (memory, 0):
        monkeypatch.setattr(_collided_sweep, "MEMORY", kept)
        calls.clear()
        last = solve("transport_variable_scattering", 0.3, *MILD, cells=9, graded=3, steps=4)[2]
        found.append((len(calls), last.fields["rho"]))
    assert found[0][0] < 0.4 * found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=0, atol=1e-7)


def test_sweeps_that_do_not_converge_say_so(monkeypatch):
    monkeypatch.setattr(discrete_ordinates, "SPLIT", 1e-6)
    with pytest.raises(NumericalError, match="source iteration"):
        solve("transport_inflow", 1e-4, *MILD, cells=9, graded=3, steps=4)


@pytest.mark.parametrize("eps", [0.3, 1e-2])
def test_resumed_march_is_the_same(eps):
    case, _, last, snapshots = solve("transport_inflow", eps, cells=9, graded=3, steps=4)
    state = next(s.state for s in snapshots if s.state is not None)
    again = list(Scheme().march(case, eps, Options(cells=9, graded=3, steps=4), resume=state))[-1]
    np.testing.assert_array_equal(again.fields["rho"], last.fields["rho"])


def test_coarser_meshes_give_their_results_on_the_same_grid():
    case, scheme = read_case(CASES / "transport_inflow.toml"), Scheme()
    fine = Options()
    coarse = scheme.coarser(fine)
    np.testing.assert_array_equal(scheme.coordinates(case, coarse)["x"], scheme.coordinates(case, fine)["x"])
    assert scheme.edges(case, fine)[::3] == pytest.approx(scheme.edges(case, coarse.mesh), rel=1e-12, abs=1e-15)
    assert [scheme.resolution(o) for o in (fine, coarse, scheme.coarser(coarse))] == [45, 15, 5]
    assert scheme.coarser(scheme.coarser(coarse)) is None


def test_uniform_mesh_that_misses_the_layer_is_refused():
    case = read_case(CASES / "transport_inflow.toml")
    with pytest.raises(BadInput, match=r"reference\.graded = 0.*boundary layer of width 1e-08"):
        Scheme.edges(case, Options(graded=0))
    with pytest.raises(BadInput, match=r"reference\.cells = 40 must be a multiple"):
        Scheme.edges(case, Options(cells=40))


def test_sweeps_equal_the_direct_solve(monkeypatch):
    monkeypatch.setattr(discrete_ordinates, "collided_edges", lambda case, options: Scheme.edges(case, options, 0.3))
    monkeypatch.setattr(discrete_ordinates, "ORDINATES", 1)
    monkeypatch.setattr(Scheme, "_collided_schedule", staticmethod(Scheme._schedule))
    data = ("equation.sigma_a='1 + x'", "equation.source='x'", "initial.f='1 + v**2'", *MILD)
    options = {"cells": 9, "graded": 3, "steps": 4}
    # with an in-flow that is zero but not a constant the rest is the whole solution, and SPLIT picks the solver
    zero = ("boundary.left.f='0*v'", *data)
    a = solve("transport_inflow", 0.3, *zero, **options)[2]
    monkeypatch.setattr(discrete_ordinates, "SPLIT", 1.0)
    b = solve("transport_inflow", 0.3, *zero, **options)[2]
    for field in ("rho", "J"):
        np.testing.assert_allclose(a.fields[field], b.fields[field], rtol=0, atol=1e-7)
