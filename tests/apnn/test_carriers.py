"""Boltzmann-Poisson: the lift's own equations, exact and limit solutions in place of the network, and what is exact in it."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from apnn.carriers import Carriers
from apnn.features import with_tangents
from apnn.formulations.semiconductor_micro_macro import MACRO, Solution
from apnn.options import train_options_model
from apnn.train import Model, predict, train
from solvers.limits.drift_diffusion import Limit
from solvers.problem.status import BadInput
from tests.apnn import shipped
from tests.tangents import tangents

read = partial(shipped.read, "diode")
SMALL = {"points": 16, "tasks": 4, "width": 8, "velocities": 8, "steps": 3, "second_steps": 5, "method": "ls"}
#: rho = e^Phi, Phi = 0.3 sin 2 pi x: an equilibrium with its field, for beta = 0.05
EQUILIBRIUM = (
    "equation.beta=0.05",
    "equation.doping=exp(0.3*sin(2*pi*x)) + 0.05*0.3*4*pi**2*sin(2*pi*x)",
    "initial.rho=exp(0.3*sin(2*pi*x))",
    "boundary.right.potential=0.0",
)
#: fields of 100 at the start
CHARGED = ("initial.rho=1", "knudsen.train=[1e-4, 1e-2]")
UNIFORM = ("equation.doping=1", "initial.rho=1")


def options(case, **changes):
    chosen = {**case.train, **SMALL, "formulation": "semiconductor_micro_macro", **changes}
    return train_options_model(case.equation.kind).model_validate(chosen)


def points(eps):
    t, x = torch.meshgrid(
        torch.tensor([1e-5, 2e-4, 4e-3, 0.03], dtype=torch.float64),
        torch.tensor([0.03, 0.27, 0.31, 0.55, 0.72, 0.9], dtype=torch.float64),
        indexing="ij",
    )
    return torch.full_like(t.flatten(), eps), t.flatten(), x.flatten()


@pytest.mark.parametrize("eps", [0.1, 1e-2, 1e-4])
@pytest.mark.parametrize(
    ("overrides", "carriers", "charge"),
    [((), 1e-4, 1e-6), (("initial.rho=1 + 0.5*sin(2*pi*x)**4",), 2e-4, 1e-3), (("initial.rho=1",), 2e-4, 1e-3)],
)
def test_lift_keeps_the_carriers_and_obeys_poisson(eps, overrides, carriers, charge):
    """By formulas; where the data are not neutral, by a table of drift and diffusion, of second order in x."""
    lift = Carriers(read(*overrides), 1, "cpu")
    rho, E, Phi, J = with_tangents(lift.known, *points(eps)).unbind(-1)
    inside = (points(eps)[2] > 0.2) & (points(eps)[2] < 0.8)  # beyond the contacts the data are continued
    scale = rho[1].abs().max()
    assert scale > 1.0
    assert (rho[1] + J[2])[inside].abs().max() < carriers * scale
    doping = lift.clamped(lift.doping, points(eps)[2])
    torch.testing.assert_close(lift.beta * E[2] + rho[0], doping, rtol=0.0, atol=charge)
    torch.testing.assert_close(E[0], -Phi[2], rtol=0.0, atol=charge * E[0].abs().max())
    t = points(eps)[1][:2]
    ends = lift.known(torch.full_like(t, eps), t, torch.tensor([0.0, 1.0], dtype=t.dtype))
    torch.testing.assert_close(ends[:, 2], torch.tensor([0.0, 5.0], dtype=t.dtype), rtol=0.0, atol=1e-9)
    field_t = lift.beta * E[1] - J[0]  # d_t E = J/beta up to a function of time
    for row in field_t.view(4, 6)[:, 1:5]:
        assert (row - row[0]).abs().max() < carriers * scale


def test_charge_of_the_start_is_that_of_drift_and_diffusion():
    """Fields of 100 between rho_0 = 1 and c: exact at t = 0, gone after some beta, and the limit for eps -> 0."""
    case = read("initial.rho=1")
    lift = Carriers(case, 3, "cpu")
    x = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    for eps in (0.1, 1e-4):
        start = lift.known(torch.full_like(x, eps), torch.full_like(x, 1e-13), x)
        torch.testing.assert_close(start[:, 0], torch.ones_like(x), rtol=0.0, atol=1e-6)
        assert start[:, 1].abs().max() > 95.0
        assert start[:, 3].abs().max() < (1e-6 if eps > 1e-2 else 0.1)
    times = np.array([5e-4, 5e-3, 0.05])
    exact = Limit().solve(case, {"x": x.numpy()}, times)
    for k, t in enumerate(times):
        found = lift.known(torch.full_like(x, 1e-6), torch.full_like(x, t), x).T
        for field, value in zip(("rho", "E", "Phi", "J"), found, strict=True):
            np.testing.assert_allclose(value, exact[field][k], atol=2e-3 * np.abs(exact[field][k]).max(), err_msg=field)


def test_lift_starts_from_the_data_and_spreads_as_particles_do():
    """Width: v t/eps at first, 2 theta t at last; the two branches of the mean square way meet."""
    lift = Carriers(read("equation.beta=1e9"), 1, "cpu")
    eps, x = torch.full((3,), 0.1, dtype=torch.float64), torch.tensor([0.2, 0.3, 0.65], dtype=torch.float64)
    torch.testing.assert_close(
        lift.known(eps, 0 * x + 1e-12, x)[:, 0], lift.clamped(lift.start, x), rtol=1e-6, atol=1e-9
    )
    for t, width in ((1e-6, 1e-5), (1.0, (2 * (1.0 - 0.01)) ** 0.5)):
        np.testing.assert_allclose(lift.width(eps, 0 * x + t).numpy(), width, rtol=1e-4)
    y = torch.tensor([0.999e-2, 1.001e-2], dtype=torch.float64)
    exact = y + torch.expm1(-y)
    np.testing.assert_allclose((lift.way(torch.ones_like(y), y) / exact).numpy(), 1.0, rtol=1e-9)


def test_lifted_modes_obey_free_flight_with_collisions_to_come():
    """For t << eps^2: eps d_t g_n + sqrt(n) d_x g_{n-1} + sqrt(n+1) d_x g_{n+1} vanishes, g_0 = rho_b/eps, up to terms t/eps^2."""
    lift = Carriers(read("equation.beta=1e3"), 6, "cpu")
    t, x = torch.full((5,), 2e-3, dtype=torch.float64), torch.linspace(0.22, 0.38, 5, dtype=torch.float64)
    for eps, tolerance in ((1.0, 0.02), (0.02, None)):  # after five mean free times collisions have acted
        eps_ = torch.full_like(t, eps)
        known = with_tangents(partial(lift.known, modes=6), eps_, t * eps, x)
        g = torch.cat([known[..., :1] / eps, known[..., 3:]], dim=-1)
        n = torch.arange(1.0, 6.0, dtype=torch.float64)
        moved = n.sqrt() * g[2, :, :5] + (n + 1.0).sqrt() * g[2, :, 2:]
        rest = (eps * g[1, :, 1:6] + moved).abs().max() / moved.abs().max()
        assert (float(rest) < tolerance) if tolerance else (float(rest) > 0.05)


@pytest.mark.parametrize("eps", [0.1, 0.02236, 1e-2, 1e-4])
def test_response_is_that_of_a_homogeneous_plasma(eps):
    lift = Carriers(read(), 1, "cpu")
    for t in (1e-5, 1e-3, 0.02):
        matrix = np.array([[0.0, -1.0 / 0.002], [1.0 / eps**2, -1.0 / eps**2]])  # (Y, -beta Y')
        exact = expm(t * matrix)[:, 0]
        found = lift.response(*(torch.tensor([value], dtype=torch.float64) for value in (eps, t)))
        np.testing.assert_allclose([float(value) for value in found], exact, atol=1e-6)


def largest(case, eps, make, velocities=8, current=None):
    """Largest entry of every residual for the unknowns that `make(t, x, eps, modes)` returns: rho, E, Phi (B,), g (B, modes).

    current   I(t), by default the mean of J
    """
    formulation = Model(case, options(case, velocities=velocities), "cpu").formulation
    batch = formulation.prepare(*points(eps))
    parts = []
    for k in range(4):
        found = tangents(lambda t, x, k=k: make(t, x, batch.eps, velocities - 1)[k], batch.t, batch.x)
        parts.append(torch.stack(found, dim=-3 if found[0].ndim > 1 else -2))
    rho, E, Phi, g = parts
    total = torch.zeros_like(rho)
    total[0] = g[0, :, 0].mean() if current is None else current(batch.t)
    rows = formulation.residuals(Solution(rho, E, Phi, total, g), batch)
    assert set(rows) == set(formulation.residual_names)
    return {name: float(row.abs().max()) for name, row in rows.items()}


@pytest.mark.parametrize("eps", [0.1, 1e-3])
def test_equilibrium_leaves_no_residual(eps):
    def equilibrium(t, x, eps, modes):
        phi = 0.3 * torch.sin(2 * torch.pi * x)
        E = -0.3 * 2 * torch.pi * torch.cos(2 * torch.pi * x)
        return phi.exp(), E, phi, torch.zeros_like(x)[..., None].expand(*x.shape, modes)

    case = read(*EQUILIBRIUM)
    assert max(largest(case, eps, equilibrium).values()) < 1e-12
    turned = largest(case, eps, lambda *p: (equilibrium(*p)[0], -equilibrium(*p)[1], *equilibrium(*p)[2:]))
    assert min(turned["charge"], turned["field"], turned["flux"]) > 0.1


def test_uniform_field_accelerates_as_the_modes_say():
    """rho = 1, E = -5: eps^2 g_n' + eps sqrt(n) E g_{n-1} + r_n g_n = 0, g_0 = rho/eps, by a matrix exponential."""
    eps, n = 0.1, np.arange(1, 8)
    matrix = -np.diag(np.append(0.0, 1.0 + eps * 300.0 * np.where(n > 1, (n / 7.0) ** 8, 0.0))) / eps**2
    matrix[n, n - 1] = 5.0 * np.sqrt(n) / eps
    table = {float(t): expm(matrix * float(t))[:, 0] for t in points(eps)[1]}

    def accelerated(t, x, eps_, modes):
        a = torch.tensor(np.array([table[float(s)] for s in t.detach()]))
        rate = a @ torch.tensor(matrix).T
        g = (a + rate * (t - t.detach())[..., None])[..., 1:] / eps
        return torch.ones_like(x), -5.0 + 0 * x, 5.0 * x, g

    def current(t):
        return torch.tensor([table[float(s)][1] / eps for s in t])

    formulation_rows = largest(read(*UNIFORM), eps, accelerated, current=current)
    for name in ("macro", "ampere", "current", "flux", "micro", "charge", "field"):
        assert formulation_rows[name] < 1e-9, name


