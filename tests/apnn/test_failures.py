"""What a training says when it cannot go on, or should not begin."""

import pytest
import torch

from apnn.memory import predicted_bytes
from apnn.options import train_options_model
from apnn.train import Model, _check, train
from solvers.problem.read import read_case
from solvers.problem.status import BadInput, NumericalError

CASE = read_case("cases/transport_periodic.toml")


def options(**given):
    small = {"tasks": 4, "points": 8, "width": 4, "velocities": 4, "steps": 20, "second_order": "none", "method": "ls"}
    return train_options_model("transport")(**{"formulation": "transport_micro_macro", **small, **given})


def test_loss_task_and_block_that_are_not_finite_are_named():
    model = Model(CASE, options(encoder="mad"), "cpu")
    theta = model.initial(torch.Generator().manual_seed(0))
    offset, _ = model.shapes[model.names.index("network.layer1.bias")]
    theta[offset] = torch.nan
    scalars = {
        "loss": torch.nan,
        "loss/micro": torch.nan,
        "loss/macro": 1.0,
        "loss/task0": 1.0,
        "loss/task2": torch.nan,
    }
    message = (
        r"loss, loss/micro not finite at step 7: tasks 2 \(eps 1.0e-02 to 1.0e-01\); parameters network.layer1.bias$"
    )
    with pytest.raises(NumericalError, match=message):
        _check(scalars, 7, model, theta)
    with pytest.raises(NumericalError, match="all parameters are finite"):
        _check(scalars, 7, model, torch.nan_to_num(theta))
    _check({"loss": 1.0}, 7, model, theta)


def test_memory_is_predicted_before():
    chosen = options(width=200_000, second_order="ssbroyden", second_steps=5)
    with pytest.raises(
        BadInput, match=r"GiB needed, .* GiB there, .* of them for ssbroyden: lower train.width, or choose"
    ):
        next(train(CASE, chosen))
    large = {"points": 2048, "width": 64, "velocities": 16}
    model = Model(CASE, options(**large), "cpu")
    kept = []

    def pack(tensor):
        kept.append(tensor)
        return tensor

    theta = model.initial(torch.Generator().manual_seed(0)).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        sum(model.losses(theta, 0).values()).mean()
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    assert 0.5 < predicted_bytes(model)["points"] / sum(storages.values()) < 2.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimizer": "gauss_newton"}, "optimizer 'gauss_newton' needs a closure that gives the residual vector"),
        ({"focus": (0.1, 0.01)}, "no interval of Knudsen numbers"),
        ({"encoder": "made"}, "did you mean 'mad'"),
        ({"network": "pirate"}, "did you mean 'piratenet'"),
    ],
)
def test_wrong_combinations_say_why(given, message):
    with pytest.raises((BadInput, ValueError), match=message):
        next(train(CASE, options(**given)))
