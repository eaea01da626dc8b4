"""L-BFGS and Levenberg-Marquardt on Rosenbrock's function, SGD against torch, exact resumption of both."""

import pytest
import torch

from hrgrad.optimizer import Residuals, copy_state, load_optimizer


def residual(theta):
    return torch.cat((10 * (theta[1:] - theta[:-1] ** 2), 1 - theta[:-1]))


def closure(theta):
    """As a user writes it: gradients are on while it runs."""
    x = theta.detach().clone().requires_grad_()
    loss = 0.5 * residual(x).square().sum()
    return loss, torch.autograd.grad(loss, x)[0]


@pytest.mark.parametrize(
    ("name", "drive", "options", "limit"),
    [
        ("lbfgs", closure, {}, 150),
        ("ssbroyden", closure, {}, 150),
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


def fit(size, points):
    """A network of `size` hidden units on `points` points: more or fewer residuals than parameters."""
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-1, 1, points, dtype=torch.float64)
    theta = torch.randn(3 * size, generator=generator, dtype=torch.float64)

    def value(copies, x):
        a, b, c = copies.unflatten(-1, (3, size)).unbind(-2)
        return (c * torch.tanh(a * x.unsqueeze(-1) + b)).sum(-1) - torch.sin(3 * x)

    return theta, lambda t: value(t, x), lambda copies: value(copies, x).unsqueeze(-1)


@pytest.mark.parametrize(("size", "points"), [(4, 30), (20, 25)])
def test_parameter_space_sample_space_and_matrix_free_take_the_same_step(size, points):
    import hrgrad

    theta, residual, pointwise = fit(size, points)
    optimizer, ends, calls = load_optimizer("gauss_newton")(), {}, []

    def counted(t):
        calls.append(1)
        return residual(t)

    handed = Residuals(residual, jacobian=lambda t: hrgrad.pointwise_jacobian(pointwise, t, points))
    free = {"dense": 0, "cg_steps": 400, "cg_tolerance": 1e-12}
    for way, drive, given in (
        ("rows", residual, {}),
        ("points", handed, {}),
        ("small memory", residual, {**free, "dense": 4000, "memory": 8}),
        ("free", counted, free),
    ):
        options = optimizer.make_options(**given)
        state = {
            **optimizer.start(theta, [], options),
            "mu": 1e-2,
        }  # the first damping is a mean diagonal or a quotient
        ends[way], _, info = optimizer.step(theta, drive, state, options)
        assert info["status"] == "ok"
        assert info["loss"] < 0.5 * float(residual(theta).square().sum())
        torch.testing.assert_close(ends[way], ends["rows"], rtol=1e-6, atol=1e-8)
    assert len(calls) == info["evaluations"], "all products come from one recorded evaluation"


def test_gauss_newton_names_a_residual_it_cannot_use():
    optimizer, theta = load_optimizer("gauss_newton")(), torch.ones(3, dtype=torch.float64)
    options = optimizer.make_options()
    for drive, message in ((lambda t: t.detach(), "carries no graph"), (lambda t: t.sum(), "must be one vector")):
        with pytest.raises(ValueError, match=message):
            optimizer.step(theta, drive, optimizer.start(theta, [], options), options)