@pytest.mark.parametrize("right", [True, False])
def test_limit_is_drift_and_diffusion(right):
    """rho = 1 + t sin(2 pi x) and E = -5: with g_1 = -(rho_x + rho E) the flux row vanishes, the macro row is that equation."""
    k = 2 * torch.pi

    def limit(t, x, eps, modes):
        rho, rho_x = 1 + t * torch.sin(k * x), t * k * torch.cos(k * x)
        g1 = -(rho_x - 5.0 * rho) * (1.0 if right else 1.1)
        g = torch.cat([g1[..., None], torch.zeros_like(g1)[..., None].expand(*x.shape, modes - 1)], dim=-1)
        return rho, -5.0 + 0 * x, 5.0 * x, g

    sizes = largest(read(*UNIFORM), 1e-6, limit)
    assert (sizes["flux"] < 1e-4) == right
    assert sizes["micro"] < 1e-3
    batch_eps, batch_t, batch_x = points(1e-6)
    q = Carriers(read(*UNIFORM), 7, "cpu").crowded(batch_eps, batch_t, batch_x)
    rate = torch.sin(k * batch_x) - (
        -(k**2) * batch_t * torch.sin(k * batch_x) - 5.0 * batch_t * k * torch.cos(k * batch_x)
    )
    if right:
        assert abs(sizes["macro"] - MACRO * float((rate * (batch_t + 0.002) / q.sqrt()).abs().max())) < 1e-3


