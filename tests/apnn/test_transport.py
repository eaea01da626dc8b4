"""Lifts of slab transport against their own equation and known constants; which combinations train."""

import numpy as np
import pytest
import torch

from apnn.inflow import half_space
from apnn.options import train_options_model
from apnn.quadrature import half_range
from apnn.slab import make_lift
from apnn.train import predict, train
from solvers.problem.status import BadInput
from tests.apnn.shipped import read

MIXED = (
    "equation.sigma_s=1 + 3*x",
    "equation.sigma_a=0.5",
    "equation.source=0.3",
    "boundary.left.f=2*v",
    "boundary.right.f=1 - v/2",
)


def test_half_space_problem_has_its_known_constants():
    """F = v: limit 0.710446, at the wall 1/sqrt(3); F = 5 sin v: 3.188932 (problems.md 4.4); isotropic F has no layer."""
    v, w = half_range(24)
    ahead = v[v > 0]
    for F, limit, tolerance in (
        (ahead, 0.710446, 1e-6),
        (5 * np.sin(ahead), 3.188932, 1e-6),
        (1 + 0 * ahead, 1.0, 1e-12),
    ):
        c, rates, amplitudes, shapes = half_space(v, w, F)
        assert abs(c - limit) < tolerance
        assert (rates > 0).all()
        np.testing.assert_allclose(c + amplitudes @ shapes[:, v > 0], F, atol=1e-10)
    c, _, amplitudes, _ = half_space(v, w, ahead)
    assert abs(c + amplitudes.sum() - 3**-0.5) < 1e-10


@pytest.mark.parametrize("eps", [1.0, 0.3, 0.08])
def test_inflow_lift_obeys_the_equation_it_claims(eps):
    """eps f_t + v f_x + sigma f/eps - sigma_S <f>/eps = eps Q - eps S - M for f_lift, <f> of the flight by its own integral."""
    lift = make_lift(read("transport_inflow", *MIXED), 16, "cpu")
    x = torch.tensor([0.02, 0.07, 0.31, 0.77, 0.93], dtype=torch.float64)
    t, eps = torch.full_like(x, 0.06), torch.full_like(x, eps)
    one = torch.ones_like(x)
    f, f_t = torch.func.jvp(lambda s: lift.flight(eps, s, x), (t,), (one,))
    _, f_x = torch.func.jvp(lambda s: lift.flight(eps, t, s), (x,), (one,))
    known = lift.known(eps, t, x)
    density, _ = lift.lifted(eps, t, x)
    sigma = known.sigma_s + eps**2 * known.sigma_a
    loss = sigma[:, None] * f - (known.sigma_s * density)[:, None]
    left = eps[:, None] * f_t + lift.v * f_x + loss / eps[:, None]
    right = (eps * (lift.source(t, x) - known.S))[:, None] - known.M
    torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)


def test_wall_value_and_lift_add_up_to_the_inflow():
    case = read("transport_inflow", *MIXED)
    lift = make_lift(case, 16, "cpu")
    t = torch.tensor([0.01, 0.1], dtype=torch.float64)
    eps = torch.full_like(t, 0.3)
    for side, at in (("left", lift.low), ("right", lift.high)):
        nodes, value = lift.wall(side, eps, t)
        there = lift.flight(eps, t, torch.full_like(t, at))[:, nodes]
        F = getattr(case.boundary, side).f(t=0.0, v=lift.v[nodes].abs().numpy(), eps=1.0)
        np.testing.assert_allclose((there + value).numpy(), np.broadcast_to(F, value.shape), atol=1e-10)


def test_young_beam_has_the_moments_of_its_nodes():
    """Moments by the logarithmic rule against a fine sum."""
    lift = make_lift(read("transport_inflow", "boundary.left.f=1 + v"), 16, "cpu")
    for eps, t, x in ((1.0, 0.1, 0.05), (0.3, 0.1, 0.1), (0.1, 0.02, 0.05)):
        mu = np.linspace(eps * x / t, 1, 400_001)
        mu, step = 0.5 * (mu[1:] + mu[:-1]), mu[1] - mu[0]
        y = (t - eps * x / mu) / eps**2
        f = (1 + mu) * np.exp(-y) * (1 + y + y * y / 2) * np.exp(-x / (eps * mu))
        found = lift.beam(lift.walls["left"], *(torch.tensor([a], dtype=torch.float64) for a in (eps, t, x)))
        np.testing.assert_allclose(found[0].item(), 0.5 * f.sum() * step, rtol=1e-6)
        np.testing.assert_allclose(found[1].item(), 0.5 * (mu * f).sum() * step / eps, rtol=1e-6)


