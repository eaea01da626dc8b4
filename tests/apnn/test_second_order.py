"""The second phase of a training: Gauss-Newton on the residual vector, and optimizers that ask for what is not there."""

import pytest
import torch

from apnn.options import train_options_model
from apnn.train import Model, train
from solvers.problem.read import read_case
from solvers.problem.status import BadInput

CASE = read_case("cases/transport_periodic.toml")


def options(**given):
    small = {"tasks": 3, "points": 16, "width": 6, "velocities": 4, "steps": 0, "second_steps": 6, "method": "ls"}
    table = {"formulation": "transport_micro_macro", "second_order": "gauss_newton", **small, **given}
    return train_options_model("transport")(**table)


def test_residual_vector_is_the_loss_and_its_points_give_its_jacobian():
    model = Model(CASE, options(), "cpu")
    theta = model.network.initial(torch.Generator().manual_seed(0))
    given = model.residuals(0)
    r, J = given.jacobian(theta)
    loss = torch.stack(list(model.losses(theta, 0).values())).sum(0).mean()
    torch.testing.assert_close(r, given(theta))
    torch.testing.assert_close(0.5 * r.dot(r), loss)
    leaf = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(torch.stack(list(model.losses(leaf, 0).values())).sum(0).mean(), leaf)
    torch.testing.assert_close(J.T @ r, gradient)


def test_gauss_newton_trains():
    snapshots = list(train(CASE, options(second_steps=20)))
    assert snapshots[-1].scalars["loss"] < 0.1 * snapshots[0].scalars["loss"] or snapshots[-1].scalars["loss"] < 1e-3


@pytest.mark.parametrize("name", ["soap", "shampoo", "muon"])
def test_first_phase_with_matrices(name):
    snapshots = list(train(CASE, options(steps=60, second_order="none", optimizer=name)))
    assert snapshots[-1].scalars["loss"] < snapshots[0].scalars["loss"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"second_order": "soap"},
            "train.second_order: optimizer 'soap' needs a direction.* choose gauss_newton, lbfgs",
        ),
        ({"steps": 3, "optimizer": "lbfgs"}, "train.optimizer: optimizer 'lbfgs' needs a closure .* choose adam"),
    ],
)
def test_what_is_not_there_is_named(given, message):
    with pytest.raises(BadInput, match=message):
        next(iter(train(CASE, options(**given))))
