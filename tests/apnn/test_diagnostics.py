"""Conflict between losses: against losses whose gradients are known, and out of a training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from apnn.diagnostics import conflict
from apnn.options import train_options_model
from apnn.train import look_is_due, train
from solvers.problem.read import read_case

CASES = Path(__file__).parents[2] / "cases"


class Planes:
    """Losses a_{k,r} . theta with given gradients, (R, m, P)."""

    def __init__(self, G):
        self.G = torch.as_tensor(G, dtype=torch.float64)

    def losses(self, theta, refresh):
        return {f"r{r}": (rows * theta).sum(dim=-1) for r, rows in enumerate(self.G)}


def test_known_gradients_give_known_cosines():
    G = np.zeros((2, 3, 2))
    G[0] = [[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]]  # residual 0 of three tasks
    G[1] = [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    before, after = torch.tensor([0.0, 0.0]).double(), torch.tensor([-1.0, 0.0]).double()
    found = conflict(Planes(G), before, after, 3, 0)
    half = 0.5**0.5
    np.testing.assert_allclose(found["cosines"], [[1, -half, half], [-half, 1, 0], [half, 0, 1]], atol=1e-14)
    np.testing.assert_allclose(found["norms"], [2**0.5, 2.0, 3.0])
    np.testing.assert_allclose(found["residual_norms"], [10**0.5 / 3, 1 / 3])
    np.testing.assert_allclose(found["residual_cosines"][0, 1], 3 / 10**0.5)
    np.testing.assert_allclose(found["step_cosines"], [half, -1.0, 0.0], atol=1e-14)
    assert found["inter_step"] == pytest.approx(1.0), "the gradient of a plane does not change"


def test_history_of_a_training_holds_the_conflict_and_the_run_does_not_depend_on_it():
    case = read_case(CASES / "transport_periodic.toml")
    table = {**case.train, "points": 16, "tasks": 4, "width": 8, "steps": 20, "second_steps": 20}
    make = train_options_model(case.equation.kind).model_validate
    looked, blind = ([*train(case, make({**table, "diagnose": every}))] for every in (10, 0))
    assert [s.scalars["loss"] for s in looked] == [s.scalars["loss"] for s in blind]
    assert not blind[-1].arrays
    for snapshot in looked:
        C = snapshot.arrays["cosines"]
        assert C.shape == (4, 4)
        np.testing.assert_allclose(np.diag(C), 1.0)
    first = looked[0]
    assert first.arrays["weights"].shape == (4,), "weights of hrgrad"
    assert first.scalars["min_cosine"] == pytest.approx(first.arrays["cosines"].min(), abs=1e-9)


def test_looks_at_the_conflict_become_rarer():
    looks = [step for step in range(10, 10_001, 10) if look_is_due(step, 50)]
    assert looks[:11] == list(range(10, 520, 50))
    gaps = np.diff(looks)
    assert (np.diff(gaps[gaps > 150]) >= -50).all()
    assert (gaps[10:] <= np.maximum(0.1 * np.array(looks[10:-1]) + 60, 100)).all()
    assert 35 < len(looks) < 50
    assert [step for step in range(10, 101, 10) if look_is_due(step, 10)] == list(range(10, 101, 10))


def test_time_limit_counts_training_alone_and_survives_a_restart(monkeypatch):
    case = read_case(CASES / "transport_periodic.toml")
    ticks = iter(range(10_000))
    monkeypatch.setattr("apnn.train.CLOCKS", {"wall": lambda: float(next(ticks)), "cpu": None})
    table = {**case.train, "points": 16, "tasks": 2, "width": 8, "steps": 200, "time_limit": 50.0, "diagnose": 0}
    options = train_options_model(case.equation.kind).model_validate(table)
    snapshots = list(train(case, options))
    assert snapshots[-1].progress < 1.0
    # one tick a step; the two ticks around every snapshot are not training
    assert snapshots[-1].step == pytest.approx(50, abs=6)
    *_, last = train(case, options, resume=snapshots[2].state)
    assert last.step == pytest.approx(50, abs=6), "the seconds before the restart count"
