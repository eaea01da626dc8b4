"""One flight of a given equilibrium: uniform gas, dense gas, a fine sum over paths, and the law that it obeys."""

from pathlib import Path

import numpy as np
import pytest
import torch

from apnn.collided import MOMENTS, Collided, split
from apnn.flight import Flight
from apnn.model import Model, at_points
from apnn.options import train_options_model
from solvers.moving_cells import FAR, graded, make_cells
from solvers.problem.read import read_case

CASES = Path(__file__).parents[2] / "cases"
SPEED = 3.0


class Frame:
    """One that runs with the front."""

    def __init__(self, t0, ages, length):
        self.t0, self.ages, self.length = t0, ages, length

    def at(self, t):
        return np.array([SPEED * t, self.length]), np.array([SPEED, 0.0])


def made(levels=64, length=0.1):
    flight = Flight(read_case(CASES / "esbgk_riemann.toml", None, []), 2, "cpu")
    ages = np.log1p(0.1 / flight.t0) / levels * np.arange(levels + 1)
    t = flight.t0 * np.expm1(ages)
    sharp = np.zeros(0)
    start, end = (graded(y, 0.1, sharp) for y in (-FAR, 1.0 + FAR))
    cells = make_cells(start, 1.0, int(end - start), 0.1, sharp)
    x = SPEED * t[:, None] + length * cells.y
    return Collided(flight, Frame(flight.t0, ages, length)), cells, t[:, None], x


def state(t, x, width=0.05):
    """rho, u, T11, T22 of a front that runs."""
    rise = 0.5 * (1.0 + np.tanh((x - SPEED * t) / width))
    one = np.ones_like(rise)
    return np.stack([1.0 - 0.5 * rise, 1.5 - 1.5 * rise, 2.0 - rise, 1.5 * one - 0.7 * rise], axis=-1)


def moments_of(rho, u, along, across):
    """Those of the Gaussian, in closed form."""
    second = rho * (u**2 + along)
    return np.stack(
        [rho, rho * u, second, rho * u * (u**2 + 3.0 * along), 2.0 * across * rho, 2.0 * across * rho * u], -1
    )


def test_a_uniform_gas_stays_as_it_is():
    collided, cells, _t, x = made()
    states = np.broadcast_to([0.7, 0.4, 1.3, 0.9], (*x.shape, 4))
    found = collided.moments(0.05, cells, states, np.array([0.0, 0.01, 0.1]), x[:3, ::20])
    expected = moments_of(*np.array([0.7, 0.4, 1.3, 0.9]))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-6)


@pytest.mark.parametrize(("eps", "when"), [(1.0, 0.03), (0.05, 0.1), (0.01, 0.07)])
def test_it_is_a_fine_sum_over_velocities_and_paths(eps, when):
    collided, cells, t, x = made()
    places = np.array([-0.2, 0.05, 0.2, 0.35])
    found = collided.moments(eps, cells, state(t, x), np.array([when]), places[None])[0]
    v = np.linspace(-14.0, 17.0, 400)
    n = 4000
    r = (np.arange(n) + 0.5) / n * min(when, 25.0 * eps)
    weight = np.exp(-r / eps) / np.exp(-r / eps).sum()
    for place, moments in zip(places, found, strict=True):
        rho, u, along, across = np.moveaxis(state(when - r, place - v[:, None] * r), -1, 0)
        f = rho / np.sqrt(2.0 * np.pi * along) * np.exp(-0.5 * (v[:, None] - u) ** 2 / along) * weight
        f1, f2 = f.sum(1), (2.0 * across * f).sum(1)
        exact = [(v[1] - v[0]) * (v**k * f1).sum() for k in range(4)] + [
            (v[1] - v[0]) * (v**k * f2).sum() for k in range(2)
        ]
        np.testing.assert_allclose(moments, exact, rtol=0.0, atol=4e-3)


def test_its_moments_obey_the_law_of_flight():
    """U + eps h (d_t U + d_x F) = U of the equilibrium, for mass, momentum and energy alike."""
    collided, cells, t, x = made(192)
    eps, when, step = 0.05, 0.06, 2e-3
    places = np.linspace(0.0, 0.4, 81)
    times = np.array([when - step, when, when + step])
    earlier, now, later = collided.moments(eps, cells, state(t, x), times, np.broadcast_to(places, (3, 81)))
    far = -eps * np.expm1(-when / eps)
    by_t, by_x = (later - earlier) / (2 * step), np.gradient(now, places, axis=0)
    for k, flux in ((0, 1), (1, 2), (2, 3), (4, 5)):
        born = now[:, k] + far * (by_t[:, k] + by_x[:, flux])
        exact = moments_of(*np.moveaxis(state(when, places), -1, 0))[:, k]
        assert np.abs(now[:, k] - exact)[2:-2].max() > 20e-3 * np.abs(exact).max()
        np.testing.assert_allclose(born[2:-2], exact[2:-2], rtol=0.0, atol=6e-3 * np.abs(exact).max())


