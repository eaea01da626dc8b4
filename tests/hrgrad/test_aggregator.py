"""The aggregator in other people's loops: every method, exact states, one transfer, one task per step, clear errors."""

import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import hrgrad
from hrgrad import momentum
from hrgrad.aggregator import Aggregator

NAMES = hrgrad.method_names()
RANDOM = [name for name in NAMES if "deterministic" not in hrgrad.load_method(name).properties]
M = 3


class Loop:
    """A user's training: two layers, a head of its own for each loss, and one parameter that only one loss uses."""

    def __init__(self, dtype=torch.float64):
        generator = torch.Generator().manual_seed(0)

        def draw(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

        self.shared = [draw(2, 6), draw(6)]
        self.heads = [draw(6) for _ in range(M)]
        self.x = torch.randn(32, 2, generator=generator, dtype=torch.float64).to(dtype)
        self.targets = [self.x.prod(1), self.x.sum(1).square(), torch.sin(self.x[:, 0])]

    @property
    def parameters(self):
        return [*self.shared, *self.heads]

    def losses(self):
        h = torch.tanh(self.x @ self.shared[0] + self.shared[1])
        return [(h @ head - y).square().mean() for head, y in zip(self.heads, self.targets, strict=True)]

    def run(self, aggregator, steps, make=None):
        step_of_adam = aggregator.method.is_step(aggregator.options)
        make = make or (
            (lambda p: torch.optim.SGD(p, lr=1e-2)) if step_of_adam else (lambda p: torch.optim.Adam(p, lr=1e-2))
        )
        optimizer, history = make(self.parameters), []
        for _ in range(steps):
            losses = self.losses()
            aggregator.backward(losses, self.parameters)
            optimizer.step()
            history.append(float(sum(losses).detach()))
            with torch.no_grad():
                aggregator.observe(self.losses())
        return history


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_method_trains_with_a_torch_optimizer(name, dtype):
    loop = Loop(dtype)
    history = loop.run(Aggregator(name), 40)
    assert all(p.grad.dtype == dtype and p.grad.shape == p.shape for p in loop.parameters)
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    "make", [lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), lambda p: torch.optim.RMSprop(p, lr=1e-3)]
)
def test_any_torch_optimizer(make):
    history = Loop().run(hrgrad.HRGrad(), 60, make)
    assert history[-1] < 0.8 * history[0]


@pytest.mark.parametrize("name", NAMES)
def test_state_goes_through_a_file_and_comes_back_exactly(name):
    """Also the random numbers: the continuation is equal to the last bit."""
    whole, first, second = Loop(), Loop(), Aggregator(name)
    aggregator = Aggregator(name)
    assert aggregator.state_dict()["state"] is None

    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=1e-3)

    torch.manual_seed(1)
    a = whole.run(Aggregator(name), 7, sgd)
    torch.manual_seed(1)
    b = first.run(Aggregator(name), 3, sgd) if name not in RANDOM else None
    if b is not None:
        assert b == a[:3]
    first, aggregator = Loop(), Aggregator(name, torch.Generator().manual_seed(4) if name in RANDOM else None)
    first.run(aggregator, 3, sgd)
    file = io.BytesIO()
    torch.save(aggregator.state_dict(), file)
    file.seek(0)
    held = [p.detach().clone() for p in first.parameters]
    expected = first.run(aggregator, 4, sgd)
    second.load_state_dict(torch.load(file, weights_only=True))
    again = Loop()
    with torch.no_grad():
        for p, value in zip(again.parameters, held, strict=True):
            p.copy_(value)
    assert again.run(second, 4, sgd) == expected
    assert all(torch.equal(p, q) for p, q in zip(first.parameters, again.parameters, strict=True))


def test_saved_state_is_a_copy():
    loop, aggregator = Loop(), hrgrad.MConFIG()
    loop.run(aggregator, 2)
    saved = aggregator.state_dict()
    before = {key: value.clone() for key, value in saved["state"].items() if isinstance(value, torch.Tensor)}
    loop.run(aggregator, 2)
    assert all(torch.equal(saved["state"][key], value) for key, value in before.items())