@pytest.mark.parametrize("eps", [0.1, 1e-3])
def test_lacking_voltage_weighs_as_the_current_that_it_drives(eps):
    """A field E + r in place of E = -Phi_x, and a current J + r in place of J = I: the same rows but for the density."""

    def moved(field, flux):
        def uniform(t, x, eps, modes):
            g = torch.zeros_like(x)[..., None].repeat(1, modes)
            g[:, 0] += flux
            return torch.ones_like(x), field + 0 * x, 0 * x, g

        return largest(read(*UNIFORM), eps, uniform, current=torch.zeros_like)

    assert moved(0.1, 0.0)["field"] == pytest.approx(moved(0.0, 0.1)["ampere"])
    assert moved(0.1, 0.0)["flux"] == pytest.approx(moved(0.0, 0.1)["flux"])


@pytest.mark.parametrize("eps", [0.1, 1e-3])
def test_second_mode_weighs_as_it_drives_the_flux(eps):
    """The same error of g_2 and of g_1: the ratio of the rows is 20 eps/(1 + 20 eps), six modes together in the mean of theirs."""

    def moved(mode):
        def uniform(t, x, eps, modes):
            g = torch.zeros_like(x)[..., None].repeat(1, modes)
            g[:, mode] += 0.1
            return torch.ones_like(x), 0 * x, 0 * x, g

        return largest(read(*UNIFORM), eps, uniform, current=torch.zeros_like)

    ratio = moved(1)["micro"] / moved(0)["flux"]
    assert ratio == pytest.approx(6**0.5 * 20.0 * eps / (1.0 + 20.0 * eps), rel=5e-3)


