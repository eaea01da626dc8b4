"""What is known of gases whose waves part: the flown conservation laws early and late, and the table that holds them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from apnn.flight import Flight, maxwellian
from apnn.known import Known, known_part
from apnn.table import Table
from solvers.limits.navier_stokes import Limit
from solvers.problem.read import read_case
from solvers.problem.riemann_states import middle_states

CASES = Path(__file__).parents[2] / "cases"


def riemann(low, high, nu):
    case = read_case(CASES / "esbgk_riemann.toml", None, [f"knudsen.train=[{low}, {high}]", f"equation.nu={nu}"])
    flight = Flight(case, 2, "cpu")
    return case, flight, Known(case, flight, "cpu")


def gaussian(flight, nu, t, x, v):
    """Both components of the equilibrium of free flight at points (p, v), each for its own v."""
    rho, momentum, energy, second, _ = flight.moments(t, x).unbind(-2)
    u = momentum / rho
    T = energy / rho - 0.5 * u**2
    along = (1.0 - nu) * T + nu * (second / rho - u**2)
    first = maxwellian(rho, u, along, v)
    return first, 2.0 * (2.0 * T - along) * first


@pytest.mark.parametrize("nu", [-0.5, 0.0])
def test_early_it_is_what_collided_particles_are(nu, monkeypatch):
    """For t << eps, t0 all have collided once, at any time alike: G = int_0^t Gaussian_F(t - s, x - v s) ds/t."""
    monkeypatch.setattr("apnn.known.MOMENTS", 32)
    _case, flight, known = riemann(0.5, 1.0, nu)
    v = torch.linspace(-8.0, 14.0, 89, dtype=torch.float64)
    p, weights = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(6))
    share, weights = 0.5 * (p + 1.0), 0.5 * weights
    one = torch.ones(1, dtype=torch.float64)
    t, exact, found = 0.3 * flight.t0, [], []
    for x in (-0.02, 0.0, 0.01, 0.03):
        s = (share * t)[:, None]
        G, G2 = (weights @ k for k in gaussian(flight, nu, (t - s).expand(-1, len(v)), x - v * s, v.expand(6, -1)))
        U = (v[1] - v[0]) * torch.stack([G.sum(), (v * G).sum(), (0.5 * v**2 * G + 0.25 * G2).sum()])
        exact.append((flight.state(U[:, None]) - flight.state(flight.moments(t * one, x * one)))[:, 0])
        found.append(known(one, t * one, x * one)[0, :3])
    exact, found = torch.stack(exact), torch.stack(found)
    assert exact.abs().max() > 1e-3
    assert (found - exact).norm() < 0.05 * exact.norm()


def test_late_it_is_navier_and_stokes_but_ahead_of_a_strong_shock():
    """Between the shocks both agree; ahead of the fast one, Mach 6.7, particles that came out of it heat the cold gas."""
    case, flight, known = riemann(2e-3, 4e-3, -0.5)
    eps, x = 3e-3, np.linspace(-0.1, 0.6, 800)
    expected = Limit(eps).solve(case, {"x": x}, np.array([0.0, 0.1]))
    places = torch.tensor(x)
    t = torch.full_like(places, 0.1)
    W = flight.state(flight.moments(t, places)) + known(torch.full_like(places, eps), t, places)[:, :3].T
    found = {"rho": W[0].exp().numpy(), "u": W[1].numpy(), "T": W[2].exp().numpy()}
    slow, fast = (float(flight.place_of(wave, t[:1])) for wave in (flight.waves[0], flight.waves[-1]))
    width = 4.0 * eps * flight.hot**0.5
    between = (x > slow + 2.0 * width) & (x < fast - 2.0 * width)
    second = (eps * flight.hot**0.5 / flight.length) ** 2  # 3e-2, the square of the Knudsen number of the data
    for name in ("rho", "u", "T"):
        exact = expected[name][1]
        assert np.linalg.norm((found[name] - exact)[between]) < second * np.linalg.norm(exact[between]), name
    ahead = (x > fast + width) & (x < fast + 2.5 * width)
    assert found["T"][ahead].mean() > expected["T"][1][ahead].mean() + 0.02


def test_what_is_beyond_the_maxwellian_is_navier_and_stokes_where_gas_is_dense():
    """Heat flux and stress of the flown equilibrium in the contact, where gradients are those of the data."""
    _case, flight, known = riemann(1e-3, 2e-3, -0.5)
    eps = 1.5e-3
    centre = float(flight.place_of(flight.waves[1], torch.full((1,), 0.1, dtype=torch.float64)))
    x = torch.linspace(centre - 0.03, centre + 0.03, 61, dtype=torch.float64)
    t, step = torch.full_like(x, 0.1), 1e-4

    def state(x):
        W = flight.state(flight.moments(t, x)) + known(torch.full_like(x, eps), t, x)[:, :3].T
        return W[0].exp(), W[1], W[2].exp()

    (rho, u, T), ahead, behind = state(x), state(x + step), state(x - step)
    u_x, T_x = ((a - b) / (2 * step) for a, b in zip(ahead[1:], behind[1:], strict=True))
    second, flux, _ = known(torch.full_like(x, eps), t, x)[:, 3:].T
    heat = flux - u * second
    expected = -2.0 * eps * rho * T * T_x  # kappa = (d + 2)/2 eps rho T
    assert float(u_x.abs().max()) * eps < 0.05
    assert float((heat - expected).norm()) < 0.2 * float(expected.norm())


@pytest.mark.parametrize("eps", [1e-4, 1.8e-4])
def test_a_thin_shock_is_in_the_table(eps):
    """Sod's tube: the jump of the limit within some free paths, between two Knudsen numbers of the table as well."""
    case = read_case(CASES / "sod.toml", None, ["knudsen.train=[1e-4, 2e-4]"])
    flight = Flight(case, 1, "cpu")
    known = known_part(case, flight, "cpu")
    t = torch.full((801,), 0.1, dtype=torch.float64)
    path = eps * flight.hot**0.5
    x = flight.place_of(flight.waves[-1], t) + torch.linspace(-20.0, 20.0, 801, dtype=torch.float64) * path
    one = torch.full_like(t, eps)
    u = flight.state(flight.moments(t, x))[1] + known(one, t, x)[:, 1]
    jump = middle_states(*flight.ends, 3.0)[1][1]
    assert float(u[0]) == pytest.approx(jump, abs=0.1)  # the head of the rarefaction is still near
    assert float(u[-1]) < 0.2 * jump
    thickness = jump / float((u.diff() / x.diff()).abs().max())
    assert 2.0 < thickness / path < 20.0
    z = known.frame.z(one, t, x)
    assert float(z.diff().max()) < 0.5 * path / thickness * len(t) / 40.0  # cells
    fine = known.frame.z(one[:1], t[:1], torch.tensor([known.frame.places(known.frame.cells(eps))[-1, 200]]))
    assert float(fine) == pytest.approx(200.0, abs=1e-6)


def test_the_table_is_of_third_order_with_its_slopes():
    errors = []
    for n in (20, 40):
        a = np.linspace(0.0, 1.0, n + 1)
        values = np.sin(3.0 * a)[:, None, None] * np.exp(a)[:, None] * np.cos(a)
        table = Table(values[..., None], (1.0 / n,) * 3, "cpu")
        s = torch.linspace(0.1, 0.9, 73, dtype=torch.float64)
        exact = torch.sin(3.0 * s) * torch.exp(0.5 * s) * torch.cos(1.0 - s)
        slope = 3.0 * torch.cos(3.0 * s) * torch.exp(0.5 * s) * torch.cos(1.0 - s)
        found, by_first = torch.func.jvp(
            lambda a, table=table, s=s: table(a, 0.5 * s, 1.0 - s)[..., 0], (s,), (torch.ones_like(s),)
        )
        errors.append([float((found - exact).abs().max()), float((by_first - slope).abs().max())])
    order = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert order[0] > 2.7
    assert order[1] > 1.7
    beyond = table(*(torch.tensor(a, dtype=torch.float64) for a in (2.0, -1.0, 0.0)))
    assert float(beyond) == pytest.approx(np.sin(3.0), rel=1e-12)
