"""Tangents and Jacobian, points, and training itself."""

import copy
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from apnn.networks.mlp import Network
from apnn.options import TrainOptions, train_options_model
from apnn.sampling import bins, collocation
from apnn.train import CLOCKS, FirstOrder, Model, predict, train
from solvers.problem.read import read_case
from solvers.problem.status import BadInput, NumericalError

CASES = Path(__file__).parents[2] / "cases"
torch.manual_seed(0)


def points(eps, t, x):
    return (torch.tensor(a, dtype=torch.float64) for a in np.broadcast_arrays(eps, t, x))


@pytest.mark.parametrize("tasks", [None, 3])
def test_tangent_rule_equals_automatic_differentiation(tasks):
    network = Network(4, 3, 8, 2)
    theta = network.initial(torch.Generator().manual_seed(1))
    lead = () if tasks is None else (tasks,)
    if tasks:
        theta = theta.expand(tasks, -1)
    x, dx = torch.randn(*lead, 5, 4, dtype=torch.float64), torch.randn(*lead, 5, 4, dtype=torch.float64)
    found = network(theta, torch.stack([x, dx, 2 * dx], dim=-3))
    value, tangent = torch.autograd.functional.jvp(lambda y: network(theta, y.unsqueeze(-3)).squeeze(-3), x, dx)
    torch.testing.assert_close(found[..., 0, :, :], value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[..., 1, :, :], tangent, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[..., 2, :, :], 2 * tangent, rtol=1e-12, atol=1e-12)


def small(name, **changes):
    case = read_case(CASES / f"{name}.toml")
    table = {**case.train, "points": 16, "tasks": 4, "width": 8, "velocities": 16, "steps": 10, "second_steps": 10}
    return case, train_options_model(case.equation.kind).model_validate({**table, **changes})


