"""Adam against torch's own."""

import pytest
import torch

from hrgrad.optimizer import load_optimizer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_agrees_with_torch_to_the_last_bit(dtype, decay):
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(37, generator=generator, dtype=dtype)
    theirs = theta.clone().requires_grad_()
    peer = torch.optim.AdamW([theirs], lr=1e-2, weight_decay=decay, foreach=False)
    adam = load_optimizer("adam")()
    options = adam.make_options(lr=1e-2, weight_decay=decay)
    state = adam.start(theta, [], options)
    for _ in range(50):
        gradient = torch.randn(37, generator=generator, dtype=dtype)
        theirs.grad = gradient.clone()
        peer.step()
        theta, state = adam.step(theta, gradient, state, options)
        assert torch.equal(theta, theirs.detach())


def test_step_count_on_the_device_gives_the_same_steps():
    generator = torch.Generator().manual_seed(1)
    adam = load_optimizer("adam")()
    one, two = adam.make_options(lr=1e-2), adam.make_options(lr=1e-2, capturable=True)
    a = b = torch.randn(11, generator=generator, dtype=torch.float64)
    state_a, state_b = adam.start(a, [], one), adam.start(b, [], two)
    for _ in range(30):
        gradient = torch.randn(11, generator=generator, dtype=torch.float64)
        a, state_a = adam.step(a, gradient, state_a, one)
        b, state_b = adam.step(b, gradient, state_b, two)
        torch.testing.assert_close(a, b, rtol=1e-14, atol=0)


def test_learning_rate_of_one_step():
    adam = load_optimizer("adam")()
    options = adam.make_options(lr=1.0)
    theta = torch.zeros(3, dtype=torch.float64)
    moved, _ = adam.step(theta, torch.ones_like(theta), adam.start(theta, [], options), options, lr=0.125)
    torch.testing.assert_close(moved, torch.full_like(theta, -0.125), rtol=1e-7, atol=0)
