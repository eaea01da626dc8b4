"""S_N in the plane: the cell solver, order, conservation, constant state, the limit at fixed step, symmetry, resume."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.diffusion_2d import Limit
from solvers.problem.read import read_case
from solvers.problem.status import BadInput
from solvers.schemes._first_collision_2d import Uncollided
from solvers.schemes._sweep_2d import SAME, solve_cell
from solvers.schemes.discrete_ordinates_2d import Scheme

CASE = Path(__file__).parents[3] / "cases/transport_2d.toml"
PERIODIC = tuple(f"boundary.{side}='periodic'" for side in ("left", "right", "bottom", "top"))
SPECULAR = tuple(f"boundary.{side}='specular'" for side in ("left", "right", "bottom", "top"))
LATE = "domain.output_times=[0.5]"
WAVE = "initial.f='1 + 0.5*sin(pi*x)*cos(pi*y)*(1 + v1*v2)'"


def solve(*overrides, eps=0.1, cells=9, nodes=16, steps=8, resume=None):
    options = {"cells": cells, "elements": cells, "steps": steps}
    settings = [f"velocity.nodes={nodes}", *(f"reference.{name}={n}" for name, n in options.items()), *overrides]
    case = read_case(CASE, overrides=settings)
    scheme = Scheme()
    options = scheme.Options.model_validate(case.reference)
    return case, scheme.coordinates(case, options), list(scheme.march(case, eps, options, resume))


def last(*overrides, **settings):
    return solve(*overrides, **settings)[2][-1]


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_cell_solver_inverts_the_cell_operator_compiled_and_plain():
    rng = np.random.default_rng(0)
    ax, ay, R = rng.random(8), rng.random(8), rng.normal(size=(9, 8))
    compiled, plain, one = np.empty((9, 8)), np.empty((9, 8)), np.eye(3)
    solve_cell(0.7, ax, ay, R, compiled)
    solve_cell.py_func(0.7, ax, ay, R, plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-12, atol=1e-14)
    for m in range(8):
        A = 0.7 * np.eye(9) + ax[m] * np.kron(SAME[0], one) + ay[m] * np.kron(one, SAME[0])
        np.testing.assert_allclose(A @ compiled[:, m], R[:, m], atol=1e-13)


@pytest.mark.parametrize("sides", [PERIODIC, SPECULAR])
@pytest.mark.parametrize("eps", [1.0, 1e-8])
def test_mass_is_kept_and_a_constant_stays(sides, eps):
    still = last(*sides, "equation.source=0", "initial.f='2'", eps=eps, cells=5, nodes=8, steps=2)
    np.testing.assert_allclose(still.fields["rho"], 2.0, rtol=1e-10)
    moving = last(*sides, "equation.source=1", WAVE, eps=eps, cells=5, nodes=8, steps=2)
    assert moving.scalars["drift_mass"] < 1e-12


@pytest.mark.parametrize("eps", [1.0, 1e-2, 1e-8])
@pytest.mark.parametrize("sides", [(), ("boundary.left={kind='inflow', f='1'}",), ("boundary.left='specular'",)])
def test_mass_balance_with_open_sides(eps, sides):
    """What has entered, left and come from the source is what is there, up to the iteration's tolerance at every eps."""
    settings = {"eps": eps, "cells": 6, "nodes": 8, "steps": 4}
    assert last(LATE, *sides, "equation.sigma_a=0.5", **settings).scalars["drift_mass"] < 3e-6


@pytest.mark.parametrize("eps", [1.0, 1e-1, 1e-8])
def test_order_in_space(eps):
    """Order 3 on a smooth wave between periodic sides, whatever eps."""
    early = ("domain.output_times=[0.1]", "domain.t_end=0.1")
    still = (*PERIODIC, *early, "equation.source=0", "initial.f='1 + 0.5*cos(pi*(x + y))'")
    rho = [last(*still, "reference.cells=9", eps=eps, cells=n, nodes=8, steps=3).fields["rho"] for n in (6, 12, 24)]
    assert np.log2(distance(rho[0], rho[1]) / distance(rho[1], rho[2])) > 2.7
    assert distance(rho[1], rho[2]) < 1e-3


@pytest.mark.parametrize("eps", [1.0, 1e-1, 1e-8])
def test_order_in_time(eps):
    """Order 3 between periodic sides at every eps."""
    moving = (*PERIODIC, "equation.source='exp(t)*(1 + 0.5*sin(pi*x)*cos(pi*y))'", LATE)
    runs = [last(*moving, eps=eps, cells=4, nodes=8, steps=n).fields["rho"] for n in (8, 16, 32)]
    assert np.log2(distance(runs[0], runs[1]) / distance(runs[1], runs[2])) > 2.4  # 2.74 with this ramp
    assert distance(runs[1], runs[2]) < 1e-5


def test_limit_at_fixed_step():
    """eps = 1e-8 on the grid and with the steps of eps = 1 is the diffusion equation; the distance falls like eps."""
    case, axes, snapshots = solve(eps=1e-8)
    limit = Limit().solve(case, axes, np.array([0.5]))["rho"][0]
    zero = snapshots[-1].fields["rho"]
    assert distance(zero, limit) < 5e-4
    apart = [distance(last(eps=eps).fields["rho"], zero) for eps in (1e-2, 1e-3)]
    assert np.log10(apart[0] / apart[1]) == pytest.approx(1.0, abs=0.1)