@pytest.mark.parametrize("name", ["sod", "transport_periodic"])
def test_one_backward_gives_the_jacobian_of_all_tasks(name):
    case, options = small(name)
    model = Model(case, options, "cpu")
    theta = model.network.initial(torch.Generator().manual_seed(0))
    leaf = theta.expand(4, -1).clone().requires_grad_()
    losses = sum(model.losses(leaf, 0).values())
    (J,) = torch.autograd.grad(losses.sum(), leaf)
    for k in range(4):
        single = theta.clone().requires_grad_()
        (row,) = torch.autograd.grad(sum(model.losses(single, 0).values())[k], single)
        torch.testing.assert_close(J[k], row, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sod", "bgk_smooth", "transport_periodic"])
def test_derivatives_reach_from_the_inputs_to_the_unknowns(name):
    """d_t and d_x of the unknowns against central differences of their values: features, network and ansatz together."""
    case, options = small(name)
    model = Model(case, options, "cpu")
    theta = model.network.initial(torch.Generator().manual_seed(0))
    eps, t, x = points(0.05, np.array([0.0307, 0.0807]), np.array([-0.11, 0.17]))
    step = 1e-5

    def unknowns(dt, dx):
        batch = model.formulation.prepare(eps, t + dt, x + dx)
        solution = model.formulation.ansatz(model.network(theta, batch.inputs), batch)
        return list(vars(solution).values())

    for k, shift in ((1, (step, 0.0)), (2, (0.0, step))):
        ahead, behind = unknowns(*shift), unknowns(*(-s for s in shift))
        for here, after, before in zip(unknowns(0.0, 0.0), ahead, behind, strict=True):
            axis = -2 if here.ndim == 2 else -3  # R is (3, B); W and g are (3, B, .)
            quotient = (after.select(axis, 0) - before.select(axis, 0)) / (2 * step)
            found, inside = here.select(axis, k), slice(0, 2)  # the points on the ends do not move
            torch.testing.assert_close(found[inside], quotient[inside], rtol=1e-5, atol=1e-5)


def test_every_option_is_explained():
    words = set(re.findall(r"\w+", TrainOptions.__doc__))
    assert [name for name in TrainOptions.model_fields if name not in words] == []


def test_bins_below_the_knee_are_no_longer_logarithmic():
    edges = bins((1e-4, 1e-1), 3, 0.0).numpy()
    np.testing.assert_allclose(edges, [1e-4, 1e-3, 1e-2, 1e-1], rtol=1e-12)
    edges = bins((1e-4, 1e-1), 3, 1e-2).numpy()
    np.testing.assert_allclose(edges[[0, -1]], [1e-4, 1e-1], rtol=1e-9)
    np.testing.assert_allclose(np.diff(np.log(edges + 1e-2)), np.log(0.11 / 0.0101) / 3, rtol=1e-9)
    eps, *_ = collocation(0, 0, 3, 70, (1e-4, 1e-1), 0.1, (0.0, 1.0), knee=1e-2)
    assert (np.diff(np.searchsorted(edges, eps.numpy()), axis=0) == 1).all()


def test_bins_between_chebyshevs_points_even_the_error_of_a_fit():
    """Least squares for 1/(eps + 0.2), degree 5 in ln(eps + knee), points even in each bin: a third less error at the ends."""
    low, high, knee, worst = 1e-4, 1e-1, 3e-2, {}
    for spacing in ("even", "chebyshev"):
        edges = bins((low, high), 8, knee, spacing).numpy()
        np.testing.assert_allclose(edges[[0, -1]], [low, high], rtol=1e-9)
        s = np.log(edges + knee)
        s, mean = np.concatenate([np.linspace(a, b, 50) for a, b in itertools.pairwise(s)]), 0.5 * (s[0] + s[-1])
        fit = np.polynomial.Polynomial.fit(s, 1.0 / (np.exp(s) - knee + 0.2), 5)
        fine = np.linspace(s[0], s[-1], 1001)
        worst[spacing] = np.abs(fit(fine) - 1.0 / (np.exp(fine) - knee + 0.2))
    assert worst["chebyshev"].max() < 0.7 * worst["even"].max()
    assert worst["even"].argmax() in (0, 1000)
    np.testing.assert_allclose(edges[4], np.exp(mean) - knee, rtol=1e-9)
    eps, *_ = collocation(0, 0, 8, 70, (low, high), 0.1, (0.0, 1.0), knee=knee, spacing="chebyshev")
    assert (np.diff(np.searchsorted(edges, eps.numpy()), axis=0) == 1).all()


def test_points_are_stratified_and_renewed_in_part():
    eps, t, x = collocation(0, 0, 4, 70, (1e-4, 1.0), 0.1, (-0.5, 0.5))
    assert eps.shape == t.shape == x.shape == (4, 70)
    for k in range(4):
        assert (eps[k] >= 10.0 ** (-4 + k)).all()
        assert (eps[k] <= 10.0 ** (-3 + k) * (1 + 1e-12)).all()
    later = collocation(0, 1, 4, 70, (1e-4, 1.0), 0.1, (-0.5, 0.5))
    assert 0.1 < float((later[0] != eps).double().mean()) < 0.2
    again = collocation(0, 1, 4, 70, (1e-4, 1.0), 0.1, (-0.5, 0.5))
    assert all(torch.equal(a, b) for a, b in zip(later, again, strict=True))


@pytest.mark.parametrize("tasks", [6, 8])
def test_every_task_has_points_everywhere(tasks):
    for refresh in (0, 3):
        _, t, x = collocation(0, refresh, tasks, 112, (1e-4, 1.0), 1.0, (0.0, 1.0))
        for task in torch.stack([t ** (2.0 / 3.0), x], dim=-1):
            count, _ = torch.histogramdd(task, bins=[4, 4], range=[0.0, 1.0, 0.0, 1.0])
            assert count.min() >= 4  # 7 in the mean


@pytest.mark.parametrize("method", ["ls", "config", "pcgrad", "hrgrad", "famo", "mconfig"])
def test_training_lowers_the_loss_and_is_reproducible(method):
    case, options = small("transport_periodic", method=method, steps=20, second_steps=30)
    runs = [list(train(case, options)) for _ in range(2)]
    losses = [[s.scalars["loss"] for s in run] for run in runs]
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.2 * losses[0][0]
    assert runs[0][-1].progress == 1.0
    fields = predict(case, options, runs[0][-1].state, [1.0, 1e-3], [0.02, 0.1], np.linspace(0, 1, 11))
    assert fields["rho"].shape == (2, 2, 11)
    other = list(train(case, options.model_copy(update={"seed": 1})))
    assert other[-1].scalars["loss"] != losses[0][-1]


@pytest.mark.parametrize("method", ["ls", "hrgrad"])
def test_a_unit_update_moves_as_far_as_the_learning_rate(method):
    choices = {"optimizer": "sgd", "steps": 1, "second_order": "none", "learning_rate": 0.01, "method": method}
    for length, expected in (("unit", True), ("method", False)):
        case, options = small("transport_periodic", update_length=length, **choices)
        start = Model(case, options, "cpu").initial(torch.Generator().manual_seed(options.seed)).numpy()
        *_, last = train(case, options)
        moved = float(np.linalg.norm(last.state["theta"] - start))
        assert (abs(moved - 0.01) < 1e-14) is expected


def test_a_step_of_adam_has_no_other_length():
    case, options = small("transport_periodic", method="mconfig", update_length="unit")
    with pytest.raises(BadInput, match="Adam's step already"):
        next(iter(train(case, options)))


def test_training_reaches_the_exact_solution():
    """Periodic transport at eps = 1e-4 is diffusion: a short training gives rho to 3 % at t = 0.02."""
    case, options = small("transport_periodic", points=32, width=12, velocities=8, steps=0, second_steps=250)
    *_, last = train(case, options)
    x = np.linspace(0, 1, 41)
    rho = predict(case, options, last.state, [1e-4], [0.02], x)["rho"][0, 0]
    exact = 0.3413447 * (1 + np.exp(-16 * np.pi**2 * 0.02 / 3) * np.cos(4 * np.pi * x))
    assert np.linalg.norm(rho - exact) / np.linalg.norm(exact) < 0.03


def test_float32_trains_as_float64_and_resumes_exactly():
    """The first-order phase; the phase behind it, errors and fields stay in float64."""
    runs = {}
    for precision in ("float64", "float32"):
        case, options = small("transport_periodic", precision=precision, steps=20, second_steps=10)
        runs[precision] = [copy.deepcopy(s) for s in train(case, options)]
    double, single = runs.values()
    assert double[1].state["theta"].dtype == single[2].state["theta"].dtype == np.float64
    assert single[1].state["theta"].dtype == np.float32
    for step in (0, 1):
        assert single[step].scalars["loss"] == pytest.approx(double[step].scalars["loss"], rel=1e-2)
    assert predict(case, options, single[1].state, [1.0], [0.02], np.linspace(0, 1, 5))["rho"].dtype == np.float64
    for stop in (0, 1):  # within the phase and at its end
        again = list(train(case, options, resume=single[stop].state))
        assert again[-1].scalars["loss"] == single[-1].scalars["loss"]
        np.testing.assert_array_equal(again[-1].state["theta"], single[-1].state["theta"])


def test_second_order_phase_with_losses_in_float32_follows_float64_and_resumes_exactly():
    runs = {}
    for precision in ("float64", "float32"):
        case, options = small("transport_periodic", steps=0, second_precision=precision, second_steps=20)
        runs[precision] = [copy.deepcopy(s) for s in train(case, options)]
    (half, double), (early, single) = runs.values()
    assert single.state["theta"].dtype == single.state["inner"]["optimizer"]["B"].dtype == np.float64
    assert single.scalars["loss"] != double.scalars["loss"]
    assert early.scalars["loss"] == pytest.approx(half.scalars["loss"], rel=1e-2)
    *_, again = train(case, options, resume=early.state)
    np.testing.assert_array_equal(again.state["theta"], single.state["theta"])
    case, options = small("transport_periodic", second_precision="float32", second_order="gauss_newton")
    with pytest.raises(BadInput, match="gauss_newton solves in float64"):
        next(train(case, options))


def test_losses_in_float32_become_float64_where_rounding_hides_the_decrease_and_the_curvature_stays():
    tiny = {"network": "separable", "width": 4, "tasks": 2, "points": 8}
    case, options = small(
        "transport_periodic", steps=0, second_precision="float32", second_steps=2000, refresh=2000, **tiny
    )
    *early, last = [copy.deepcopy(s) for s in train(case, options)]
    singles = [s.state["inner"]["single"] for s in (*early, last)]
    assert singles == sorted(singles, reverse=True)
    turn = singles.index(0)
    assert 0 < turn < len(singles) - 3
    assert last.scalars["loss"] < 0.9 * early[turn].scalars["loss"]
    assert np.linalg.cond(early[turn].state["inner"]["optimizer"]["B"]) > 1e3  # it would be 1 after a restart
    *_, again = train(case, options, resume=early[turn].state)
    np.testing.assert_array_equal(again.state["theta"], last.state["theta"])


def test_float32_trains_where_rows_stay_in_float64():
    case, options = small("sod", precision="float32", steps=20, second_order="none")
    first, last = train(case, options)
    assert last.state["theta"].dtype == np.float32
    assert last.scalars["loss"] < first.scalars["loss"]


def test_not_finite_loss_is_named():
    case, options = small("transport_periodic", learning_rate=1e200, second_order="none")
    with pytest.raises(NumericalError, match=r"loss.* not finite at step"):
        list(train(case, options))


class ScalarsRead(TorchDispatchMode):
    """Counts how often a tensor becomes a Python number: on a GPU each time waits for all work before it."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["ls", "config", "hrgrad"])
def test_a_first_order_step_reads_no_number_back_until_it_is_logged(method):
    case, options = small("bgk_smooth", method=method)
    model = Model(case, options, "cpu")
    phase = FirstOrder(model)
    theta = model.initial(torch.Generator().manual_seed(0))
    theta, state, _, _ = phase.step(theta, phase.start(theta), 0, 0, 0.0)
    with ScalarsRead() as read:
        _, _, stopped, look_back = phase.step(theta, state, 1, 0, 0.1)
        assert read.count == 0
        scalars, _ = look_back()
        assert read.count > 0
    assert not stopped
    assert scalars["loss"] == pytest.approx(np.mean([scalars[f"loss/task{k}"] for k in range(4)]))


def test_preparation_is_no_training(monkeypatch):
    """A preparation that takes longer than the time limit leaves all steps."""
    case, options = small("transport_periodic", steps=3, second_order="none", time_limit=10.0)
    now = itertools.count()

    class Slow(Model):
        def __init__(self, *given):
            super().__init__(*given)
            for _ in range(50):
                next(now)

    monkeypatch.setattr("apnn.train.Model", Slow)
    monkeypatch.setitem(CLOCKS, "wall", lambda: float(next(now)))
    assert [snapshot.step for snapshot in train(case, options, "cpu")][-1] == 3
