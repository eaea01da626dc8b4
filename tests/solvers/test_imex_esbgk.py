"""ES-BGK (imex_esbgk, trapezoid_2d): relaxation rates, order, conservation, limits, symmetry, bad input."""

from pathlib import Path

import numpy as np
import pytest

from solvers.limits.euler import Limit, State, riemann
from solvers.problem.read import read_case
from solvers.problem.riemann_states import middle_states
from solvers.problem.status import BadInput
from solvers.schemes.imex import gaussian_temperatures, macroscopic
from solvers.schemes.imex_esbgk import Scheme

CASES = Path(__file__).parents[2] / "cases"


def solve(name, *overrides, eps=1e-2, cells=36, nodes=48, cfl=1.0, resume=None):
    settings = [f"velocity.nodes={nodes}", f"reference.cells={cells}", f"reference.cfl={cfl}"]
    case = read_case(CASES / f"{name}.toml", overrides=[*settings, "domain.output_times=[0.1]", *overrides])
    scheme = Scheme()
    options = scheme.Options.model_validate(case.reference)
    return case, scheme.coordinates(case, options), list(scheme.march(case, eps, options, resume))


UNIFORM = ("initial.rho=1", "initial.u=0", "initial.T=1.5")


@pytest.mark.parametrize("nu", [-1.0, -0.5, 0.0, 0.6])
def test_stress_and_heat_flux_decay_at_the_exact_rates(nu):
    """No gradients: sigma ~ exp(-(1-nu) t/eps), q ~ exp(-t/eps); the ratio of the rates is the Prandtl number."""
    setting = [*UNIFORM, f"equation.nu={nu}"]
    case, _, _ = solve("esbgk_smooth", *setting, cells=8, nodes=96)
    v, w = case.velocity.nodes_and_weights()
    f1 = 0.7 * np.exp(-((v - 0.6) ** 2) / 1.2) / np.sqrt(1.2 * np.pi)
    f1 += 0.3 * np.exp(-((v + 1.4) ** 2) / 3.6) / np.sqrt(3.6 * np.pi)
    start = np.tile(np.stack([f1, 2.0 * 0.8 * f1])[:, None], (1, 8, 1))
    first = macroscopic(start, v, w, 1)
    state = {"f": start, "t": 0.0, "step": 0}
    _, _, found = solve("esbgk_smooth", *setting, eps=0.05, cells=8, nodes=96, cfl=0.1, resume=state)
    last = found[-1].fields
    assert first["q"][0] != pytest.approx(0.0, abs=1e-2)
    rates = [-0.5 * np.log(last[name][0] / first[name][0]) for name in ("sigma", "q")]  # t/eps = 2
    np.testing.assert_allclose(rates, [1.0 - nu, 1.0], rtol=1e-5)
    assert rates[1] / rates[0] == pytest.approx(case.equation.prandtl, rel=2e-5)
    assert last["T"][0] == pytest.approx(first["T"][0], rel=1e-13)


@pytest.mark.parametrize("eps", [1.0, 1e-2, 1e-6])
def test_order_in_time(eps):
    """Same grid, halved steps, towards a fine step."""
    runs = [solve("esbgk_smooth", eps=eps, cells=24, cfl=cfl)[2][-1].fields["rho"] for cfl in (1.2, 0.6, 0.1)]
    coarse, middle = (np.linalg.norm(run - runs[2]) for run in runs[:2])
    assert np.log2(coarse / middle) > 2.2


