"""IMEX scheme for BGK: exact solutions, order, conservation, the limit at fixed step, symmetry."""

from pathlib import Path

import numpy as np
import pytest
import torch

from solvers import discrete_equilibrium
from solvers.discrete_equilibrium import equilibrium
from solvers.limits.euler import Limit
from solvers.problem.maxwellian import make_maxwellian, maxwellian
from solvers.problem.read import read_case
from solvers.problem.status import BadInput, NumericalError
from solvers.schemes import imex
from solvers.schemes.imex import (
    EXPLICIT,
    IMPLICIT,
    STABLE_CFL,
    STAGES,
    Scheme,
    integrals,
    macroscopic,
    maxwell,
)

CASES = Path(__file__).parents[2] / "cases"


def solve(name, *overrides, eps=1e-2, cells=40, nodes=48, cfl=0.4, resume=None, distribution=False):
    settings = [
        f"velocity.nodes={nodes}",
        f"reference.cells={cells}",
        "reference.scheme='imex'",
        f"reference.cfl={cfl}",
    ]
    settings += ["domain.output_times=[0.1]", *overrides, f"reference.distribution={str(distribution).lower()}"]
    case = read_case(CASES / f"{name}.toml", overrides=settings)
    scheme = Scheme()
    options = scheme.Options.model_validate(case.reference)
    snapshots = list(scheme.march(case, eps, options, resume))
    return case, scheme.coordinates(case, options), snapshots


def test_equilibrium_has_its_moments_to_round_off():
    v = np.linspace(-10, 10, 65)
    w = np.full(65, v[1] - v[0])
    out = np.empty(65)
    for rho, u, T in ((1.0, 0.0, 1.0), (1e-3, 2.0, 0.3), (5.0, -1.0, 2.0), (1.0, 0.1, 0.06)):
        assert equilibrium(rho, u, T, v, w, out)
        moments = [out @ w, out @ (w * v), out @ (w * (v - u) ** 2)]
        np.testing.assert_allclose(moments, [rho, rho * u, rho * T], rtol=1e-13, atol=1e-14)


def test_free_transport_is_exact():
    """eps = 1e8: f(t, x, v) = M0(x - v t, v)."""
    case, axes, snapshots = solve("bgk_smooth", eps=1e8, cells=100, distribution=True)
    v, w = case.velocity.nodes_and_weights()
    back = axes["x"][:, None] - 0.1 * v
    f0 = maxwellian(case.initial.rho(x=back, eps=1.0), 0.0, case.initial.T(x=back, eps=1.0), v)
    error = np.linalg.norm(snapshots[-1].fields["rho"] - f0 @ w) / np.linalg.norm(f0 @ w)
    assert error < 3e-5
    assert np.abs(snapshots[-1].fields["f"] - f0).max() < 5e-3


def test_homogeneous_relaxation_is_exact():
    """No gradients: a distribution off equilibrium decays as exp(-t/eps), its moments stay."""
    uniform = ["initial.rho=1", "initial.T=1", "initial.u=0"]
    case, _, snapshots = solve("bgk_smooth", *uniform, eps=0.05, cells=8, nodes=64, cfl=0.05, distribution=True)
    v, w = case.velocity.nodes_and_weights()
    start = np.tile(0.5 * (maxwellian(1.0, 1.0, 0.5, v) + maxwellian(1.0, -1.0, 0.5, v)), (8, 1))
    state = {"f": start[None], "t": 0.0, "step": 0}
    case, _, snapshots = solve(
        "bgk_smooth", *uniform, eps=0.05, cells=8, nodes=64, cfl=0.05, distribution=True, resume=state
    )
    target = np.empty_like(v)
    assert equilibrium(1.0, 0.0, 1.5, v, w, target)
    exact = target + np.exp(-0.1 / 0.05) * (start[0] - target)
    assert np.abs(snapshots[-1].fields["f"][0] - exact).max() < 2e-4
    assert snapshots[-1].fields["T"][0] == pytest.approx(1.5, abs=1e-12)