def test_waves_of_one_phase_need_half_the_columns():
    one = make_lift(read("transport_periodic"), 8, "cpu")
    assert one.waves == [2]
    assert one.columns.tolist() == [[0, 1] * 4]
    odd = make_lift(read("transport_periodic", "initial.f=2 + cos(4*pi*x) + v*sin(2*pi*x + 0.3)"), 8, "cpu")
    assert odd.waves == [1, 2]
    assert odd.columns.shape == (4, 8)
    rough = make_lift(read("transport_periodic", "initial.f=1/(1.2 + cos(2*pi*x))"), 8, "cpu")
    assert rough.columns is None


SMALL = {"points": 16, "tasks": 4, "width": 8, "velocities": 8, "steps": 3, "second_steps": 5}


def options(case, **changes):
    return train_options_model(case.equation.kind).model_validate({**case.train, **SMALL, **changes})


@pytest.mark.parametrize("network", ["mlp", "separable"])
@pytest.mark.parametrize("formulation", ["transport_micro_macro", "transport_parity", "transport_pinn"])
@pytest.mark.parametrize(
    "name", ["transport_periodic", "transport_inflow", "transport_variable_scattering", "transport_boundary_layer"]
)
def test_every_combination_trains(name, formulation, network):
    case = read(name)
    chosen = options(case, formulation=formulation, network=network)
    *_, last = train(case, chosen)
    assert last.progress == 1.0
    assert np.isfinite(last.scalars["loss"])
    fields = predict(case, chosen, last.state, [1.0, 1e-2, 1e-8], [0.02, 0.1], np.linspace(*case.domain.x, 9))
    assert all(np.isfinite(field).all() for field in fields.values())


REFUSED = {
    "initial f = 0": ("transport_inflow", ("initial.f=1 + v**2",), {}, "f = 0 at t = 0"),
    "steady in-flow": ("transport_inflow", ("boundary.left.f=t",), {}, "does not depend on t"),
    "mixed ends": ("transport_inflow", ("boundary.right=specular",), {}, "periodic or in-flow"),
    "even nodes": ("transport_inflow", (), {"velocities": 9}, "even number"),
    "even parities": ("transport_periodic", (), {"velocities": 9, "formulation": "transport_parity"}, "even number"),
    "nothing": ("transport_inflow", ("boundary.left.f=0",), {}, "solution is zero"),
    "mixing waves": ("transport_periodic", ("equation.sigma_s=1 + x",), {}, "constant sigma_s"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_go_together_is_said(what):
    name, overrides, changes, message = REFUSED[what]
    case = read(name, *overrides)
    with pytest.raises(BadInput, match=message):
        next(train(case, options(case, **changes)))


@pytest.mark.parametrize("setting", [("equation.sigma_s=2.0",), ("equation.sigma_a=0.7", "equation.sigma_s=0.5")])
def test_short_training_reaches_the_exact_decay(setting):
    """Constant coefficients other than one: the mean decays like exp(-sigma_A t), the wave like the diffusion equation."""
    case = read("transport_periodic", "initial.f=1 + cos(4*pi*x)", *setting)
    chosen = options(case, network="separable", points=32, width=12, steps=0, second_steps=300)
    *_, last = train(case, chosen)
    x = np.linspace(0, 1, 33)
    rho = predict(case, chosen, last.state, [1e-4], [0.02], x)["rho"][0, 0]
    sigma_s, sigma_a = (float(getattr(case.equation, name).constant) for name in ("sigma_s", "sigma_a"))
    exact = np.exp(-sigma_a * 0.02) * (1 + np.exp(-16 * np.pi**2 * 0.02 / (3 * sigma_s)) * np.cos(4 * np.pi * x))
    assert np.linalg.norm(rho - exact) / np.linalg.norm(exact) < 0.01


@pytest.mark.parametrize("name", ["transport_inflow", "transport_variable_scattering"])
def test_points_are_dense_where_the_solution_is_steep(name):
    """Inside the domain; a share within three diffusion lengths of every lively wall and one within its mean free path."""
    case = read(name)
    lift = make_lift(case, 8, "cpu")
    square = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(4096, dtype=torch.float64)
    eps = torch.full((4096,), 1e-2, dtype=torch.float64)
    t, x = lift.stratify(eps, square[:, 0], square[:, 1])
    assert (t > 0).all()
    assert (t <= case.domain.t_end).all()
    assert (t < 1e-2 * case.domain.t_end).double().mean() > 0.1
    assert (x >= 0).all()
    assert (x <= 1).all()
    for wall in lift.lively:
        s = lift.distance(wall, x)
        assert (s < 3 * lift.length(wall, eps, t)).double().mean() > 0.25
        assert (s < eps / wall.sigma).double().mean() > 0.03