def test_order_in_space():
    setting = ("domain.output_times=[0.02]",)
    fine = solve("esbgk_smooth", *setting, eps=1.0, cells=162, cfl=0.5)[2][-1].fields["rho"]
    errors = []
    for cells in (18, 54):
        coarse = solve("esbgk_smooth", *setting, eps=1.0, cells=cells, cfl=0.2)[2][-1].fields["rho"]
        shared = fine[162 // cells // 2 :: 162 // cells]
        errors.append(np.linalg.norm(coarse - shared) / np.sqrt(cells))
    assert np.log(errors[0] / errors[1]) / np.log(3.0) > 4.0


@pytest.mark.parametrize(("eps", "tau"), [(1.0, "one"), (1e-3, "filbet_jin"), (1e-6, "one")])
def test_conserves_to_round_off(eps, tau):
    drift = solve("esbgk_smooth", f"equation.tau={tau}", eps=eps)[2][-1].scalars
    assert set(drift) == {"drift_mass", "drift_momentum", "drift_energy"}
    assert max(abs(value) for value in drift.values()) < 2e-13


def test_limit_at_fixed_step():
    """eps -> 0 with the same grid and number of steps gives the Euler solution with gamma = 2; stress vanishes."""
    case, axes, found = solve("esbgk_smooth", eps=1e-6, cells=81)
    limit = Limit().solve(case, axes, np.array([0.1]))
    for name in ("rho", "T"):
        assert np.linalg.norm(found[-1].fields[name] - limit[name][0]) / np.linalg.norm(limit[name][0]) < 3e-6
    assert np.abs(found[-1].fields["A"]).max() < 2e-5
    assert found[-1].step == solve("esbgk_smooth", eps=1.0, cells=81)[2][-1].step


def test_free_transport_is_exact():
    """eps = 1e8: rho(t, x) is the integral of the initial Maxwellians along characteristics."""
    case, axes, found = solve("esbgk_smooth", eps=1e8, cells=99, nodes=64)
    v, w = case.velocity.nodes_and_weights()
    back = axes["x"][:, None] - 0.1 * v
    rho, T = case.initial.rho(x=back, eps=1.0), case.initial.T(x=back, eps=1.0)
    f1 = rho * np.exp(-(v**2) / (2.0 * T)) / np.sqrt(2.0 * np.pi * T)
    exact = macroscopic(np.stack([f1, 2.0 * T * f1]), v, w, 1)
    for name in ("rho", "T", "q", "A"):
        np.testing.assert_allclose(found[-1].fields[name], exact[name], atol=2e-5)


def test_nu_matters_and_constant_state_stays():
    fields = [solve("esbgk_smooth", f"equation.nu={nu}", eps=0.1)[2][-1].fields["T"] for nu in (-0.5, 0.0)]
    assert np.abs(fields[0] - fields[1]).max() > 1e-4
    still = ("initial.rho=0.7", "initial.u=0.3", "initial.T=1.1")
    found = solve("esbgk_smooth", *still)[2][-1].fields
    for name, value in (("rho", 0.7), ("u", 0.3), ("T", 1.1), ("q", 0.0), ("A", 0.0)):
        np.testing.assert_allclose(found[name], value, atol=2e-13)


def test_mirror_symmetry():
    mirrored = ("initial.rho='1 - 0.5*sin(2*pi*x)'", "initial.T='1 + 0.5*sin(-2*pi*x + 0.2)'")
    forward, backward = (solve("esbgk_smooth", *change)[2][-1].fields for change in ((), mirrored))
    np.testing.assert_allclose(backward["T"], forward["T"][::-1], rtol=1e-11)
    np.testing.assert_allclose(backward["q"], -forward["q"][::-1], atol=1e-11)


def test_resume_equals_uninterrupted():
    times = ("domain.output_times=[0.05, 0.1]",)
    whole = solve("esbgk_smooth", *times)[2]
    rest = solve("esbgk_smooth", *times, resume=next(s for s in whole if s.fields).state)[2]
    np.testing.assert_array_equal(rest[-1].fields["q"], whole[-1].fields["q"])


def test_compiled_equals_plain_python():
    assert gaussian_temperatures(1.2, 0.9, 3.0, -0.5, 1.0) == pytest.approx(
        gaussian_temperatures.py_func(1.2, 0.9, 3.0, -0.5, 1.0), rel=1e-15
    )
    # the implicit stage: Theta11 of g + lam (G - f) over 1 + lam is what the Gaussian was made of
    T11, T22 = gaussian_temperatures(1.2, 0.9, 3.0, -0.5, 1.0)
    assert pytest.approx(1.5 * 1.2 - 0.5 * (0.9 + 3.0 * T11) / 4.0) == T11
    assert pytest.approx(2.4) == T11 + T22


def test_middle_states_are_those_of_the_exact_solution():
    left, right = (1.0, 2.5 * np.sqrt(2.0), 1.0), (0.125, 0.0, 0.25)
    found = middle_states(left, right, 2.0)
    exact = np.array(riemann(State(*left), State(*right), 2.0, np.array([2.9, 3.3]))).T
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    assert found[1] == pytest.approx((0.35884, 3.07045, 5.12675), rel=2e-5)  # problems.md section 3


def test_a_box_that_loses_the_hot_state_is_refused():
    with pytest.raises(BadInput, match=r"velocity.range .*hot state right of the contact.*T = 5.127, loses .*mass"):
        solve("esbgk_riemann", "velocity.range=[-10.0, 10.0]")
    with pytest.raises(BadInput, match=r"velocity.range2 .*hot state right"):
        solve("esbgk_riemann", "velocity.range2=[-8.0, 8.0]")
    with pytest.raises(BadInput, match=r"velocity.nodes .*too few"):
        solve("esbgk_riemann", nodes=24)
    with pytest.raises(ValueError, match="holds no f"):
        Scheme.Options.model_validate({"scheme": "imex_esbgk", "distribution": True})
