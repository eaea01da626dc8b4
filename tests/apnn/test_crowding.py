"""Crowded points: their weighed mean is the mean over places, for the mixture alone and for residuals of every formulation."""

import math

import numpy as np
import pytest
import torch

from apnn.carriers import Carriers
from apnn.crowding import Crowd, Drawn, Even, Log
from apnn.model import Model
from apnn.options import train_options_model
from apnn.sampling import crowded_times, times
from kinetic_cli.cases import load_case, shipped_cases

N = 1 << 13


def sobol(d=1, seed=0):
    return torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(N, dtype=torch.float64).unbind(-1)


def mixture(near=1e-3):
    one = torch.ones(N, dtype=torch.float64)
    pieces = Even(-1.0, 2.0), Even(-1.0, -0.5 * one), Log(-1.0, 1.0, near * one, 3.0), Log(2.0, -1.0, near * one, 3.0)
    edges = torch.linspace(-1.0, 2.0, 31, dtype=torch.float64)
    steep = Drawn(edges, torch.exp(-20.0 * (0.5 * (edges[1:] + edges[:-1]) - 0.3).square()))
    return Crowd(-1.0, 2.0, *zip((0.3, 0.2, 0.1, 0.15, 0.25), (steep, *pieces), strict=True))


@pytest.mark.parametrize("g", [torch.ones_like, torch.cos, torch.square, lambda x: (x > 1.99).double()])
def test_the_weighed_mean_is_that_of_uniform_points(g):
    crowd = mixture()
    (y,) = sobol()
    x = crowd.places(y)
    uniform = torch.linspace(-1.0, 2.0, 30_001, dtype=torch.float64)
    expected = float(g(uniform).mean())
    assert float((g(x) / crowd.density(x)).mean()) == pytest.approx(expected, rel=5e-3)
    assert abs(float(g(x).mean()) - expected) > 0.03 * expected or g is torch.ones_like


def test_density_is_that_of_the_places():
    """The share of points in any interval is the integral of q over it."""
    crowd = mixture()
    (y,) = sobol()
    x = crowd.places(y)
    for a, b in ((-1.0, -0.999), (-0.9, -0.6), (-0.3, 0.4), (1.9, 1.99), (1.999, 2.0)):
        inside = a + (b - a) * (torch.arange(N, dtype=torch.float64) + 0.5) / N
        share = float(crowd.density(inside).mean()) * (b - a) / 3.0
        assert float(((x >= a) & (x < b)).double().mean()) == pytest.approx(share, rel=0.02, abs=4 / N)


def test_times_are_early_in_their_share():
    (s,) = sobol()
    t = times(s, 0.4, 0.6, 1e-4)
    assert ((t > 0) & (t <= 0.4)).all()
    late = (1e-2) ** (2.0 / 3.0)
    assert float((t < 4e-3).double().mean()) == pytest.approx(0.6 * late + 0.4 * 0.5, rel=1e-2)
    assert torch.allclose(times(s, 0.4), 0.4 * (1e-6 + (1 - 1e-6) * s**1.5))


@pytest.mark.parametrize("g", [torch.ones_like, torch.cos, torch.sqrt, lambda t: (t < 1e-3).double()])
def test_the_weighed_mean_over_early_times_is_that_without_them(g):
    (s,) = sobol()
    t = times(s, 0.4, 0.6, 1e-4)
    expected = float(g(times(s, 0.4)).mean())
    assert float((g(t) / crowded_times(t, 0.4, 0.6, 1e-4)).mean()) == pytest.approx(expected, rel=5e-3)


def test_places_of_a_junction_are_where_the_doping_is_steep():
    """Within two Debye lengths of either, more than with uniform places by their share; none where all data are uniform."""
    case = load_case(shipped_cases()["diode"])
    eps = torch.full((N,), 1e-2, dtype=torch.float64)
    x = Carriers(case, 1, "cpu").crowd(eps).places(sobol()[0])
    near = ((x - 0.3).abs() < 0.09) | ((x - 0.7).abs() < 0.09)
    assert 0.5 * 0.36 + 0.9 * 0.4 < float(near.double().mean()) < 0.5 * 0.36 + 0.45
    flat = load_case(shipped_cases()["diode"], None, ["equation.doping=1", "initial.rho=1"])
    assert Carriers(flat, 1, "cpu").junctions is None
    assert float(Carriers(flat, 1, "cpu").crowd(eps).density(x)[near].max()) < 1.5


@pytest.mark.parametrize(
    ("name", "formulation"),
    [
        ("transport_variable_scattering", "transport_micro_macro"),
        ("transport_inflow", "transport_parity"),
        ("transport_2d", "transport_2d_micro_macro"),
        ("diode", "semiconductor_micro_macro"),
    ],
)
def test_losses_are_means_over_places(name, formulation):
    """Squares of the rows of crowded points have the mean that those of uniform points have without their weights."""
    case = load_case(shipped_cases()[name])
    options = train_options_model(case.equation.kind)(**case.train | {"formulation": formulation})
    model = Model(case, options, "cpu")
    f = model.formulation
    theta = model.hold(model.initial(torch.Generator().manual_seed(0)))
    box = [interval for interval in (case.domain.x, case.domain.y) if interval is not None]
    square = sobol(len(box))
    t = torch.full((N,), 0.5 * case.domain.t_end, dtype=torch.float64)
    eps = torch.full((N,), 3e-2, dtype=torch.float64)
    if name == "diode":
        axes = [f.lift.crowd(eps)]
    else:
        axes = [f.lift.crowd(eps, t)] if len(box) == 1 else [f.lift.crowd(k, eps, t) for k in (0, 1)]
    crowded = [axis.places(y) for axis, y in zip(axes, square, strict=True)]
    uniform = [low + (high - low) * y for (low, high), y in zip(box, square, strict=True)]
    found = []
    for places in (crowded, uniform):
        one = [value[None, :] for value in (eps, t, *places)]
        batch = f.prepare(*one)
        with torch.no_grad():
            rows = model.rows(theta[None], batch)
        inner = {k: row[0, :N].square().reshape(N, -1).mean(-1) for k, row in rows.items() if row.shape[1] > N}
        if places is uniform:
            q = math.prod(axis.density(x) for axis, x in zip(axes, places, strict=True))
            inner = {k: row * q for k, row in inner.items()}
        found.append({k: float(row.mean()) for k, row in inner.items()})
    assert len(found[0]) >= 2
    for k in found[0]:
        assert found[0][k] == pytest.approx(found[1][k], rel=0.05), k
    assert np.isfinite(list(found[0].values())).all()
