"""One flight of a given equilibrium: uniform gas, dense gas, a fine sum over paths, and the law that it obeys."""

from pathlib import Path

import numpy as np
import pytest
import torch

from apnn.collided import MOMENTS, Collided, split
from apnn.flight import Flight
from apnn.model import Model, at_points
from apnn.options import train_options_model
from solvers.problem.read import read_case

CASES = Path(__file__).parents[2] / "cases"
SPEED = 3.0


def made(levels=64):
    flight = Flight(read_case(CASES / "esbgk_riemann.toml", None, []), 2, "cpu")
    ages = np.log1p(0.1 / flight.t0) / levels * np.arange(levels + 1)
    t = flight.t0 * np.expm1(ages)
    return Collided(flight, ages, SPEED * t, np.full_like(t, 0.1)), t


def state(t, x, width=0.05):
    """rho, u, T11, T22 of a front that runs."""
    rise = 0.5 * (1.0 + np.tanh((x - SPEED * t) / width))
    one = np.ones_like(rise)
    return np.stack([1.0 - 0.5 * rise, 1.5 - 1.5 * rise, 2.0 - rise, 1.5 * one - 0.7 * rise], axis=-1)


def on_grid(t, x, **options):
    return state(t[:, None], x[None, :], **options)


def moments_of(rho, u, along, across):
    """Those of the Gaussian, in closed form."""
    second = rho * (u**2 + along)
    return np.stack(
        [rho, rho * u, second, rho * u * (u**2 + 3.0 * along), 2.0 * across * rho, 2.0 * across * rho * u], -1
    )


def test_a_uniform_gas_stays_as_it_is():
    collided, t = made()
    x = np.linspace(-1.0, 1.0, 101)
    states = np.broadcast_to([0.7, 0.4, 1.3, 0.9], (len(t), len(x), 4))
    found = collided.moments(0.05, x, states, np.array([0.0, 0.01, 0.1]), x[::20])
    expected = moments_of(*np.array([0.7, 0.4, 1.3, 0.9]))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-6)


@pytest.mark.parametrize(("eps", "when"), [(1.0, 0.03), (0.05, 0.1), (0.01, 0.07)])
def test_it_is_a_fine_sum_over_velocities_and_paths(eps, when):
    collided, t = made()
    x, places = np.linspace(-1.0, 1.0, 801), np.array([-0.2, 0.05, 0.2, 0.35])
    found = collided.moments(eps, x, on_grid(t, x), np.array([when]), places)[0]
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
    collided, t = made(192)
    eps, when, step = 0.05, 0.06, 2e-3
    x, places = np.linspace(-1.0, 1.0, 1601), np.linspace(0.0, 0.4, 81)
    earlier, now, later = collided.moments(eps, x, on_grid(t, x), np.array([when - step, when, when + step]), places)
    far = -eps * np.expm1(-when / eps)
    by_t, by_x = (later - earlier) / (2 * step), np.gradient(now, places, axis=0)
    for k, flux in ((0, 1), (1, 2), (2, 3), (4, 5)):
        born = now[:, k] + far * (by_t[:, k] + by_x[:, flux])
        exact = moments_of(*np.moveaxis(state(when, places), -1, 0))[:, k]
        assert np.abs(now[:, k] - exact)[2:-2].max() > 20e-3 * np.abs(exact).max()
        np.testing.assert_allclose(born[2:-2], exact[2:-2], rtol=0.0, atol=6e-3 * np.abs(exact).max())


def test_dense_gas_has_the_equilibrium_and_the_stress_of_chapman_and_enskog():
    """<v^2 C> = -2 mu d_x u for d = 2 and a Maxwellian that flies, mu = eps rho T; C is of the order eps."""
    collided, t = made()
    x, places = np.linspace(-1.0, 1.0, 1201), np.linspace(0.1, 0.5, 41)

    def maxwellian(t, x):
        rho, u, T, _ = np.moveaxis(state(t, x, 0.2), -1, 0)
        return np.stack([rho, u, T, T], axis=-1)

    states = maxwellian(t[:, None], x[None, :])
    for eps in (1e-3, 5e-4):
        W, beyond = split(collided.moments(eps, x, states, np.array([0.1]), places)[0], 2)
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
    collided, t = made()
    x = np.linspace(-1.0, 1.0, 401)
    states, when = on_grid(t, x), np.array([0.05])
    other = np.ones_like(states)
    levels = collided.needed(2e-3, when)
    assert len(levels) < 20
    other[levels] = states[levels]
    found = [collided.moments(2e-3, x, s, when, x[::40]) for s in (states, other)]
    np.testing.assert_array_equal(*found)
    assert found[0].shape == (1, 11, MOMENTS)


def test_places_ahead_of_all_that_varies_are_those_of_the_end():
    collided, t = made()
    x = np.linspace(-1.0, 1.0, 401)
    found = collided.moments(1e-3, x, on_grid(t, x, width=0.01), np.array([0.01]), np.linspace(-0.9, 0.9, 181))[0]
    ends = moments_of(*np.moveaxis(state(0.0, np.array([-1.0, 1.0]), 0.01), -1, 0))
    np.testing.assert_allclose(found[:50], np.broadcast_to(ends[0], (50, MOMENTS)), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found[-50:], np.broadcast_to(ends[1], (50, MOMENTS)), rtol=1e-6, atol=1e-12)


def test_fields_of_a_network_fly_once_more():
    """A wiggle of the known equilibrium, shorter than a free path, fades; dense gas and t = 0 keep the network's fields."""
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
    kept = {name: torch.zeros_like(x) for name in model.formulation.fields}
    model.formulation.fly_again(1e-4, kept, network, t, x)
    assert all((values == 0.0).all() for values in kept.values())
    start = model.initial(torch.Generator().manual_seed(0))
    outputs = model.outputs(start, model.formulation.features(torch.full_like(t, 0.1), t, x).unsqueeze(-3), t)
    assert (outputs == 0.0).all()
