"""Micro-macro scheme for slab transport: against exact and limit solutions, the S_N scheme, mass, its claims, plain Python."""

from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from solvers.limits.diffusion import Limit
from solvers.problem.read import read_case
from solvers.problem.status import BadInput
from solvers.schemes import discrete_ordinates, fourier_legendre, micro_macro
from solvers.schemes.micro_macro import Scheme, make_mesh

CASES = Path(__file__).parents[3] / "cases"
MILD = ("knudsen.evaluate=[1.0, 0.1, 0.01]", "knudsen.unseen=[]")
KERNELS = ("solve_macro", "factor", "second_moment", "solve_micro", "solve_stage", "advance")


def solve(name, eps, *overrides, scheme=None, **options):
    case = read_case(CASES / f"{name}.toml", overrides=overrides)
    scheme, options = scheme or Scheme(), (scheme or Scheme()).Options(**options)
    filled = [s for s in scheme.march(case, eps, options) if s.fields]
    return case, scheme.coordinates(case, options)["x"], filled


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("eps", [1.0, 0.1, 1e-2, 1e-4, 1e-8])
def test_second_order_against_the_spectral_scheme_uniformly_in_eps(eps):
    error = []
    for cells in (54, 162):
        filled = solve("transport_periodic", eps, cells=cells, steps=27)[2]
        exact = solve("transport_periodic", eps, scheme=fourier_legendre.Scheme(), cells=cells)[2]
        error.append([distance(a.fields["rho"], b.fields["rho"]) for a, b in zip(filled, exact, strict=True)])
    error = np.array(error)
    assert error[1].max() < 2e-4
    assert (np.log(error[0] / error[1]) / np.log(3.0) > 1.9).all()


@pytest.mark.parametrize(("eps", "order"), [(1.0, 3.7), (0.1, 3.5), (1e-8, 3.5)])
def test_order_in_time(eps, order):
    """Self-convergence on one mesh; f0 is isotropic, so that no initial layer stands in the way."""
    smooth = ("initial.f='1 + 0.5*cos(2*pi*x)'", "domain.output_times=[0.1]", "domain.t_end=0.1")
    rho = [solve("transport_periodic", eps, *smooth, cells=30, steps=n)[2][-1].fields["rho"] for n in (12, 24, 96)]
    coarse, fine = (np.linalg.norm(r - rho[2]) for r in rho[:2])
    assert np.log2(coarse / fine) > order


WALLS = [("periodic", "periodic"), ("specular", "specular"), ("diffuse", "diffuse"), ("diffuse", "specular")]


@pytest.mark.parametrize("eps", [1.0, 1e-3, 1e-8])
@pytest.mark.parametrize("walls", WALLS)
def test_mass_is_kept_to_round_off(eps, walls):
    data = [f"boundary.{side}='{wall}'" for side, wall in zip(("left", "right"), walls, strict=True)]
    case, x, filled = solve("transport_periodic", eps, *data, "initial.f='(2 + sin(5*x))*(1 + v + v**2)'", cells=81)
    assert all(s.scalars["drift_mass"] < 2e-14 for s in filled)
    start = case.initial.f(x=x[:, None], v=case.velocity.nodes_and_weights()[0], eps=eps)
    mass = np.sum(start @ case.velocity.nodes_and_weights()[1])
    assert np.sum(filled[-1].fields["rho"]) == pytest.approx(mass, rel=2e-14)


@pytest.mark.parametrize("walls", [("diffuse", "diffuse"), ("diffuse", "specular"), ("specular", "diffuse")])
@pytest.mark.parametrize("eps", [0.5, 1e-2])
def test_walls_agree_with_discrete_ordinates(eps, walls):
    data = [f"boundary.{side}='{wall}'" for side, wall in zip(("left", "right"), walls, strict=True)]
    data += ["initial.f='2 + cos(pi*x)'", "domain.output_times=[0.1]", "velocity.nodes=12"]
    _, x, a = solve("transport_periodic", eps, *data, cells=324, steps=36)
    _, y, b = solve("transport_periodic", eps, *data, scheme=discrete_ordinates.Scheme(), cells=108, graded=1, steps=27)
    assert distance(a[-1].fields["rho"][1::3], b[-1].fields["rho"]) < 1e-4
    np.testing.assert_allclose(x[1::3], y, atol=1e-12)
    assert np.ptp(b[-1].fields["rho"]) > 1e-2


@pytest.mark.parametrize("eps", [0.3, 1e-2, 1e-6])
def test_agrees_with_discrete_ordinates_on_everything_at_once(eps):
    data = (
        "equation.sigma_s='1 + 3*x'",
        "equation.sigma_a='0.5 + x'",
        "equation.source='(1 + x)*cos(10*t)'",
        "initial.f='sin(pi*x)*(1 + x*v + v**2)'",
        "boundary.left.f='1 + 10*t*v'",
        "boundary.right.f='2*v'",
        "domain.output_times=[0.05]",
        "domain.t_end=0.05",
        "knudsen.evaluate=[0.3, 0.01]",
        f"knudsen.unseen=[{eps}]" if eps < 1e-2 else "knudsen.unseen=[]",
        "velocity.nodes=12",
    )
    _, x, a = solve("transport_inflow", eps, *data, cells=486, steps=27)
    _, y, b = solve("transport_inflow", eps, *data, scheme=discrete_ordinates.Scheme(), cells=36, graded=9, steps=15)
    for field, allowed in (("rho", 8e-4), ("J", 8e-3) if eps > 0.1 else ("J", 8e-4)):
        apart = CubicSpline(y, b[-1].fields[field])(x) - a[-1].fields[field]
        widths = np.gradient(x)
        assert np.sqrt((widths * apart**2).sum() / (widths * a[-1].fields[field] ** 2).sum()) < allowed