@pytest.mark.parametrize("name", RANDOM)
def test_random_methods_leave_the_global_generator_alone(name):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (Aggregator(name) for _ in range(2))
    J = torch.randn(5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    J -= 0.9 * J.mean(0)
    assert torch.equal(first(J), second(J)), "torch's seed rules"
    assert not torch.equal(first(J), Aggregator(name, torch.Generator().manual_seed(9))(J))
    assert torch.equal(torch.get_rng_state(), before)
    draws = [hrgrad.aggregate(name, J) for _ in range(8)]
    assert any(not torch.equal(draws[0], other) for other in draws), "the functional form goes on drawing"


def test_loss_based_methods_take_one_backward_pass_and_no_jacobian(monkeypatch):
    passes = []
    real = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: passes.append(1) or real(*a, **k))
    for name in NAMES:
        passes.clear()
        Loop().run(Aggregator(name), 1)
        assert len(passes) == (1 if hrgrad.load_method(name).needs == "losses" else M), name


def test_weighted_sum_is_what_autograd_gives():
    loop = Loop()
    hrgrad.LS().backward(loop.losses(), loop.parameters)
    expected = torch.autograd.grad(sum(loop.losses()), loop.parameters)
    for p, g in zip(loop.parameters, expected, strict=True):
        torch.testing.assert_close(p.grad, g)


class OnDevice(torch.Tensor):
    """A CPU tensor that says it lives on a GPU, so that the code takes the GPU's way; what makes the host wait is counted."""

    waits = 0

    @property
    def is_cuda(self):
        return True

    @property
    def is_cpu(self):
        return False

    def cpu(self):
        OnDevice.waits += 1
        return self.as_subclass(torch.Tensor)

    def to(self, *where, **how):
        return self.cpu() if "cpu" in where else super().to(*where, **how)

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self):
        raise TypeError("can't convert a device tensor to numpy")


class CountWaits(TorchDispatchMode):
    """Numbers read from a device tensor, and results whose size the device decides: the host waits for each."""

    waiting = (
        torch.ops.aten._local_scalar_dense,
        torch.ops.aten.nonzero,
        torch.ops.aten.equal,
        torch.ops.aten.is_nonzero,
    )

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function.overloadpacket in self.waiting and any(isinstance(a, OnDevice) for a in arguments):
            OnDevice.waits += 1
        return function(*arguments, **(options or {}))


def test_the_counter_counts():
    x = torch.ones(3).as_subclass(OnDevice)
    for wait in (lambda: bool((x > 0).all()), lambda: x.sum().item(), lambda: float(x[0]), x.tolist, x.cpu):
        OnDevice.waits = 0
        with CountWaits():
            wait()
        assert OnDevice.waits == 1
    OnDevice.waits = 0
    with CountWaits():
        assert type((x @ x + 1.0).sqrt()) is OnDevice
    assert OnDevice.waits == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("opposed", [False, True])
