"""Self-scaled Broyden: the factored matrix against the textbook formula, termination, robustness."""

import itertools
import math
from itertools import pairwise

import pytest
import torch

from hrgrad.optimizer import load_optimizer
from hrgrad.optimizers.ssbroyden import _broyden, _flush

ssbroyden = load_optimizer("ssbroyden")()


def rosenbrock(theta):
    x = theta.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        (gradient,) = torch.autograd.grad(loss, x)
    return loss.detach(), gradient


def run(closure, theta, steps, **given):
    options = ssbroyden.make_options(**given)
    state = ssbroyden.start(theta, [], options)
    history = []
    for _ in range(steps):
        theta, state, info = ssbroyden.step(theta, closure, state, options)
        history.append(info)
        if info["gradient_norm"] < 1e-10 or info["status"] == "stalled":
            break
    return theta, state, history


def matrix(state):
    state = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in state.items()}
    _flush(state)
    return state["B"]


def test_factored_matrix_is_the_textbook_matrix():
    """After every step, H equals the update written out with P x P matrices."""
    theta = torch.tensor([-1.2, 1.0, 0.3, -0.5], dtype=torch.float64)
    options = ssbroyden.make_options(memory=3)
    state = ssbroyden.start(theta, [], options)
    H = torch.eye(4, dtype=torch.float64)
    for k in range(40):
        old, g = theta, rosenbrock(theta)[1]
        theta, state, _ = ssbroyden.step(theta, rosenbrock, state, options)
        s, y = theta - old, rosenbrock(theta)[1] - g
        if k == 0:
            H = H * (s @ y) / (y @ y)
        Hy, ys = H @ y, y @ s
        yHy = y @ Hy
        b = (s @ torch.linalg.solve(H, s) / ys).item()
        phi, tau = _broyden(b, (yHy / ys).item(), 4)
        w = s / ys - Hy / yHy
        H = (H - torch.outer(Hy, Hy) / yHy + phi * yHy * torch.outer(w, w)) / tau + torch.outer(s, s) / ys
        ours = matrix(state)
        torch.testing.assert_close(ours, H, rtol=1e-6, atol=1e-6 * H.abs().max().item())
        torch.testing.assert_close(ours @ y, s, rtol=1e-6, atol=1e-7 * s.abs().max().item())  # secant equation
        assert torch.linalg.eigvalsh(ours)[0] > 0
        H = ours  # compare one update at a time


def test_coefficients_reduce_to_bfgs_and_stay_in_the_interval():
    for b, h in [(0.2, 7.0), (0.9, 1.2), (1.5, 1.0), (30.0, 0.5), (1e-3, 2e3), (1.0, 1.0)]:
        phi, tau = _broyden(b, h, 100)
        assert 0 < tau <= 1
        c = b * h - 1
        if c > 1e-12:
            theta = (1 - phi) / (1 + c * phi)  # inverse of phi = (1 - theta) / (1 + c theta)
            assert 1 + c * theta > 0  # the updated matrix is positive definite
    assert _broyden(1.0, 1.0, 10) == (1.0, 1.0)


@pytest.mark.parametrize("size", [2, 10, 100])
def test_rosenbrock(size):
    theta = torch.full((size,), -1.2, dtype=torch.float64)
    theta[1::2] = 1.0
    theta, _, history = run(rosenbrock, theta, 1500)
    assert history[-1]["gradient_norm"] < 1e-9 or history[-1]["loss"] < 1e-20
    loss = [info["loss"] for info in history]
    assert all(after <= before * (1 + 1e-9) for before, after in pairwise(loss))


@pytest.mark.parametrize("memory", [1, 7, 16])
def test_memory_changes_nothing_but_rounding(memory):
    theta = torch.linspace(-1, 1, 12, dtype=torch.float64)
    reference, _, _ = run(rosenbrock, theta, 25, memory=4)
    other, _, _ = run(rosenbrock, theta, 25, memory=memory)
    torch.testing.assert_close(other, reference, rtol=1e-7, atol=1e-9)


def test_not_a_number_beyond_a_wall_is_survived():
    def closure(theta):
        loss, gradient = rosenbrock(theta)
        return (loss, gradient) if theta.abs().max() < 1.3 else (loss * math.nan, gradient * math.nan)

    theta, _, history = run(closure, torch.tensor([-1.2, 1.0], dtype=torch.float64), 200)
    assert history[-1]["loss"] < 1e-18
    assert torch.isfinite(theta).all()


def test_wrong_gradient_stalls_and_changes_nothing():
    def closure(theta):
        return theta.square().sum(), -2 * theta

    theta = torch.ones(3, dtype=torch.float64)
    after, _, history = run(closure, theta, 5, noise=0.0)
    assert history[-1]["status"] == "stalled"
    assert torch.equal(after, theta)


def test_without_restart_a_failed_search_keeps_the_matrix():
    theta, state, _ = run(rosenbrock, torch.full((6,), 0.3, dtype=torch.float64), 10)
    before = matrix(state)

    def wrong(theta):
        loss, gradient = rosenbrock(theta)
        return loss, -gradient

    renewed, options = ssbroyden.renew(state), ssbroyden.make_options(restart=False, noise=0.0)
    after, kept, info = ssbroyden.step(theta, wrong, renewed, options)
    assert info["status"] == "stalled"
    assert torch.equal(after, theta)
    torch.testing.assert_close(matrix(kept), before)


def test_renewed_closure_keeps_the_matrix_and_takes_the_new_loss():
    theta, state, _ = run(rosenbrock, torch.full((6,), 0.3, dtype=torch.float64), 10)
    before = matrix(state)

    def other(theta):
        loss, gradient = rosenbrock(theta)
        return 2 * loss + 1, 2 * gradient

    options = ssbroyden.make_options()
    renewed = ssbroyden.renew(state)
    torch.testing.assert_close(matrix(renewed), before)
    expected = float(other(theta)[0])
    _, _, info = ssbroyden.step(theta, other, renewed, options)
    assert info["loss"] < expected
    assert info["loss"] > 1  # the new loss, not the old one


def test_a_step_costs_little_more_than_one_evaluation():
    """A network of 10 tanh for sin 5x: unit steps are mostly too long, and the memory of the last length knows it."""
    x = torch.linspace(-1.0, 1.0, 60, dtype=torch.float64)[:, None]

    def closure(theta):
        with torch.enable_grad():
            theta = theta.detach().requires_grad_()
            a, b, c = theta.view(3, 10)
            loss = (torch.tanh(x * a + b) @ c - torch.sin(5.0 * x[:, 0])).square().mean()
            (gradient,) = torch.autograd.grad(loss, theta)
        return loss.detach(), gradient

    cost, digits = {1.2: 0.0, 1e300: 0.0}, {1.2: 0.0, 1e300: 0.0}
    for seed, stretch in itertools.product(range(5), cost):  # the second always tries the unit step first
        start = torch.randn(30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        _, _, history = run(closure, start, 330, stretch=stretch)
        spent = torch.tensor([info["evaluations"] for info in history]).cumsum(0)
        cost[stretch] += float(spent[-1]) / len(history) / 5
        digits[stretch] -= math.log10(history[int((spent <= 400).sum()) - 1]["loss"]) / 5
    assert cost[1.2] < 1.35 < 1.6 < cost[1e300]
    assert digits[1.2] > digits[1e300] + 0.3, "after 400 evaluations"
