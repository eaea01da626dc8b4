"""Alignment tools against their definitions, their limits and a quadratic whose curvature is known."""

import math

import numpy as np
import pytest
import torch

import hrgrad
from hrgrad import alignment as tools


def draw(m, size, seed=0):
    return torch.randn(m, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_score_is_the_cosine_of_two_and_the_definition_of_many():
    a, b = draw(2, 9)
    cosine = float(a @ b / a.norm() / b.norm())
    assert tools.alignment_score(torch.stack([a, b])) == pytest.approx(cosine, rel=1e-12)
    assert tools.inter_step_score(a, b) == pytest.approx(cosine, rel=1e-12)
    J = draw(6, 9) * torch.logspace(-8, 8, 6, dtype=torch.float64)[:, None]
    mean = (J / J.norm(dim=1, keepdim=True)).mean(0)
    assert tools.alignment_score(J) == pytest.approx(2 * float(mean @ mean) - 1, rel=1e-12)
    assert tools.alignment_score(a.expand(4, -1)) == pytest.approx(1.0, abs=1e-15)
    assert tools.alignment_score(torch.stack([a, -a])) == -1.0
    assert tools.alignment_score(torch.eye(2)) == pytest.approx(0.0, abs=1e-15)
    assert tools.alignment_score(hrgrad.Problem(gramian=J @ J.T)) == pytest.approx(tools.alignment_score(J), rel=1e-9)


def test_cosines_and_magnitudes():
    J = draw(4, 7) * torch.tensor([1.0, 2.0, 1e-200, 1e200], dtype=torch.float64)[:, None]
    J = torch.cat([J[:2], J[:1] * 3])
    C, Phi = tools.cosine_matrix(J), tools.magnitude_similarity(J)
    expected = np.corrcoef(np.hstack([J.numpy(), -J.numpy()]))  # rows of mean zero: correlation is the cosine
    np.testing.assert_allclose(C, expected, rtol=0, atol=1e-14)
    n = J.norm(dim=1).numpy()
    np.testing.assert_allclose(Phi, 2 * np.outer(n, n) / (n[:, None] ** 2 + n**2), rtol=1e-12)
    assert Phi[0, 2] == pytest.approx(0.6)
    zero = torch.cat([J, torch.zeros(1, 7)])
    assert (tools.magnitude_similarity(zero)[3, :3] == 0).all()
    assert (tools.cosine_matrix(zero)[3] == 0).all()


def test_stationarity_is_the_best_worst_cosine():
    angle = 2.5
    J = torch.tensor([[1.0, 0.0], [5 * math.cos(angle), 5 * math.sin(angle)]], dtype=torch.float64)
    assert tools.stationarity(J) == pytest.approx(math.cos(angle / 2), rel=1e-12)
    assert tools.stationarity(torch.eye(9)) == pytest.approx(1 / 3)
    assert tools.stationarity(torch.tensor([[1.0, 0], [-7.0, 0]])) < 1e-15
    assert tools.stationarity(torch.tensor([[1.0, 0], [0.0, 0]])) == 0.0
    J = draw(5, 20)
    tau = tools.stationarity(J)
    a = J / J.norm(dim=1, keepdim=True)
    for seed in range(200):  # no convex combination is shorter, no direction has a better worst cosine
        w = torch.rand(5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 3
        d = (w / w.sum()) @ a
        assert d.norm() >= tau - 1e-12
        assert (a @ d / d.norm()).min() <= tau + 1e-12


@pytest.mark.parametrize("power", [2, 4])
def test_curvature_of_known_losses(power):
    A = draw(3, 6, 5)
    theta, other = draw(2, 6, 6)

    def loss(x):
        return (A @ x).pow(power).sum()

    def hessian(x):
        return A.T @ torch.diag(power * (power - 1) * (A @ x) ** (power - 2)) @ A

    g = A.T @ (power * (A @ theta) ** (power - 1))
    s, w = np.polynomial.legendre.leggauss(12)
    points = [theta + 0.5 * (k + 1) * (other - theta) for k in s]
    expected = sum(0.5 * c * float(g @ hessian(x) @ g) for c, x in zip(w, points, strict=True))
    with torch.no_grad():
        assert tools.multi_task_curvature(loss, theta, other, nodes=2) == pytest.approx(expected, rel=1e-10)
    eta = 1e-2  # along its own gradient it is a difference of gradients
    end = theta - eta * g
    ahead = A.T @ (power * (A @ end) ** (power - 1))
    assert tools.multi_task_curvature(loss, theta, end) == pytest.approx(float((g - ahead) @ g) / eta, rel=1e-9)
    assert tools.multi_task_curvature(lambda x: (A @ x).sum(), theta, other) == 0.0


def test_scalars_for_a_history():
    J = draw(4, 11)
    scores = hrgrad.alignment_scores(J, previous=J.sum(0))
    assert scores["inter_step"] == pytest.approx(1.0)
    assert scores["intra_step"] == tools.alignment_score(J)
    assert 0 <= scores["conflicts"] <= 1
    assert set(hrgrad.alignment_scores(J)) == set(scores) - {"inter_step"}
    one = hrgrad.alignment_scores(J[:1])
    assert one["intra_step"] == pytest.approx(1.0)
    assert one["conflicts"] == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tools.inter_step_score(torch.ones(2), torch.ones(3)), "two vectors of one length"),
        (lambda: tools.multi_task_curvature(lambda x: x, torch.ones(2), torch.ones(2)), "must be a scalar"),
        (lambda: tools.multi_task_curvature(torch.sum, torch.ones(2), torch.ones(2), nodes=0), "at least one node"),
        (lambda: tools.alignment_score(torch.tensor([[1.0], [float("nan")]])), "loss 1 is not finite"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


FIXED = {
    "cosines": 2,
    "norms": 1,
    "conflicting": 1,
    "update_cosines": 1,
    "weights": 1,
    "intra_step": 0,
    "stationarity": 0,
}
SETS = (draw(4, 9), draw(4, 9) - 2.0, draw(4, 9).abs(), torch.eye(4, 9).double() * 0, draw(2, 9).repeat(2, 1))


@pytest.mark.parametrize("name", hrgrad.method_names())
def test_diagnostics_keep_their_names_and_shapes(name):
    """Whatever the gradients: generic, clustered, free of conflict, all zero, duplicates. Steps can be stacked."""
    method, shapes = hrgrad.load_method(name), set()
    options = method.Options.read()
    state, generator = method.initial_state(4, options), torch.Generator().manual_seed(0)
    for J in SETS:
        problem = hrgrad.Problem(J) if method.needs != "losses" else hrgrad.Problem(m=4)
        found, state = method.direction(problem, torch.ones(4).double(), state, options, generator)
        kept = hrgrad.diagnostics(problem, found)
        shapes.add(tuple((key, value.shape) for key, value in kept.items()))
        assert all(value.dtype == np.float64 for value in kept.values())
        if method.needs == "losses":
            continue
        assert {key: kept[key].ndim for key in FIXED} == FIXED
        u = found.update(problem)
        n = J.norm(dim=1)
        expected = (J @ u) / (n * u.norm()).clamp_min(1e-300)
        np.testing.assert_allclose(kept["update_cosines"], expected, rtol=0, atol=1e-9 if float(u.norm()) else 1e9)
        np.testing.assert_allclose(kept["norms"], n, rtol=1e-12)
        np.testing.assert_array_equal(kept["conflicting"], (kept["cosines"] < -1e-12).any(axis=1))
    assert len(shapes) == 1


def test_diagnostics_of_a_rotation():
    """Two unit gradients at 120 degrees about their bisector: (16) is stationary where sin(120 - 2 alpha) = lambda/2 sin alpha."""
    wide = math.radians(120)
    J = torch.tensor([[1.0, 0.0], [3 * math.cos(wide), 3 * math.sin(wide)]], dtype=torch.float64)
    aggregator = hrgrad.HRGrad(penalty=1.0)
    with pytest.raises(ValueError, match="before the first step"):
        aggregator.diagnostics()
    aggregator(J)
    found = aggregator.diagnostics()
    alpha = found["rotation"]
    np.testing.assert_allclose(alpha, alpha[0])
    assert math.sin(wide - 2 * alpha[0]) == pytest.approx(0.5 * math.sin(alpha[0]), rel=1e-6)
    assert found["c_alpha"] == pytest.approx(math.cos(wide / 2 - alpha[0]), rel=1e-9)
    np.testing.assert_allclose(found["update_cosines"], math.cos(wide / 2), rtol=1e-12)
    assert found["conflicting"].tolist() == [1.0, 1.0]
    aggregator(torch.cat([J[:1], 0 * J[:1]]))
    assert aggregator.diagnostics()["rotation"].tolist() == [0.0, 0.0]


def test_diagnostics_are_not_computed_unless_asked_for():
    asked = []
    found = hrgrad.Direction(measure=lambda: asked.append(1) or {"value": 1.0})
    assert not asked
    assert found.diagnostics is found.diagnostics
    assert asked == [1]


@pytest.mark.parametrize("momentum", [lambda: hrgrad.MConFIG(), lambda: hrgrad.HRGrad(momentum=True)])
def test_diagnostics_of_momenta_have_one_shape_from_the_first_step(momentum):
    aggregator, J, shapes = momentum(), draw(3, 8), set()
    for k in (0, 1, 2, 0):
        aggregator(J[k : k + 1], tasks=[k], m=3)
        kept = aggregator.diagnostics()
        shapes.add(tuple((key, value.shape) for key, value in kept.items()))
        assert np.isnan(kept["weights"]).all() == (aggregator.direction.status == "waiting")
    assert len(shapes) == 1
