"""The lift of transport in the plane against its own equation, its averages against a fine sum, and the network's symmetry."""

from functools import partial

import numpy as np
import pytest
import torch

from apnn.options import train_options_model
from apnn.plane import SIDES, Plane
from apnn.train import Model, predict, train
from solvers.problem.status import BadInput
from tests.apnn import shipped

read = partial(shipped.read, "transport_2d")
MIXED = (
    "equation.sigma_s=1 + 0.5*x + 0.25*y**2",
    "equation.sigma_a=0.5 + 0.1*x",
    "equation.source=0.3 + 0.1*y",
    "boundary.left.f=1 + 0.5*y",
    "boundary.top.f=0.4",
)
SMALL = {"points": 16, "tasks": 4, "width": 8, "velocities": 8, "steps": 3, "second_steps": 5, "method": "ls"}


def tensors(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def options(case, **changes):
    return train_options_model(case.equation.kind).model_validate({**case.train, **SMALL, **changes})


@pytest.mark.parametrize("eps", [1.0, 0.3])
def test_lift_is_a_free_flight_and_source_and_flight_make_up_the_equation(eps):
    """eps^2 f_t + eps omega.grad f + sigma f = 0 for f_lift, and S = Q + sigma_S <f_lift>/eps^2."""
    case = read(*MIXED)
    lift = Plane(case, 16, "cpu")
    x, y = tensors([-0.95, -0.7, 0.1, 0.6, 0.9], [0.2, -0.8, 0.93, 0.5, 0.97])
    t, eps = torch.full_like(x, 0.31), torch.full_like(x, eps)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    slopes = [
        torch.func.jvp(lambda *p: lift.flight(eps, *p), (t, x, y), tangent)
        for tangent in ((one, zero, zero), (zero, one, zero), (zero, zero, one))
    ]
    f, (f_t, f_x, f_y) = slopes[0][0], (slope for _, slope in slopes)
    assert (f.abs() > 1e-3).double().mean() > 0.2
    known = lift.known(eps, t, x, y)
    eps_, sigma = eps[:, None], (known.sigma_s + eps**2 * known.sigma_a)[:, None]
    left = eps_**2 * f_t + eps_ * (lift.v1 * f_x + lift.v2 * f_y) + sigma * f
    torch.testing.assert_close(left, torch.zeros_like(left), rtol=0.0, atol=1e-7)
    density = lift.lifted(eps, t, x, y)[0]
    torch.testing.assert_close(known.S, lift.source(t, x, y) + known.sigma_s / eps**2 * density)


def test_averages_of_the_lift_are_those_of_a_fine_sum():
    case = read(*MIXED)
    lift = Plane(case, 16, "cpu")
    for eps, t, x, y in (
        (1.0, 0.4, -0.9, 0.3),
        (1.0, 0.5, -0.8, 0.85),
        (0.2, 0.05, 0.99, -0.5),
        (0.3, 0.4, -0.2, -0.9),
    ):
        angles = (torch.arange(20_000, dtype=torch.float64) + 0.5) * (2 * torch.pi / 20_000)
        lift.v1, lift.v2 = torch.cos(angles), torch.sin(angles)
        point = tensors([eps], [t], [x], [y])
        f = lift.flight(*point)[0]
        found = [float(value[0]) for value in lift.lifted(*point)]
        exact = [float(f.mean()), float((lift.v1 * f).mean()) / eps, float((lift.v2 * f).mean()) / eps]
        np.testing.assert_allclose(found, exact, rtol=2e-4, atol=2e-5)


def test_sides_and_lift_add_up_to_the_inflow():
    case = read(*MIXED)
    lift = Plane(case, 16, "cpu")
    t, place = tensors([0.05, 0.4], [0.3, -0.6])
    eps = torch.full_like(t, 0.4)
    for side, (axis, end) in SIDES.items():
        at = torch.full_like(t, lift.box[axis][end])
        x, y = (at, place) if axis == 0 else (place, at)
        entering, value = lift.wall(side, eps, t, x, y)
        whole = lift.flight(eps, t, x, y)[:, entering] + value[:, None]
        wanted = lift.inflow(side, t, x, y)[:, None].expand_as(whole)
        torch.testing.assert_close(whole, wanted)


def test_symmetric_data_make_a_symmetric_network():
    """Mirror images have equal density and the mirrored flux; data without a symmetry are not forced into one."""
    for overrides, mirrored in (
        ((), (True, True)),
        (("boundary.left.f=1",), (False, True)),
        (("equation.sigma_s=1 + 0.1*x*y",), (False, False)),
    ):
        case = read(*overrides)
        model = Model(case, options(case, formulation="transport_2d_micro_macro"), "cpu")
        assert model.formulation.lift.mirrored == mirrored
        theta = model.network.initial(torch.Generator().manual_seed(1))
        eps, t, x, y = tensors([0.2, 0.2, 0.2], [0.3, 0.3, 0.3], [0.4, -0.4, 0.4], [0.7, 0.7, -0.7])
        outputs = model.network(theta, model.formulation.features(eps, t, x, y).unsqueeze(-3))
        found = model.formulation.fields_of(outputs, eps, t, x, y)
        for axis, image, flux in ((0, 1, "J1"), (1, 2, "J2")):
            same = abs(float(found["rho"][image] - found["rho"][0])) < 1e-12
            turned = abs(float(found[flux][image] + found[flux][0])) < 1e-12
            assert same == turned == mirrored[axis]


def test_points_lie_inside_and_crowd_at_the_walls():
    lift = Plane(read(), 8, "cpu")
    cube = torch.quasirandom.SobolEngine(3, scramble=True, seed=0).draw(4096, dtype=torch.float64)
    eps = torch.full((4096,), 1e-2, dtype=torch.float64)
    t, x, y = lift.stratify(eps, *cube.unbind(-1))
    assert ((t > 0) & (t <= 0.5)).all()
    for axis, place in enumerate((x, y)):
        assert (place.abs() <= 1).all()
        assert abs(float((place > 0).double().mean()) - 0.5) < 0.02
        for s in lift.distances(axis, place):
            assert (s < 1e-2).double().mean() > 0.03


@pytest.mark.parametrize("network", ["mlp", "separable"])
def test_short_training_predicts_finite_fields(network):
    case = read()
    chosen = options(case, formulation="transport_2d_micro_macro", network=network)
    *_, last = train(case, chosen)
    assert np.isfinite(last.scalars["loss"])
    fields = predict(case, chosen, last.state, [1.0, 1e-8], [0.1, 0.5], np.linspace(-1, 1, 5), np.linspace(-1, 1, 4))
    assert all(field.shape == (2, 2, 5, 4) and np.isfinite(field).all() for field in fields.values())


REFUSED = {
    "initial": (("initial.f=1",), {}, "f = 0 at t = 0"),
    "sides": (("boundary.left=specular",), {}, "in-flow sides"),
    "anisotropic": (("boundary.left.f=v1",), {}, "depends on x, y alone"),
    "directions": ((), {"velocities": 10}, "multiple of four"),
    "nothing": (("equation.source=0",), {}, "solution is zero"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_go_together_is_said(what):
    overrides, changes, message = REFUSED[what]
    case = read(*overrides)
    with pytest.raises(BadInput, match=message):
        next(train(case, options(case, formulation="transport_2d_micro_macro", **changes)))