def test_data_and_potentials_are_exact():
    case = read()
    model = Model(case, options(case), "cpu")
    theta = model.network.initial(torch.Generator().manual_seed(0))
    state = {"theta": theta.numpy()}
    first = predict(case, options(case), state, [0.1, 1e-3], [1e-13], np.linspace(0, 1, 41))
    charged = read(*CHARGED)
    loaded = predict(charged, options(charged), state, [0.1, 1e-3], [1e-13], np.linspace(0, 1, 41))
    np.testing.assert_allclose(loaded["rho"][:, 0], 1.0, atol=1e-6)
    np.testing.assert_allclose(loaded["E"][:, 0, 20], -5.0, atol=1e-4)  # by symmetry
    np.testing.assert_allclose(loaded["E"][:, 0, 0] - loaded["E"][:, 0, 20], 0.999 * 0.2 / 0.002, atol=1e-2)
    doping = case.equation.doping(x=np.linspace(0, 1, 41))
    np.testing.assert_allclose(first["rho"][:, 0], np.stack([doping] * 2), atol=1e-6)
    np.testing.assert_allclose(first["E"][:, 0], -5.0, atol=1e-4)
    later = predict(case, options(case), state, [0.1, 1e-3], [0.01, 0.05], np.array([0.0, 1.0]))
    np.testing.assert_allclose(later["Phi"], np.broadcast_to([0.0, 5.0], (2, 2, 2)), atol=1e-12)
    assert (later["rho"] > 0).all()


@pytest.mark.parametrize("overrides", [(), CHARGED])
def test_short_training_predicts_finite_fields(overrides):
    case = read(*overrides)
    *_, last = train(case, options(case))
    assert np.isfinite(last.scalars["loss"])
    fields = predict(case, options(case), last.state, [0.1, 1e-8], [0.005, 0.05], np.linspace(0, 1, 9))
    assert all(np.isfinite(field).all() for field in fields.values())


def test_odd_numbers_of_modes_are_refused():
    case = read()
    with pytest.raises(BadInput, match="even number"):
        next(train(case, options(case, velocities=9)))


def test_data_that_drive_carriers_faster_than_they_fly_are_refused():
    with pytest.raises(BadInput, match=r"drives carriers to .* thermal speeds at eps = 0\.1.*neutral"):
        Model(read("initial.rho=1"), options(read()), "cpu")
    Model(read(*CHARGED), options(read()), "cpu")


def test_what_is_left_to_the_network_vanishes_with_eps_where_the_lift_is_the_limit():
    case = read(*CHARGED)
    model = Model(case, options(case), "cpu")
    theta = model.network.initial(torch.Generator().manual_seed(0))
    x, times = np.linspace(0, 1, 21), np.array([5e-3, 0.05])
    found = predict(case, options(case), {"theta": theta.numpy()}, [1e-6], times, x)
    exact = Limit().solve(case, {"x": x}, times)
    for field in ("rho", "J", "E", "Phi"):
        np.testing.assert_allclose(found[field][0], exact[field], atol=3e-3 * np.abs(exact[field]).max(), err_msg=field)
