"""L-BFGS and Levenberg-Marquardt on Rosenbrock's function, SGD against torch, exact resumption of both."""

import pytest
import torch

from hrgrad.optimizer import copy_state, load_optimizer


def residual(theta):
    return torch.cat((10 * (theta[1:] - theta[:-1] ** 2), 1 - theta[:-1]))


def closure(theta):
    with torch.enable_grad():
        x = theta.detach().clone().requires_grad_()
        loss = 0.5 * residual(x).square().sum()
        return loss.detach(), torch.autograd.grad(loss, x)[0]


@pytest.mark.parametrize(
    ("name", "drive", "options", "limit"),
    [
        ("lbfgs", closure, {}, 150),
        ("gauss_newton", residual, {}, 40),
        ("gauss_newton", residual, {"dense": 0}, 40),
    ],
)
def test_rosenbrock_and_resumption(name, drive, options, limit):
    optimizer = load_optimizer(name)()
    options = optimizer.make_options(**options)
    theta = torch.full((10,), 0.3, dtype=torch.float64)
    state = optimizer.start(theta, [], options)
    for _ in range(5):
        theta, state, _ = optimizer.step(theta, drive, state, options)
    again, kept = theta.clone(), copy_state(state)
    for _ in range(limit):
        theta, state, info = optimizer.step(theta, drive, state, options)
        again, kept, _ = optimizer.step(again, drive, kept, options)
        assert torch.equal(theta, again)
    assert info["loss"] < 1e-20


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_agrees_with_torch(nesterov):
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(9, generator=generator, dtype=torch.float64)
    theirs = theta.clone().requires_grad_()
    peer = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=nesterov)
    sgd = load_optimizer("sgd")()
    options = sgd.make_options(lr=0.1, momentum=0.9, nesterov=nesterov)
    state = sgd.start(theta, [], options)
    for _ in range(20):
        theirs.grad = torch.randn(9, generator=generator, dtype=torch.float64)
        theta, state = sgd.step(theta, theirs.grad, state, options)
        peer.step()
        torch.testing.assert_close(theta, theirs.detach(), rtol=1e-12, atol=1e-14)