def test_quarter_turns_and_mirrors():
    rho = last(eps=0.3).fields["rho"]
    for image in (rho.T, rho[::-1], rho[:, ::-1], np.rot90(rho)):
        np.testing.assert_allclose(image, rho, rtol=1e-7)
    one = last("boundary.left={kind='inflow', f='1'}", "equation.source=0", eps=0.3).fields["rho"]
    two = last("boundary.top={kind='inflow', f='1'}", "equation.source=0", eps=0.3).fields["rho"]
    np.testing.assert_allclose(np.rot90(one, -1), two, rtol=1e-6)


@pytest.mark.parametrize("eps", [1.0, 1e-2])
def test_a_mirror_image_is_not_computed_and_nothing_else_changes(eps):
    """A formula that names x and y, and a constant all the same, is solved on the whole square."""
    settings = {"eps": eps, "cells": 8, "nodes": 8, "steps": 3}
    common = ("reference.split=false", "reference.distribution=true", "reference.cells=9", LATE)
    quarter = last(*common, **settings)
    whole = last(*common, "equation.source='1 + 0*x*y'", **settings)
    assert whole.state["rho"].size > 3 * quarter.state["rho"].size
    for name, value in quarter.fields.items():
        np.testing.assert_allclose(value, whole.fields[name], atol=1e-9 * np.abs(value).max(), err_msg=name)


def test_quarter_of_a_symmetric_problem_with_specular_sides():
    """The reflecting sides at the left and below, at the right and above: each is swept to first."""
    whole = last("reference.split=false", eps=0.3, cells=18).fields["rho"]
    for low, sides, part in ((0.0, ("left", "bottom"), whole[9:, 9:]), (-1.0, ("right", "top"), whole[:9, :9])):
        box = (f"domain.{axis}=[{low}, {low + 1.0}]" for axis in "xy")
        quarter = last("reference.split=false", *box, *(f"boundary.{side}='specular'" for side in sides), eps=0.3)
        np.testing.assert_allclose(quarter.fields["rho"], part, rtol=1e-6)


def test_variable_scattering_inside_cells():
    """sigma_S that varies: the sweep's inner iteration solves the same equation as more cells do."""
    vary = "equation.sigma_s='1 + 0.8*sin(pi*x)*sin(pi*y)'"
    settings = (*PERIODIC, vary, WAVE)
    runs = [last(*settings, eps=0.1, cells=n, nodes=8, steps=2).fields["rho"] for n in (9, 27)]
    assert distance(runs[0], runs[1][1::3, 1::3]) < 1e-3
    with pytest.raises(BadInput, match="more are needed"):
        solve("equation.sigma_s='0.1 + (10*x)**4'", cells=3)


def test_resume_is_exact():
    _, _, whole = solve(*PERIODIC[:2], eps=0.1, cells=5, nodes=8, steps=4)
    filled = [s for s in whole if s.fields]
    rest = solve(*PERIODIC[:2], eps=0.1, cells=5, nodes=8, steps=4, resume=filled[0].state)[2]
    np.testing.assert_array_equal(rest[-1].fields["rho"], filled[-1].fields["rho"])


def test_positive_between_absorbing_walls():
    for eps in (1.0, 1e-2, 1e-4):
        assert all(s.fields["rho"].min() > 0.0 for s in solve(eps=eps)[2] if s.fields)


def test_uncollided_part_is_exact_and_the_split_changes_nothing_but_the_error():
    case = read_case(CASE, overrides=["boundary.left={kind='inflow', f='0.7'}", "initial.f='0.2'"])
    rays, x, y = Uncollided(case, 0.3), np.array([-0.999, -0.97, 0.3]), np.array([0.2, 0.98, -0.5])
    theta = (np.arange(400_000) + 0.5) * 2.0 * np.pi / 400_000
    f = rays.f(0.5, x[:, None], y[:, None], np.cos(theta), np.sin(theta))
    np.testing.assert_allclose(rays.moments(0.5, x, y)[0], f.mean(axis=1), atol=2e-6)
    np.testing.assert_allclose(rays.moments(0.5, x, y)[1], (f * np.cos(theta)).mean(axis=1) / 0.3, atol=1e-5)
    split = last(eps=0.5, cells=9, nodes=32, steps=16).fields["rho"]
    whole = [
        last("reference.split=false", eps=0.5, cells=9, nodes=n, steps=s).fields["rho"] for n, s in ((16, 16), (64, 32))
    ]
    far, near = (distance(one, split) for one in whole)
    assert near < 0.5 * far
    assert near < 1e-3


def test_bar_counts_on_little_while_a_front_lies_in_the_cells():
    """At eps = 1, t = 0.1 three meshes agree better than they are right: the front lies in the same cell of all."""
    case = read_case(CASE)
    assert Scheme().expected_order(case, 1.0) == 0.5
    assert Scheme().expected_order(case, 0.3) == 3.0  # nearly all have collided at the first output
    hot = read_case(CASE, overrides=["equation.sigma_s='1 + x**2'"])
    assert Scheme().expected_order(hot, 1.0) == 3.0  # no split
