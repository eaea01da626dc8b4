"""The iterate of a density against a fine sum over directions and paths, its contraction, and where it is taken."""

import numpy as np
import pytest
import torch

from apnn.options import train_options_model
from apnn.second_flight import SecondFlight
from apnn.train import Model, predict
from tests.apnn.shipped import read

SLAB = (
    "equation.sigma_s='1 + x'",
    "equation.sigma_a='0.5*x'",
    "equation.source='1 + x*t'",
    "boundary.left.f='1 + v'",
    "boundary.right.f='t'",
)
PLANE = (
    "equation.sigma_s='1 + 0.5*x'",
    "equation.sigma_a='0.2'",
    "equation.source='1 + 0.3*y'",
    "boundary.left.f='1 + 0.5*y'",
    "boundary.top.f='0.4'",
)


def some_density(eps, t, *space):
    return {"rho": t * (1.0 + space[0]) * (1.0 + sum(place**2 for place in space))}


def sum_of_paths(case, eps, t, place, v, weights, wall):
    """rho and J by midpoints on every path; `wall(place, v)` gives the way to the boundary, and F there of (time, entry, v)."""
    rho, J, n = 0.0, np.zeros(len(place)), 400
    for direction, weight in zip(v, weights, strict=True):
        way, F = wall(place, direction)
        last = min(t, eps * way)
        r = (np.arange(n) + 0.5) / n * last
        at = dict(zip("xy", (a - r * b / eps for a, b in zip(place, direction, strict=True)), strict=False))
        total = (case.equation.sigma_s(**at) / eps**2 + case.equation.sigma_a(**at)) * np.ones(n)
        T = (np.cumsum(total) - 0.5 * total) * last / n
        born = case.equation.sigma_s(**at) / eps**2 * some_density(eps, t - r, *at.values())["rho"]
        f = ((born + case.equation.source(t=t - r, **at)) * np.exp(-T)).sum() * last / n
        if eps * way < t:
            entry = [a - way * b for a, b in zip(place, direction, strict=True)]
            f += F(t - eps * way, entry) * np.exp(-total.sum() * last / n)
        rho, J = rho + weight * f, J + weight * np.array(direction) * f / eps
    return [rho, *J]


@pytest.mark.parametrize(("eps", "t"), [(1.0, 0.1), (0.3, 0.4), (0.1, 0.05)])
def test_slab_equals_a_fine_sum(eps, t):
    case = read("transport_inflow", *SLAB)
    z, w = np.polynomial.legendre.leggauss(600)
    speeds, weights = 0.5 * (z + 1.0), 0.25 * w

    def wall(place, v):
        way = place[0] / v[0] if v[0] > 0 else (place[0] - 1.0) / v[0]
        side = case.boundary.left if v[0] > 0 else case.boundary.right
        return way, lambda time, entry: float(side.f(t=time, v=abs(v[0]), eps=eps))

    x = [0.02, 0.4, 0.95]
    points = torch.tensor(x, dtype=torch.float64)
    found = SecondFlight(case, eps).fields(some_density, torch.full_like(points, t), points)
    directions = [(s,) for s in (*speeds, *-speeds)]
    exact = [sum_of_paths(case, eps, t, (a,), directions, (*weights, *weights), wall) for a in x]
    np.testing.assert_allclose(torch.stack(found, dim=-1), exact, rtol=0, atol=3e-4)


@pytest.mark.parametrize(("eps", "t"), [(1.0, 0.5), (0.3, 0.25)])
def test_plane_equals_a_fine_sum(eps, t):
    case = read("transport_2d", *PLANE)
    angles = 2.0 * np.pi * (np.arange(1200) + 0.5) / 1200
    directions = list(zip(np.cos(angles), np.sin(angles), strict=True))

    def wall(place, v):
        ways = [(a - (-1.0 if b > 0 else 1.0)) / b for a, b in zip(place, v, strict=True)]
        axis = int(np.argmin(ways))
        side = (("left", "right"), ("bottom", "top"))[axis][int(v[axis] < 0)]
        F = getattr(case.boundary, side).f
        return ways[axis], lambda time, entry: float(F(t=time, x=entry[0], y=entry[1], v1=v[0], v2=v[1], eps=eps))

    places = [(0.05, -0.1), (-0.97, 0.5), (0.9, 0.93)]
    x, y = torch.tensor(places, dtype=torch.float64).T
    found = SecondFlight(case, eps).fields(some_density, torch.full_like(x, t), x, y)
    exact = [sum_of_paths(case, eps, t, place, directions, np.full(1200, 1.0 / 1200), wall) for place in places]
    np.testing.assert_allclose(torch.stack(found, dim=-1), exact, rtol=0, atol=1e-3)


def test_an_error_of_the_density_shrinks_by_the_share_that_collides():
    case, eps, t = read("transport_inflow", *SLAB[1:]), 0.5, torch.full((9,), 0.08, dtype=torch.float64)
    x = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)

    def worse(eps, *places):
        return {"rho": some_density(eps, *places)["rho"] + 1.0}

    flight = SecondFlight(case, eps)
    change = flight.fields(worse, t, x)[0] - flight.fields(some_density, t, x)[0]
    assert (change > 0.0).all()
    assert change.max() <= 1.0 - np.exp(-0.08 / eps**2) + 1e-9  # sigma_S = 1


def test_dense_gas_keeps_the_fields_of_the_network():
    case = read("transport_variable_scattering")
    flight, x = SecondFlight(case, 0.1), torch.linspace(0.0, 1.0, 7, dtype=torch.float64)
    own = {"rho": torch.zeros(7, dtype=torch.float64), "J": torch.zeros(7, dtype=torch.float64)}
    flight.mix(own, some_density, torch.full_like(x, 0.2), x)
    kept = (flight.share(x) == 0.0).numpy()
    np.testing.assert_array_equal(kept, np.linspace(0.0, 1.0, 7) > 0.3)
    assert (own["rho"].numpy()[kept] == 0.0).all()
    assert (own["rho"].numpy()[~kept] > 0.0).all()


def test_only_open_ends_and_an_empty_start():
    assert SecondFlight.applies(read("transport_2d"))
    assert SecondFlight.applies(read("transport_boundary_layer"))
    assert not SecondFlight.applies(read("transport_periodic"))
    assert not SecondFlight.applies(read("transport_inflow", "initial.f='1'"))
    assert not SecondFlight.applies(read("sod"))


def test_prediction_of_thin_gas_is_nearly_free_flight_even_without_training():
    case = read("transport_inflow")
    small = {"points": 16, "tasks": 2, "width": 4, "velocities": 8}
    options = train_options_model("transport")(**{**case.train, **small})
    model = Model(case, options, "cpu")
    state = {"theta": model.initial(torch.Generator().manual_seed(0)).numpy()}
    x, times = np.linspace(0.05, 0.95, 10), np.array([0.02])
    flown = predict(case, options, state, [10.0, 1e-4], times, x)
    own = predict(case, options.model_copy(update={"second_flight": False}), state, [10.0, 1e-4], times, x)
    slowest = np.minimum(10.0 * x / 0.02, 1.0)
    np.testing.assert_allclose(flown["rho"][0, 0], 0.5 * (1.0 - slowest), rtol=0, atol=1e-4)
    assert np.abs(flown["rho"][0] - own["rho"][0]).max() > 1e-9
    np.testing.assert_array_equal(flown["rho"][1], own["rho"][1])
