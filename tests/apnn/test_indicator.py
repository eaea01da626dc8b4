"""The error estimate without a reference: its effectivity, and the stop on it."""

import numpy as np
import pytest
import torch

from apnn.estimate import Estimator, worst
from apnn.options import train_options_model
from apnn.train import Model, predict, train
from kinetic_cli.train import FITTED
from solvers.problem.read import read_case

#: isotropic data: at eps = 1e-4 the solution is the diffusion of one cosine
CASE = read_case(
    "cases/transport_periodic.toml",
    overrides=["initial.f=1 + cos(4*pi*x)", "knudsen.evaluate=[1e-4]", "knudsen.unseen=[]"],
)


def options(**given):
    small = {"tasks": 2, "points": 32, "width": 8, "velocities": 6, "steps": 0, "second_steps": 400, "method": "ls"}
    table = {"formulation": "transport_micro_macro", "network": "separable", **small, **given}
    return train_options_model("transport")(**table)


def exact(times, x):
    return 1.0 + np.exp(-16.0 * np.pi**2 * times[:, None] / 3.0) * np.cos(4.0 * np.pi * x)


def test_estimate_is_the_error_up_to_a_bounded_factor():
    """Looks at steps that grow by half: every one that knows something is right within a factor of five."""
    chosen = options(second_steps=160)
    model = Model(CASE, chosen, "cpu")
    estimator, ratios, after = Estimator(model), [], 20
    x, times = (np.arange(64) + 0.5) / 64, np.array(CASE.domain.output_times)
    for snapshot in train(CASE, chosen):
        if snapshot.step < after:
            continue
        after = 1.5 * after
        eta = estimator.look(model.hold(torch.from_numpy(snapshot.state["theta"].copy())))[0]
        rho = predict(CASE, chosen, snapshot.state, [1e-4], times, x)["rho"][0]
        ratios.append(eta / (np.linalg.norm(rho - exact(times, x)) / np.linalg.norm(exact(times, x))))
    assert np.isnan(ratios[0])
    known = np.array(ratios)[np.isfinite(ratios)]
    assert len(known) >= 3
    assert known.min() > 1 / 5
    assert known.max() < 5


def test_training_ends_at_its_target(monkeypatch):
    monkeypatch.setattr("apnn.train.FIRST_LOOK", 0.0)
    monkeypatch.setattr("apnn.train.NEXT_LOOK", 0.0)
    *_, last = train(CASE, options(target=1e-2, second_steps=4000))
    assert last.progress == 1.0
    assert last.step < 4000
    assert worst(last.state["estimate"]) <= 1e-2
    assert last.scalars["estimate"] == worst(last.state["estimate"])


def test_a_network_that_fits_its_points_is_found_out():
    """Eight points a task for a network of hundreds of parameters, and points enough: the loss at others tells them apart."""
    few, many = (
        list(train(CASE, options(points=points, network="mlp", width=16, second_steps=300, refresh=1000)))[-1]
        for points in (8, 224)
    )
    assert few.state["fitted"] > FITTED > 5.0 * many.state["fitted"]
    assert few.scalars["fresh"] == pytest.approx(few.state["fitted"] * few.scalars["loss"])


def test_nothing_is_known_at_first():
    model = Model(CASE, options(), "cpu")
    theta = model.hold(model.initial(torch.Generator().manual_seed(0)))
    estimator = Estimator(model)
    assert np.isnan(worst(estimator.look(theta)))
    assert np.isnan(worst(estimator.look(theta)))


def test_the_row_that_fell_least_decides(monkeypatch):
    """Behind a strong shock the kinetic row falls and the others stay: that says nothing of the error."""
    model = Model(CASE, options(), "cpu")
    first, second = (model.hold(model.initial(torch.Generator().manual_seed(seed))) for seed in (0, 1))
    sizes = iter([(1.0, 0.3, 0.0), (0.1, 0.3, 0.0), (0.1, 0.03, 0.0)])

    def rows(theta, batch):
        return {str(k): torch.full((1, 5), size, dtype=torch.float64) for k, size in enumerate(next(sizes))}

    monkeypatch.setattr(model, "rows", rows)
    estimator = Estimator(model)
    assert np.isnan(estimator.look(first)).all()
    assert np.isnan(estimator.look(second)).all(), "the second row has not fallen"
    (found,) = estimator.look(second)
    moved, now = estimator.seen[0][0][0], estimator.seen[2][0][0]
    assert found == pytest.approx(0.1 / 0.9 * np.linalg.norm(moved - now) / np.linalg.norm(now))


@pytest.mark.parametrize("name", ["transport_inflow", "bgk_smooth"])
def test_points_of_the_estimate_lie_in_the_domain(name):
    case = read_case(f"cases/{name}.toml")
    kind = train_options_model(case.equation.kind)
    model = Model(case, kind(**{**case.train, "width": 4, "points": 8}), "cpu")
    batch = Estimator(model).batch
    assert batch.eps.shape[0] == len(case.knudsen.all)
    assert ((batch.t > 0) & (batch.t <= case.domain.t_end)).all()