def test_the_host_waits_once_in_a_step_on_a_device(name, opposed, monkeypatch):
    """From the gradients to the update: one transfer at the most, whatever the method, and the same update as on the host."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    J = torch.randn(4, 2000, generator=torch.Generator().manual_seed(0))
    if opposed:
        J[1] = -J[0] + 1e-4 * J[1]
    losses, updates = torch.rand(4, generator=torch.Generator().manual_seed(1)) + 0.5, []
    for place in (OnDevice, torch.Tensor):
        aggregator, rows = Aggregator(name, torch.Generator().manual_seed(0)), J.as_subclass(place)
        for _ in range(2):
            OnDevice.waits = 0
            with CountWaits():
                update = aggregator(rows, losses.as_subclass(place))
            assert OnDevice.waits <= (place is OnDevice)
        updates.append(update.as_subclass(torch.Tensor))
    if not opposed:
        torch.testing.assert_close(*updates, rtol=1e-4, atol=1e-5 * float(updates[0].abs().max()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_on_cuda(name):
    """The same on a device: torch itself warns of every wait."""
    J = torch.randn(4, 2000, generator=torch.Generator().manual_seed(0))
    losses = torch.rand(4, generator=torch.Generator().manual_seed(1)) + 0.5
    there, here = (Aggregator(name, torch.Generator().manual_seed(0)) for _ in range(2))
    there(J.cuda(), losses.cuda())
    here(J, losses)
    rows, values = J.cuda(), losses.cuda()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            update = there(rows, values)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sum("synchroniz" in str(warning.message) for warning in seen) <= 1
    expected = here(J, losses)
    torch.testing.assert_close(update.cpu(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", [n for n in NAMES if hrgrad.load_method(n).needs == "gramian"])
@pytest.mark.parametrize("opposed", [False, True])
def test_one_transfer_brings_the_gramian_and_the_losses(name, opposed):
    J = torch.randn(4, 2000, generator=torch.Generator().manual_seed(0))
    if opposed:  # what would be looked at twice on a CPU
        J[1] = -J[0] + 1e-4 * J[1]
    losses = torch.ones(4)
    problem = hrgrad.Problem(J.as_subclass(OnDevice))
    method = hrgrad.load_method(name)
    options = method.Options.read()
    OnDevice.waits = 0
    host = problem.bring(losses.as_subclass(OnDevice))
    assert type(host) is torch.Tensor
    expected = hrgrad.Problem(J)
    torch.testing.assert_close(torch.from_numpy(problem.gramian), (J.double() @ J.double().T), rtol=1e-13, atol=1e-9)
    found, _ = method.direction(
        problem, host, method.initial_state(4, options), options, torch.Generator().manual_seed(0)
    )
    assert OnDevice.waits == 1
    same, _ = method.direction(
        expected, losses, method.initial_state(4, options), options, torch.Generator().manual_seed(0)
    )
    if not opposed:
        torch.testing.assert_close(found.weights, same.weights, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [hrgrad.MConFIG, lambda: hrgrad.HRGrad(momentum=True)], ids=["mconfig", "hrgrad"])
def test_one_task_per_step_renews_one_row_of_the_gramian(make, monkeypatch):
    loop, aggregator = Loop(), make()
    calls = []
    real = momentum.gramian_row
    monkeypatch.setattr(momentum, "gramian_row", lambda M, row: calls.append(row) or real(M, row))
    optimizer = torch.optim.SGD(loop.parameters, lr=1e-2)
    start = [p.detach().clone() for p in loop.parameters]
    total = [float(sum(loop.losses()).detach())]
    for k in range(150):
        task = k % M
        aggregator.backward([loop.losses()[task]], loop.parameters, tasks=[task], m=M)
        assert calls == [task]
        calls.clear()
        optimizer.step()
        total.append(float(sum(loop.losses()).detach()))
        momenta = aggregator.state["momenta"]
        torch.testing.assert_close(aggregator.state["moment_gramian"], momenta @ momenta.T)
        if k < M - 1:
            assert aggregator.direction.status == "waiting"
            assert all(torch.equal(p, q) for p, q in zip(loop.parameters, start, strict=True))
    assert total[-1] < 0.7 * total[0]


def test_all_tasks_one_by_one_before_a_step_equal_all_at_once():
    """Every task seen once: the same momenta, whichever way they came."""
    J = torch.randn(M, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    one, many = hrgrad.MConFIG(), hrgrad.MConFIG()
    for k in range(M):
        last = many(J[k : k + 1], tasks=[k], m=M)
    torch.testing.assert_close(last, one(J))
    torch.testing.assert_close(many(J[:2], tasks=[0, 1]).shape, one(J).shape)


def test_restored_on_gradients_of_another_number_of_parameters():
    aggregator, other = hrgrad.MConFIG(), hrgrad.MConFIG()
    aggregator(torch.eye(3, 5, dtype=torch.float64))
    other.load_state_dict(aggregator.state_dict())
    with pytest.raises(ValueError, match="holds 5 parameters, the gradients have 6"):
        other(torch.eye(3, 6, dtype=torch.float64))


def test_classes_are_named_and_the_same_every_time():
    assert hrgrad.ConFIG is hrgrad.ConFIG
    assert hrgrad.ConFIG.__name__ == "ConFIG"
    assert isinstance(hrgrad.ConFIG(), Aggregator)
    with pytest.raises(AttributeError, match="Did you mean 'ConFIG'"):
        hrgrad.ConFGI  # noqa: B018


def bad_gradient(k, value, needs_jacobian=True):
    loop = Loop()
    losses = loop.losses()
    losses[k] = losses[k] + value * loop.heads[k].sum()
    (hrgrad.HRGrad() if needs_jacobian else hrgrad.UW()).backward(losses, loop.parameters)


LEAF = torch.ones(3, dtype=torch.float64, requires_grad=True)


def restore(name, saved, **options):
    Aggregator(name, **options).load_state_dict(saved)


def momenta():
    aggregator = hrgrad.HRGrad(momentum=True)
    aggregator(torch.eye(3, dtype=torch.float64))
    return aggregator.state_dict()


def second_call(rows):
    aggregator = hrgrad.FAMO()
    aggregator(torch.eye(3, dtype=torch.float64), torch.ones(3))
    aggregator(torch.eye(rows, dtype=torch.float64), torch.ones(rows))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bad_gradient(1, float("nan")), "the gradient of loss 1 is not finite"),
        (lambda: bad_gradient(2, float("inf")), "the gradient of loss 2 is not finite"),
        (lambda: bad_gradient(2, float("nan"), False), "loss 2 is not finite"),
        (lambda: hrgrad.HRGrad().backward([], [LEAF]), "at least one loss"),
        (lambda: hrgrad.HRGrad().backward([LEAF.sum()], []), "at least one parameter"),
        (lambda: hrgrad.HRGrad().backward([LEAF.sum()], [LEAF.detach()]), "none of the parameters requires"),
        (lambda: hrgrad.HRGrad().backward([LEAF], [LEAF]), r"loss 0 must be a scalar .* \(3,\)"),
        (
            lambda: hrgrad.HRGrad()(torch.eye(3), torch.ones(2)),
            r"losses must be a tensor of shape \(3,\), found \(2,\)",
        ),
        (lambda: hrgrad.FAMO()(torch.eye(3), [1.0, 2.0, 3.0]), r"losses must be a tensor of shape \(3,\), found list"),
        (lambda: second_call(2), "2 losses were given, but the state is of 3"),
        (lambda: hrgrad.MConFIG()(torch.eye(1, 3), tasks=[1]), "needs m"),
        (lambda: hrgrad.MConFIG()(torch.eye(1, 3), tasks=[4], m=3), "must name 1 different tasks of m=3"),
        (lambda: hrgrad.MConFIG()(torch.eye(1, 3), tasks=[0.5], m=3), "must name 1 different tasks of m=3"),
        (lambda: hrgrad.LS().backward([LEAF.sum()], [LEAF], tasks=[0], m=2), "combines all losses"),
        (lambda: hrgrad.HRGrad()(torch.eye(1, 3), tasks=[0], m=3), "combines all losses"),
        (lambda: hrgrad.RGB().backward([LEAF.sum()], [LEAF], tasks=[0], m=2), "combines all losses"),
        (lambda: Aggregator("hgrad"), "Did you mean 'hrgrad'"),
        (lambda: hrgrad.HRGrad(penlty=1.0), "Did you mean 'penalty'"),
        (lambda: restore("config", momenta()), "a state of method 'hrgrad' does not fit 'config'"),
        (lambda: restore("hrgrad", momenta()), "does not fit its options here; it was written with {'momentum': True}"),
        (lambda: restore("hrgrad", {}), "a state of method None"),
        (lambda: hrgrad.FAMO().observe(torch.ones(3)), "observe comes after a step"),
    ],
)
def test_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", NAMES)
def test_one_call_names_the_loss_whose_gradient_is_not_finite(name):
    J = torch.ones(3, 2000)
    J[1, 1500] = float("nan")
    with pytest.raises(ValueError, match="the gradient of loss 1 is not finite"):
        hrgrad.aggregate(name, J, torch.ones(3))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("power", [80, -80])
def test_single_precision_gradients_whose_squares_leave_its_range(name, power):
    """1e24 and 1e-24: the update scales with them, exactly where the method claims it, and is finite in any case."""
    J = torch.randn(4, 3000, generator=torch.Generator().manual_seed(0))
    u, v = (hrgrad.aggregate(name, c * J, torch.ones(4), torch.Generator().manual_seed(0)) for c in (1.0, 2.0**power))
    assert torch.isfinite(v).all()
    method = hrgrad.load_method(name)
    assert float(v.abs().max()) > 0.0 or method.is_step(method.Options.read()), "Adam's own squares may leave it"
    if "scale_equivariant" in method.properties:
        torch.testing.assert_close(v / 2.0**power, u, rtol=1e-4, atol=1e-5 * float(u.abs().max()))


def test_single_precision_one_task_per_step_whose_squares_leave_its_range():
    J, aggregator = 1e25 * torch.randn(3, 3000, generator=torch.Generator().manual_seed(0)), hrgrad.MConFIG()
    for task in (0, 1, 2, 0):
        update = aggregator(J[task : task + 1], tasks=[task], m=3)
    assert torch.isfinite(update).all()
    M = aggregator.state["momenta"].double()
    torch.testing.assert_close(
        aggregator.state["moment_gramian"], M @ M.T, rtol=1e-6, atol=1e-6 * float((M @ M.T).max())
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 3])
def test_within_autocast_nothing_is_rounded_to_half_precision(name, threads):
    J, before = torch.randn(4, 3000, generator=torch.Generator().manual_seed(0)), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        here, there = (Aggregator(name, torch.Generator().manual_seed(0)) for _ in range(2))
        for _ in range(2):
            u = here(J, torch.ones(4))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                v = there(J, torch.ones(4))
    finally:
        torch.set_num_threads(before)
    assert v.dtype == torch.float32
    torch.testing.assert_close(v, u)


def test_a_part_that_two_models_have_in_common_counts_once():
    encoder = torch.nn.Linear(3, 4)
    one, two = (torch.nn.Sequential(encoder, torch.nn.Linear(4, 1)) for _ in range(2))
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))

    def norms(parameters):
        aggregator = hrgrad.HRGrad()
        aggregator.backward([one(x).square().mean(), (two(x) - 1.0).square().mean()], parameters)
        return torch.from_numpy(aggregator.diagnostics()["norms"])

    once = [*encoder.parameters(), *one[1].parameters(), *two[1].parameters()]
    torch.testing.assert_close(norms([*one.parameters(), *two.parameters()]), norms(once))
    torch.testing.assert_close(norms(dict(enumerate(once))), norms(once))


@pytest.mark.parametrize("make", [hrgrad.HRGrad, hrgrad.LS])
def test_sparse_gradients_of_an_embedding(make):
    def grads(sparse):
        torch.manual_seed(0)
        table, head = torch.nn.Embedding(10, 4, sparse=sparse), torch.nn.Linear(4, 1)
        y = head(table(torch.tensor([1, 2, 2])))
        make().backward([y.square().mean(), (y - 1.0).square().mean()], [*table.parameters(), *head.parameters()])
        return table.weight.grad

    assert not grads(True).is_sparse
    torch.testing.assert_close(grads(True), grads(False))


def test_a_prompt_completes_the_names():
    assert {"HRGrad", "ConFIG", "aggregate", "jacobian", "method_names"} <= set(dir(hrgrad))
    assert all(hasattr(hrgrad, name) for name in dir(hrgrad))


@pytest.mark.parametrize("name", NAMES)
def test_an_aggregator_can_be_pickled(name):
    """To another process, with what the last step was; it goes on with equal numbers."""
    J, losses = torch.randn(4, 20, generator=torch.Generator().manual_seed(0)), torch.ones(4)
    here = Aggregator(name, torch.Generator().manual_seed(0))
    here(J, losses)
    there = pickle.loads(pickle.dumps(here))
    for key, value in here.diagnostics().items():
        np.testing.assert_array_equal(there.diagnostics()[key], value)
    assert torch.equal(there(2.0 * J, losses), here(2.0 * J, losses))


@pytest.mark.parametrize("options", [{}, {"momentum": True}], ids=["", "momentum"])
@pytest.mark.parametrize("name", NAMES)
def test_the_precision_of_the_gradients_may_change(name, options):
    if options and name != "hrgrad":
        return
    J, aggregator = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)), Aggregator(name, **options)
    for dtype in (torch.float32, torch.float64, torch.float32):
        assert aggregator(J.to(dtype), torch.ones(3)).dtype == dtype