@pytest.mark.parametrize(("F", "outer", "wall"), [("v", 0.710446, 1 / np.sqrt(3)), ("5*sin(v)", 3.188932, 2.630)])
@pytest.mark.parametrize("eps", [1e-4, 1e-8])
def test_limit_behind_a_kinetic_layer_at_a_fixed_step(eps, F, outer, wall):
    case, x, filled = solve("transport_boundary_layer", eps, f"boundary.left.f='{F}'", f"knudsen.unseen=[{eps / 10}]")
    rho = filled[-1].fields["rho"]
    limit = Limit().solve(case, {"x": x}, np.array([filled[-1].t]))["rho"][0]
    outside = x > 100 * eps
    assert np.abs(rho - limit)[outside].max() < (5e-4 + 2 * eps) * outer
    assert rho[0] == pytest.approx(wall, rel=5e-3)  # first centre, 0.001 mean free paths from the wall


def test_steps_and_unknowns_do_not_depend_on_eps_and_iterations_are_few():
    count = {}
    for eps in (1.0, 1e-1, 1e-2, 1e-4, 1e-8):
        used = []
        original = micro_macro.advance

        def counted(*arguments, used=used, original=original):
            used.append(original(*arguments))
            return used[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(micro_macro, "advance", counted)
            solve("transport_boundary_layer", eps, cells=81, steps=18)
        count[eps] = len(used), max(used)
    assert len({steps for steps, _ in count.values()}) == 1
    assert max(most for _, most in count.values()) <= 5 * 25
    assert count[1e-8][1] <= count[1e-2][1]


def test_constant_state_is_kept_and_mirror_symmetry():
    flat = ("initial.f='1'", "boundary.right.f='1'", *MILD)
    last = solve("transport_inflow", 1e-2, *flat, cells=54, steps=6)[2][-1]
    np.testing.assert_allclose(last.fields["rho"], 1.0, rtol=0, atol=1e-10)
    swap = ("boundary.left.f='0'", "boundary.right.f='1'")
    a, b = (solve("transport_inflow", 0.1, *o, *MILD, cells=54, steps=6)[2][-1].fields for o in ((), swap))
    np.testing.assert_allclose(a["rho"], b["rho"][::-1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(a["J"], -b["J"][::-1], rtol=0, atol=1e-8)


def test_specular_ends_equal_the_even_continuation():
    ends = [f"boundary.{side}='specular'" for side in ("left", "right")]
    box = solve("transport_periodic", 0.1, *ends, "domain.x=[0.0, 0.5]", cells=27, steps=9)[2][-1]
    ring = solve("transport_periodic", 0.1, cells=54, steps=9)[2][-1]
    np.testing.assert_allclose(box.fields["rho"], ring.fields["rho"][:27], rtol=0, atol=1e-10)


def test_distribution_gives_the_moments():
    case, _, filled = solve("transport_inflow", 0.3, *MILD, cells=81, steps=9, distribution=True)
    v, w = case.velocity.nodes_and_weights()
    f = filled[-1].fields["f"]
    np.testing.assert_allclose(f @ w, filled[-1].fields["rho"], atol=2e-2)  # jumps at v = eps x/t
    filled = solve("transport_inflow", 1e-2, *MILD, cells=81, steps=9, distribution=True)[2]
    np.testing.assert_allclose(filled[-1].fields["f"] @ w, filled[-1].fields["rho"], atol=1e-12)
    np.testing.assert_allclose(filled[-1].fields["f"] @ (w * v) / 1e-2, filled[-1].fields["J"], atol=1e-9)


def test_mesh_crowds_at_inflow_ends_only():
    edges, centres = make_mesh(-1.0, 2.0, 90, (1e-9, 3.0))
    h = np.diff(edges)
    assert (edges[0], edges[-1]) == (-1.0, 2.0)
    assert (h > 0).all()
    assert h[0] < 1e-8 < 0.01 < h[-1]
    assert ((edges[:-1] < centres) & (centres < edges[1:])).all()
    np.testing.assert_allclose(centres[1::3], make_mesh(-1.0, 2.0, 30, (1e-9, 3.0))[1], rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.diff(make_mesh(0.0, 1.0, 10, (1.0, 1.0))[0]), 0.1, atol=1e-15)


def test_free_ends_are_refused():
    with pytest.raises(BadInput, match="micro_macro has no 'free' ends"):
        solve("transport_inflow", 0.1, "boundary.right='free'")


@pytest.mark.parametrize("ends", ["periodic", "inflow", "diffuse"])
def test_compiled_steps_equal_plain_python(ends, monkeypatch):
    name = "transport_inflow" if ends == "inflow" else "transport_periodic"
    data = ("velocity.nodes=4", "domain.output_times=[0.02]", "initial.f='(1 + x)*(1 + 0.5*v)'")
    if ends == "diffuse":
        data += ("boundary.left='diffuse'", "boundary.right='specular'")
    compiled = solve(name, 1e-2, *data, cells=8, steps=2)[2][-1].fields
    for kernel in KERNELS:
        monkeypatch.setattr(micro_macro, kernel, getattr(micro_macro, kernel).py_func)
    plain = solve(name, 1e-2, *data, cells=8, steps=2)[2][-1].fields
    for field, value in compiled.items():
        np.testing.assert_allclose(plain[field], value, rtol=1e-10, atol=1e-12)