def test_dense_gas_has_the_equilibrium_and_the_stress_of_chapman_and_enskog():
    """<v^2 C> = -2 mu d_x u for d = 2 and a Maxwellian that flies, mu = eps rho T; C is of the order eps."""
    collided, cells, grid_t, grid_x = made()
    places = np.linspace(0.1, 0.5, 41)

    def maxwellian(t, x):
        rho, u, T, _ = np.moveaxis(state(t, x, 0.2), -1, 0)
        return np.stack([rho, u, T, T], axis=-1)

    states = maxwellian(grid_t, grid_x)
    for eps in (1e-3, 5e-4):
        W, beyond = split(collided.moments(eps, cells, states, np.array([0.1]), places[None])[0], 2)
        rho, u, T, _ = np.moveaxis(maxwellian(0.1, places), -1, 0)
        assert np.abs(W[:, 0] - rho).max() < 50 * eps
        # d_t of the given fields is not that of Euler: C = -eps DM without its conserved moments, by differences
        v, d = np.linspace(-14.0, 14.0, 600), 1e-4

        def f(t, y, v=v):
            rho, u, T, _ = np.moveaxis(maxwellian(t, y), -1, 0)[..., None]
            M = rho / np.sqrt(2.0 * np.pi * T) * np.exp(-0.5 * (v - u) ** 2 / T)
            return np.stack([M, 2.0 * T * M])

        first, second = (
            -eps * ((f(0.1 + d, places) - f(0.1 - d, places)) + v * (f(0.1, places + d) - f(0.1, places - d))) / (2 * d)
        )
        dv = v[1] - v[0]
        mass, momentum, along, across = (
            (g * k).sum(-1) * dv for g, k in ((first, 1.0), (first, v), (first, v**2), (second, 1.0))
        )
        dT = 0.5 * (
            (along + 0.5 * across) / rho - 2.0 * u * momentum / rho + (u**2 - 2.0 * T) * mass / rho + (u**2) * 0.0
        )
        expected = along - (mass * (u**2 + T) + 2.0 * u * (momentum - u * mass) + rho * dT)
        assert np.abs(expected).max() > 1e-4
        np.testing.assert_allclose(beyond[:, 0], expected, rtol=0.0, atol=0.05 * np.abs(expected).max())


def test_only_the_levels_that_are_needed_matter():
    collided, cells, t, x = made()
    states, when, places = state(t, x), np.array([0.05]), np.linspace(-0.5, 0.5, 11)[None]
    other = np.ones_like(states)
    levels = collided.needed(2e-3, when)
    assert len(levels) < 20
    other[levels] = states[levels]
    found = [collided.moments(2e-3, cells, s, when, places) for s in (states, other)]
    np.testing.assert_array_equal(*found)
    assert found[0].shape == (1, 11, MOMENTS)


def test_places_ahead_of_all_that_varies_are_those_of_the_end():
    collided, cells, t, x = made()
    places = np.linspace(-0.9, 0.9, 181)[None]
    found = collided.moments(1e-3, cells, state(t, x, width=0.01), np.array([0.01]), places)[0]
    ends = moments_of(*np.moveaxis(state(0.0, np.array([-1.0, 1.0]), 0.01), -1, 0))
    np.testing.assert_allclose(found[:50], np.broadcast_to(ends[0], (50, MOMENTS)), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found[-50:], np.broadcast_to(ends[1], (50, MOMENTS)), rtol=1e-6, atol=1e-12)


def test_fields_of_a_network_fly_once_more():
    """A wiggle of the known equilibrium, shorter than a free path, fades; dense gas stays as it is."""
    case = read_case(CASES / "esbgk_riemann.toml", None, ["knudsen.train=[1e-4, 1e-1]"])
    options = {**case.train, "points": 16, "tasks": 2, "width": 4, "velocities": 16}
    model = Model(case, train_options_model("esbgk")(**options), "cpu")
    x = torch.linspace(-0.1, 0.6, 71, dtype=torch.float64)
    t = torch.cat([torch.zeros(71), torch.full((71,), 0.05), torch.full((71,), 0.1)]).double()
    x, found = x.repeat(3), []
    theta = torch.zeros(model.size, dtype=torch.float64)

    def network(eps, t, x, size=0.0):
        fields = at_points(model, theta, eps, t, x)
        return {**fields, "T": fields["T"] * (1.0 + size * torch.sin(x / 0.01))}

    for size in (0.0, 0.1):
        own = {name: torch.zeros_like(x) for name in model.formulation.fields}
        model.formulation.fly_again(0.1, own, lambda *points, size=size: network(*points, size=size), t, x)
        found.append(own)
    smooth, wiggled = found
    assert (smooth["T"][:71] == 0.0).all()
    assert (smooth["T"][71:] > 0.2).all()
    assert ((wiggled["T"] - smooth["T"]) / smooth["T"].clamp_min(0.2)).abs().max() < 0.02
    dense = {name: torch.zeros_like(x) for name in model.formulation.fields}
    model.formulation.fly_again(1e-4, dense, network, t, x)
    own = network(torch.full_like(x[71:], 1e-4), t[71:], x[71:])
    for name in ("rho", "u", "T"):
        assert (dense[name][71:] - own[name]).norm() < 5e-3 * own[name].norm(), name
    start = model.initial(torch.Generator().manual_seed(0))
    outputs = model.outputs(start, model.formulation.features(torch.full_like(t, 0.1), t, x).unsqueeze(-3), t)
    assert (outputs == 0.0).all()
