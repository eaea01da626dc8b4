"""Points that follow the residual: where they go, what stays, and a continued training."""

import copy

import numpy as np
import torch

from apnn.adaptive import adapt
from apnn.options import train_options_model
from apnn.sampling import GROUPS, group_slices
from apnn.train import Model, train
from tests.apnn.shipped import read

CASE = read("transport_inflow")


def options(**given):
    small = {"tasks": 3, "points": 70, "width": 6, "velocities": 4, "steps": 0, "second_steps": 40, "method": "ls"}
    return train_options_model("transport")(**{"formulation": "transport_micro_macro", **small, **given})


def squares(model, theta, places):
    batch = model.prepare(list(places), torch.float64)
    return model.squares_at_points(theta, batch)[:, : places.shape[-1]]


def test_the_fresh_group_alone_moves_to_larger_residuals():
    model = Model(CASE, options(adaptive=1.0), "cpu")
    theta = model.initial(torch.Generator().manual_seed(0))
    first = adapt(model, theta, 0, None)
    torch.testing.assert_close(first, torch.stack(model.draw(0)), rtol=0.0, atol=0.0)
    ratios = []
    places = first
    for refresh in range(1, GROUPS + 1):
        before, places = places, adapt(model, theta, refresh, places)
        moved = (places != before).any(dim=0)
        group = group_slices(70)[refresh - 1]
        assert moved[:, group].all()
        assert moved.sum() == 3 * (group.stop - group.start)
        sizes = squares(model, theta, places)[:, group].mean() / squares(model, theta, first).mean()
        ratios.append(float(sizes))
    assert np.mean(ratios) > 1.3
    edges = np.geomspace(*CASE.knudsen.train, 4)  # a task keeps its bin of eps
    eps = places[0].numpy()
    assert (eps >= edges[:3, None] * (1 - 1e-12)).all()
    assert (eps <= edges[1:, None] * (1 + 1e-12)).all()


def test_the_rest_of_the_group_is_low_discrepancy():
    model = Model(CASE, options(adaptive=0.3), "cpu")
    theta = model.initial(torch.Generator().manual_seed(0))
    drawn, group = torch.stack(model.draw(2)), group_slices(70)[1]
    places = adapt(model, theta, 2, torch.stack(model.draw(1)))
    same = (places == drawn).all(dim=0)
    assert (same[:, group].sum(dim=-1) == 7).all()
    assert same[:, : group.start].all()
    assert same[:, group.stop :].all()


def test_training_follows_them_and_resumes_exactly():
    chosen = options(adaptive=0.5, refresh=8, steps=10, second_steps=20)
    whole = [copy.deepcopy(snapshot) for snapshot in train(CASE, chosen)]
    plain = list(train(CASE, options(refresh=8, steps=10, second_steps=20)))
    assert whole[-1].scalars["loss"] != plain[-1].scalars["loss"]
    for stop in (0, 1):  # at the end of the first phase, and in the second with adapted points
        again = list(train(CASE, chosen, resume=whole[stop].state))
        np.testing.assert_array_equal(again[-1].state["theta"], whole[-1].state["theta"])
