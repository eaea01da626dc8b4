"""Options of a training that change what is weighed and drawn: causality, importance, curriculum, march, warm-up."""

import pytest
import torch

from apnn.emphasis import emphasis
from apnn.options import train_options_model
from apnn.train import Model, train
from solvers.problem.read import read_case
from solvers.problem.status import BadInput

CASE = read_case("cases/transport_periodic.toml")


def options(**given):
    small = {"tasks": 4, "points": 16, "width": 6, "velocities": 4, "steps": 0, "second_steps": 10, "method": "ls"}
    return train_options_model("transport")(**{"formulation": "transport_micro_macro", **small, **given})


def weights(**given):
    model = Model(CASE, options(**given), "cpu")
    theta = model.initial(torch.Generator().manual_seed(0))
    return model, theta, emphasis(model, theta, 0)


def test_causal_weights_fall_with_what_is_wrong_before():
    model, theta, w = weights(causal=3.0)
    order = model.batch(0).t.argsort(dim=-1)
    sorted_weights = w.gather(-1, order)
    assert (sorted_weights[:, 0] == 1.0).all()
    assert (sorted_weights.diff(dim=-1) < 0.0).all()
    rows = model.rows(theta, model.batch(0))
    total = sum(row.square().reshape(4, 16, -1).mean(-1) for row in rows.values())
    last = order[:, -1:]
    before = (total.sum(-1, keepdim=True) - total.gather(-1, last)) / 16
    torch.testing.assert_close(sorted_weights[:, -1:], torch.exp(-3.0 * before))
    assert weights()[2] is None


def test_importance_follows_the_losses_of_the_tasks_and_the_losses_follow_the_weights():
    model, theta, w = weights(importance=1.0)
    plain = torch.stack(list(model.losses(theta, 0).values())).sum(0)
    torch.testing.assert_close(w, (plain / plain.mean())[:, None].expand(-1, 16))
    weighed = torch.stack(list(model.losses(theta, 0, w).values())).sum(0)
    torch.testing.assert_close(weighed, plain**2 / plain.mean())


def test_curriculum_begins_with_the_largest_knudsen_numbers():
    model = Model(CASE, options(curriculum=4), "cpu")
    lows = [float(model._places(refresh)[0].min()) for refresh in (0, 2, 4, 9)]
    assert lows[0] > 10**-0.8
    assert lows[0] > lows[1] > lows[2]
    assert min(lows) > 1e-4
    assert lows[2] < 10**-2.9
    assert lows[3] < 10**-2.9


def test_march_begins_with_early_times():
    model, whole = (Model(CASE, options(march=march), "cpu") for march in (4, 0))
    for refresh, reached in ((0, 0.2), (2, 0.6), (4, 1.0), (9, 1.0)):
        (eps, t, x), (eps_, t_, x_) = model._places(refresh), whole._places(refresh)
        assert torch.equal(eps, eps_)
        assert torch.equal(x, x_)
        torch.testing.assert_close(t, reached * t_, rtol=1e-14, atol=0.0)


def test_warm_up_makes_the_first_steps_small():
    def first_move(**given):
        first = next(iter(train(CASE, options(steps=10, second_order="none", **given))))
        model = Model(CASE, options(), "cpu")
        start = model.initial(torch.Generator().manual_seed(0))
        return float((torch.from_numpy(first.state["theta"].copy()) - start).abs().max())

    assert first_move(warm_up=200) < 0.2 * first_move()


@pytest.mark.parametrize("given", [{"causal": 1.0, "importance": 0.5}, {"curriculum": 2, "march": 3}])
@pytest.mark.parametrize("steps", [0, 30])
def test_training_goes_on_exactly_with_them(given, steps):
    chosen = options(**given, steps=steps, second_steps=30, refresh=8)
    whole = list(train(CASE, chosen))
    middle = next(iter(train(CASE, chosen)))
    again = list(train(CASE, chosen, resume=middle.state))
    assert again[-1].scalars["loss"] == whole[-1].scalars["loss"]
    assert whole[-1].scalars["loss"] < whole[0].scalars["loss"]


def test_residual_vectors_are_not_weighed():
    with pytest.raises(BadInput, match=r"causal.*gauss_newton sees the residual vector alone"):
        next(train(CASE, options(causal=1.0, second_order="gauss_newton")))
