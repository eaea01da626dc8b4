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
