"""What every network promises: tangents by its own rule, one gradient per task in one pass, both precisions, a fixed start."""

import itertools

import pytest
import torch

from kinetic_cli.kinds import KINDS

NAMES = KINDS["networks"].names()
FIXED = torch.tensor([[0, 1, 0], [1, 2, 2]])
SPLITS = {"plain": {}, "places": {"places": 3}, "basis": {"places": 3, "basis": FIXED}}


def make(name, split):
    network = KINDS["networks"].load(name)(5, 3, 8, 2, **SPLITS[split])
    return network, network.initial(torch.Generator().manual_seed(1))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tasks", [None, 3])
def test_tangent_rule_equals_automatic_differentiation(name, split, tasks):
    network, theta = make(name, split)
    lead = () if tasks is None else (tasks,)
    if tasks:
        theta = theta + 0.1 * torch.randn(tasks, theta.numel(), dtype=theta.dtype)
    x, dx = torch.randn(*lead, 7, 5, dtype=torch.float64), torch.randn(*lead, 7, 5, dtype=torch.float64)
    found = network(theta, torch.stack([x, dx, 2 * dx], dim=-3))
    value, tangent = torch.func.jvp(lambda y: network(theta, y.unsqueeze(-3)).squeeze(-3), (x,), (dx,))
    assert value.shape == (*lead, 7, 3)
    for part, expected in zip(found.unbind(-3), (value, tangent, 2 * tangent), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_matters_and_shapes_cover_them(name, split):
    network, theta = make(name, split)
    assert theta.shape == (network.size,)
    covered = sorted((start, torch.Size(shape).numel()) for start, shape in network.shapes)
    assert sum(size for _, size in covered) == network.size
    assert all(a + size == b for (a, size), (b, _) in itertools.pairwise(covered))
    leaf = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf, torch.randn(1, 40, 5, dtype=theta.dtype)).square().sum(), leaf)
    assert (gradient != 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_start_follows_its_generator_in_both_precisions(name):
    network, theta = make(name, "plain")
    assert torch.equal(theta, network.initial(torch.Generator().manual_seed(1)))
    assert not torch.equal(theta, network.initial(torch.Generator().manual_seed(2)))
    single = network.initial(torch.Generator().manual_seed(1), torch.float32)
    assert network(single, torch.randn(1, 4, 5)).dtype == torch.float32