@pytest.mark.parametrize("eps", [1.0, 1e-2, 1e-6])
def test_order_in_time(eps):
    """Same grid, halved steps: the error against a fine step falls at least like dt^2.8 at every Knudsen number."""
    runs = [solve("bgk_smooth", eps=eps, cells=24, nodes=32, cfl=cfl)[2][-1].fields["rho"] for cfl in (1.2, 0.6, 0.03)]
    coarse, middle = (np.linalg.norm(run - runs[2]) for run in runs[:2])
    assert np.log2(coarse / middle) > 2.8


def test_order_in_space():
    """At small fixed steps and eps = 1 the error against a fine grid falls at least like dx^3.5."""
    fine = solve("bgk_smooth", "domain.output_times=[0.02]", eps=1.0, cells=180, nodes=32, cfl=0.4)
    errors = []
    for cells in (20, 60):
        _, _axes, snapshots = solve(
            "bgk_smooth", "domain.output_times=[0.02]", eps=1.0, cells=cells, nodes=32, cfl=0.05
        )
        shared = fine[2][-1].fields["rho"][180 // cells // 2 :: 180 // cells]
        errors.append(np.linalg.norm(snapshots[-1].fields["rho"] - shared) / np.sqrt(cells))
    assert np.log(errors[0] / errors[1]) / np.log(3.0) > 3.5


@pytest.mark.parametrize("eps", [1.0, 1e-3, 1e-6])
def test_conserves_to_round_off(eps):
    drift = solve("bgk_smooth", eps=eps)[2][-1].scalars
    assert set(drift) == {"drift_mass", "drift_momentum", "drift_energy"}
    assert max(abs(value) for value in drift.values()) < 2e-13


def test_limit_at_fixed_step():
    """eps -> 0 with the same grid and the same number of steps gives the Euler solution."""
    case, axes, snapshots = solve("bgk_smooth", eps=1e-6, cells=80, nodes=48)
    limit = Limit().solve(case, axes, np.array([0.1]))
    for name, bound in (("rho", 1e-3), ("T", 1e-3)):
        error = np.linalg.norm(snapshots[-1].fields[name] - limit[name][0]) / np.linalg.norm(limit[name][0])
        assert error < bound
    assert snapshots[-1].step == solve("bgk_smooth", eps=1.0, cells=80, nodes=48)[2][-1].step


def test_three_velocity_dimensions_have_another_limit():
    case, axes, snapshots = solve("bgk_smooth", "equation.velocity_dimension=3", eps=1e-6, cells=80, nodes=48)
    limit = Limit().solve(case, axes, np.array([0.1]))
    assert case.equation.gamma == pytest.approx(5 / 3)
    assert np.linalg.norm(snapshots[-1].fields["T"] - limit["T"][0]) / np.linalg.norm(limit["T"][0]) < 1e-3
    assert max(abs(value) for value in snapshots[-1].scalars.values()) < 2e-13


def test_constant_state_stays():
    _, _, snapshots = solve("sod", "initial.rho=0.7", "initial.u=0.3", "initial.T=1.1", cells=16)
    fields = snapshots[-1].fields
    for name, value in (("rho", 0.7), ("u", 0.3), ("T", 1.1), ("q", 0.0)):
        np.testing.assert_allclose(fields[name], value, atol=2e-13)


def test_mirror_symmetry():
    """Mirrored data give the mirrored solution."""
    forward = solve("bgk_riemann", cells=32)[2][-1].fields
    mirrored = [
        "initial.rho='rho_L + (rho_R - rho_L)*0.5*(1 + tanh(-20*x))'",
        "initial.T='T_L + (T_R - T_L)*0.5*(1 + tanh(-20*x))'",
    ]
    backward = solve("bgk_riemann", *mirrored, cells=32)[2][-1].fields
    np.testing.assert_allclose(backward["rho"], forward["rho"][::-1], rtol=1e-11)
    np.testing.assert_allclose(backward["u"], -forward["u"][::-1], atol=1e-11)


def test_specular_walls_keep_mass_and_energy_and_inflow_keeps_a_constant():
    walls = ["boundary.left=specular", "boundary.right=specular", "domain.output_times=[0.05, 0.1]"]
    case, _, snapshots = solve("bgk_smooth", *walls, eps=0.1, cells=40, distribution=True)
    v, w = case.velocity.nodes_and_weights()
    first, last = (integrals(s.fields["f"][None], v, w) for s in snapshots if s.fields)
    assert last[0] == pytest.approx(first[0], rel=1e-13)
    assert last[2] == pytest.approx(first[2], rel=1e-13)
    assert abs(last[1] - first[1]) > 1e-3, "walls do exert a force"
    gas = "{kind='inflow', rho=0.7, u=0.3, T=1.1}"
    same = ["initial.rho=0.7", "initial.u=0.3", "initial.T=1.1", f"boundary.left={gas}", f"boundary.right={gas}"]
    _, _, snapshots = solve("sod", *same, cells=16)
    np.testing.assert_allclose(snapshots[-1].fields["rho"], 0.7, atol=1e-9)


def test_gas_at_rest_between_diffuse_walls_stays():
    wall = "{kind='diffuse', T=1.2}"
    same = ["initial.rho=1", "initial.T=1.2", f"boundary.left={wall}", f"boundary.right={wall}"]
    _, _, snapshots = solve("sod", *same, cells=16, nodes=64)
    np.testing.assert_allclose(snapshots[-1].fields["rho"], 1.0, atol=1e-9)


def test_entropy_falls():
    case, _, _ = solve("bgk_smooth", cells=40)
    _v, w = case.velocity.nodes_and_weights()
    entropies = []
    for end in (0.02, 0.06, 0.1):
        overrides = [f"domain.t_end={end}", f"domain.output_times=[{end}]"]
        f = solve("bgk_smooth", *overrides, eps=0.1, cells=40, distribution=True)[2][-1].fields["f"]
        entropies.append(float(np.mean(np.where(f > 0, f * np.log(np.maximum(f, 1e-300)), 0.0) @ w)))
    assert entropies[0] > entropies[1] > entropies[2]


def test_resume_equals_uninterrupted():
    times = ["domain.output_times=[0.05, 0.1]"]
    _, _, whole = solve("bgk_smooth", *times)
    middle = next(s for s in whole if s.fields)
    _, _, rest = solve("bgk_smooth", *times, resume=middle.state)
    np.testing.assert_array_equal(rest[-1].fields["rho"], whole[-1].fields["rho"])
    assert rest[-1].step == whole[-1].step


def plain_python(patch, *modules):
    """Replace every kernel of the modules by its Python function."""
    for module in modules:
        for name, kernel in vars(module).items():
            if hasattr(kernel, "py_func"):
                patch.setattr(module, name, kernel.py_func)


def test_compiled_equals_plain_python(monkeypatch):
    v = np.linspace(-8, 8, 33)
    w = np.full(33, v[1] - v[0])
    compiled, plain = np.empty(33), np.empty(33)
    assert equilibrium(0.8, 0.4, 0.9, v, w, compiled)
    plain_python(monkeypatch, discrete_equilibrium)
    assert equilibrium(0.8, 0.4, 0.9, v, w, plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-13)


def test_equilibria_of_many_cells_do_not_see_each_other():
    """More cells than a tile, one of them hard (nodes that hardly resolve it), one that no equilibrium has."""
    v = np.linspace(-8, 8, 49)
    w = np.full(49, v[1] - v[0])
    rho, u, T = np.linspace(1.0, 2.0, 200), np.linspace(-1.0, 1.0, 200), np.linspace(0.5, 1.5, 200)
    T[150], u[160] = 0.035, 9.0
    out, alone = np.empty((2, 200, 49)), np.empty(49)
    bad = discrete_equilibrium.equilibria(rho, u, T, v, w, out)
    np.testing.assert_array_equal(np.flatnonzero(bad), [160])
    for i in (0, 95, 96, 149, 150, 199):
        assert equilibrium(rho[i], u[i], T[i], v, w, alone)
        np.testing.assert_allclose(out[0, i], alone, rtol=1e-7 if i == 150 else 1e-12, atol=1e-14)
        np.testing.assert_allclose(out[1, i], 2.0 * T[i] * out[0, i], rtol=1e-15)


def test_breakdown_is_named():
    jump = ["initial.rho='piecewise(x < 0, 1, 1e-9)'", "initial.u='piecewise(x < 0, -6, 6)'", "initial.T=0.3"]
    with pytest.raises((NumericalError, BadInput), match=r"x = "):
        solve("sod", *jump, eps=1e-6, cells=40, nodes=33)


def test_maxwellian_is_one_formula_in_three_libraries():
    rho, u, T, v = 0.7, 0.3, 1.2, np.linspace(-5, 5, 21)
    compiled = np.array([maxwell(rho, u, T, node) for node in v])
    tensors = make_maxwellian(torch.exp, torch.sqrt)(*(torch.tensor(a, dtype=torch.float64) for a in (rho, u, T, v)))
    np.testing.assert_allclose(compiled, maxwellian(rho, u, T, v), rtol=1e-14)
    np.testing.assert_allclose(tensors.numpy(), maxwellian(rho, u, T, v), rtol=1e-14)


def test_moments_of_two_components():
    v = np.linspace(-10, 10, 101)
    w = np.full(101, v[1] - v[0])
    f = np.empty((2, 1, 101))
    f[0, 0] = maxwellian(0.5, 0.2, 1.3, v)
    f[1, 0] = 2 * 1.3 * f[0, 0]
    fields = macroscopic(f, v, w)
    assert [float(fields[n][0]) for n in ("rho", "u", "T", "q")] == pytest.approx([0.5, 0.2, 1.3, 0.0], abs=1e-12)


def test_tableaus_are_of_third_order_and_end_with_the_step():
    """Row sums agree; all order conditions to three, those that couple both tableaus too; last rows are the weights."""
    explicit = np.hstack([EXPLICIT, np.zeros((STAGES + 1, 1))])
    c = IMPLICIT.sum(axis=1)
    np.testing.assert_allclose(explicit.sum(axis=1), c, atol=1e-15)
    assert c[-1] == pytest.approx(1.0)
    for b in (IMPLICIT[-1], explicit[-1]):
        assert b @ c == pytest.approx(1 / 2)
        assert b @ c**2 == pytest.approx(1 / 3)
        for matrix in (IMPLICIT, explicit):
            assert b @ matrix @ c == pytest.approx(1 / 6)


def test_claimed_cfl_is_the_linear_stability_limit():
    """Amplification of every Fourier mode of fifth-order upwinding with every relaxation rate: at most one up to 1.25."""
    theta = np.linspace(0.0, 2.0 * np.pi, 181)
    e = [np.exp(1j * m * theta) for m in range(-3, 4)]
    face = (2 * e[1] - 13 * e[2] + 47 * e[3] + 27 * e[4] - 3 * e[5]) / 60.0
    upwind = -(face - face * e[2])
    rates = -np.concatenate([[0.0], np.logspace(-3, 7, 60)])
    largest = {}
    for cfl in (STABLE_CFL, 1.45):
        values = [np.ones((theta.size, rates.size), complex)]
        for i in range(1, STAGES + 1):
            g = values[0] + sum(
                (EXPLICIT[i, j] * cfl * upwind[:, None] + IMPLICIT[i, j] * rates) * values[j] for j in range(i)
            )
            values.append(g / (1.0 - IMPLICIT[i, i] * rates))
        largest[cfl] = np.abs(values[-1]).max()
    assert largest[STABLE_CFL] < 1.0 + 1e-9
    assert largest[1.45] > 1.01


@pytest.mark.parametrize("kind", ["bgk", "esbgk"])
def test_free_molecular_heat_conduction_between_diffuse_walls_stays(kind):
    """Without collisions half a Maxwellian of either wall flies to the other, their densities such that the fluxes cancel."""
    ends = [f"boundary.{side}={{kind='diffuse', T={T}}}" for side, T in (("left", 1.0), ("right", 1.5))]
    name = {"bgk": "bgk_smooth", "esbgk": "esbgk_smooth"}[kind]
    case = read_case(CASES / f"{name}.toml", None, ["velocity.nodes=64", *ends])
    v, w = case.velocity.nodes_and_weights()
    right, left = np.where(v > 0, maxwellian(1.0, 0.0, 1.0, v), 0.0), np.where(v < 0, maxwellian(1.0, 0.0, 1.5, v), 0.0)
    right *= -(left @ (w * v)) / (right @ (w * v))
    f = np.array([right + left, 2.0 * (1.0 * right + 1.5 * left)])[: imex.components_of(case)]
    start = np.repeat(f[:, None], 12, axis=1)
    options = imex.Options(cells=12)
    last = list(imex.march(case, 1e10, options, {"f": start, "t": 0.0, "step": 0}))[-1]
    np.testing.assert_allclose(last.state["f"], start, atol=1e-10)
    conduction = np.sqrt(1.5 / (2.0 * np.pi)) * (1.0 - 1.5) * 0.5 * (case.equation.velocity_dimension + 1)
    np.testing.assert_allclose(last.fields["q"], conduction, rtol=2e-2)  # the nodes cut the Maxwellian in half


@pytest.mark.parametrize("eps", [1.0, 1e-2])
def test_diffuse_walls_pass_no_mass_and_are_of_second_order(eps):
    """Gas between walls that are warmed smoothly: mass is kept to round-off, the error falls nearly like dx^2."""
    wall = "{kind='diffuse', T='1.2 + 2*t**3'}"
    walls = [f"boundary.left={wall}", "boundary.right={kind='diffuse', T=1.2}", "initial.rho=1"]
    walls += ["initial.T=1.2", "domain.t_end=0.6", "domain.output_times=[0.3, 0.6]"]
    means = {}
    for cells in (27, 81, 243):
        snapshots = [s for s in solve("sod", *walls, eps=eps, cells=cells, nodes=64, cfl=1.0)[2] if s.fields]
        for snapshot in snapshots:
            assert snapshot.fields["rho"].mean() == pytest.approx(1.0, abs=1e-13)
        means[cells] = snapshots[-1].fields["rho"]
    exact = means[243]
    coarse = np.linalg.norm(means[27] - exact[4::9]) / np.sqrt(27)
    fine = np.linalg.norm(means[81] - exact[1::3]) / np.sqrt(81)
    assert np.log(coarse / fine) / np.log(3.0) > 1.4


def test_entering_gas_that_equals_the_solution_is_of_second_order():
    """A smooth wave cut out of the periodic solution: in-flow of the uniform gas outside a pulse does not disturb it."""
    pulse = ["initial.rho='1 + 0.2*exp(-(x/0.08)**2)'", "initial.T=1.0", "domain.output_times=[0.05]"]
    gas = "{kind='inflow', rho=1.0, u=0.0, T=1.0}"
    ends = [f"boundary.left={gas}", f"boundary.right={gas}"]
    open_ends = solve("sod", *pulse, *ends, eps=0.1, cells=80)[2][-1].fields["rho"]
    closed = solve("bgk_smooth", *pulse, "initial.u=0", eps=0.1, cells=80)[2][-1].fields["rho"]
    assert np.abs(open_ends - closed)[20:-20].max() < 2e-6


def test_whole_stage_compiled_equals_plain_python():
    """advance(), every kernel of it replaced by its Python function, gives the same step."""
    results = []
    for plain in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if plain:
                plain_python(patch, imex, discrete_equilibrium)
                patch.setattr(imex, "prange", range)
            results.append(solve("sod", "domain.output_times=[0.01]", eps=0.01, cells=10, nodes=24, cfl=1.0)[2][-1])
    for name in ("rho", "u", "T", "q"):
        np.testing.assert_allclose(results[1].fields[name], results[0].fields[name], atol=1e-12)
