"""What networks and encoders promise: tangents by their own rule, one gradient per task in one pass, both precisions, a fixed start."""

import itertools
from pathlib import Path

import pytest
import torch

from apnn.options import train_options_model
from apnn.train import Model, train
from kinetic_cli.bibliography import ENTRIES
from kinetic_cli.kinds import KINDS
from solvers.problem.read import read_case
from solvers.problem.status import BadInput

NAMES = KINDS["networks"].names()
FIXED = torch.tensor([[0, 1, 0], [1, 2, 2]])
SPLITS = {
    "plain": {"code": 1},
    "places": {"places": 3, "code": 1},
    "basis": {"places": 3, "basis": FIXED, "code": 1},
    "factorized": {"code": 1, "options": {"factorized": True}},
}

CASE = read_case(Path(__file__).parents[2] / "cases" / "transport_periodic.toml")


def options(**given):
    small = {"tasks": 2, "points": 12, "width": 8, "velocities": 6, "steps": 10, "second_steps": 20, "method": "ls"}
    return train_options_model("transport")(**{"formulation": "transport_micro_macro", **small, **given})


def make(name, split):
    kind, split = KINDS["networks"].load(name), SPLITS[split]
    network = kind(5, 3, 8, 2, **{**split, "options": kind.make_options(**split.get("options", {}))})
    return network, network.initial(torch.Generator().manual_seed(1))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tasks", [None, 3])
def test_tangent_rule_equals_automatic_differentiation(name, split, tasks):
    network, theta = make(name, split)
    lead = () if tasks is None else (tasks,)
    if tasks:
        theta = theta + 0.1 * torch.randn(tasks, theta.numel(), dtype=theta.dtype)
    else:
        theta = theta + 0.1 * torch.randn(theta.numel(), dtype=theta.dtype)
    x, dx = torch.randn(*lead, 7, 5, dtype=torch.float64), torch.randn(*lead, 7, 5, dtype=torch.float64)
    dx[..., -1] = 0.0  # the code of eps does not move with t and x
    found = network(theta, torch.stack([x, dx, 2 * dx], dim=-3))
    value, tangent = torch.autograd.functional.jvp(lambda y: network(theta, y.unsqueeze(-3)).squeeze(-3), x, dx)
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
    leaf = (theta + 0.1 * torch.randn(theta.numel(), dtype=theta.dtype)).requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf, torch.randn(1, 40, 5, dtype=theta.dtype)).square().sum(), leaf)
    assert (gradient != 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_start_follows_its_generator_in_both_precisions(name):
    network, theta = make(name, "plain")
    assert torch.equal(theta, network.initial(torch.Generator().manual_seed(1)))
    assert not torch.equal(theta, network.initial(torch.Generator().manual_seed(2)))
    single = network.initial(torch.Generator().manual_seed(1), torch.float32)
    assert network(single, torch.randn(1, 4, 5)).dtype == torch.float32


LAYERED = [
    "separable",
    "sparse",
    "random_features",
    "mlp",
    "residual_mlp",
    "modified_mlp",
    "fourier",
    "piratenet",
    "hyper",
]


@pytest.mark.parametrize("name", LAYERED)
def test_output_layer_is_linear(name):
    """What `freeze` leaves free: the outputs are an affine function of it."""
    network, theta = make(name, "plain")
    part, x = network.linear_part(), torch.randn(3, 6, 5, dtype=theta.dtype)
    shift = torch.zeros_like(theta)
    shift[part] = torch.randn(shift[part].numel(), dtype=theta.dtype)
    near, far = (network(theta + c * shift, x) - network(theta, x) for c in (1.0, 2.0))
    torch.testing.assert_close(far, 2.0 * near, rtol=1e-12, atol=1e-12)
    assert shift[part].numel() >= network.outputs


@pytest.mark.parametrize("name", ["p2inn", "mad"])
def test_code_follows_eps_alone_and_every_parameter_matters(name):
    encoder = KINDS["encoders"].load(name)(3, 8)
    assert encoder.size == sum(torch.Size(shape).numel() for _, shape in encoder.shapes)
    theta = encoder.initial(torch.Generator().manual_seed(1)).requires_grad_()
    s = torch.linspace(-1.0, 1.0, 41, dtype=torch.float64)
    z = encoder(theta, s)
    (gradient,) = torch.autograd.grad(z.square().sum(), theta)
    assert z.shape == (41, 3)
    assert (gradient != 0).all()
    columns = encoder.append(theta, s, torch.randn(3, 41, 5, dtype=torch.float64))
    assert torch.equal(columns[0, :, 5:], z)
    assert not columns[1:, :, 5:].any()
    copies = torch.stack([theta.detach(), 2.0 * theta.detach()])
    assert torch.allclose(encoder(copies, s.expand(2, -1))[0], z)


def test_spline_code_is_smooth_and_sums_to_one():
    encoder = KINDS["encoders"].load("mad")(1, 1)
    s = torch.linspace(-1.0, 1.0, 401, dtype=torch.float64, requires_grad=True)
    z = encoder(torch.ones(encoder.size, dtype=torch.float64), s)
    torch.testing.assert_close(z, torch.ones_like(z), rtol=1e-13, atol=0.0)
    ramp = encoder(torch.arange(encoder.size, dtype=torch.float64), s)
    (slope,) = torch.autograd.grad(ramp.sum(), s)
    torch.testing.assert_close(slope, torch.full_like(slope, 4.0), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network": "fourier", "network_options": {"scael": 1.0}}, "network_options of fourier.*scael.*scale"),
        ({"network_options": {"factorized": 1}}, "network_options of mlp.*bool"),
        ({"network": "hyper"}, "hyper reads a code of eps; add encoder"),
    ],
)
def test_wrong_options_are_named(given, message):
    with pytest.raises(BadInput, match=message):
        Model(CASE, options(**given), "cpu")


@pytest.mark.parametrize("name", [*NAMES, "factorized"])
@pytest.mark.parametrize("encoder", ["none", *KINDS["encoders"].names()])
def test_every_network_trains_with_every_encoder(name, encoder):
    chosen = {"network": "mlp", "network_options": {"factorized": True}} if name == "factorized" else {"network": name}
    if name == "hyper" and encoder == "none":
        pytest.skip("hyper needs a code")
    history = [s.scalars["loss"] for s in train(CASE, options(**chosen, encoder=encoder))]
    assert history[-1] < 0.5 * history[0]


def test_random_features_are_fitted_by_least_squares():
    """Gauss-Newton ends at the minimum that a least-squares solver finds for the linear residuals of transport."""
    chosen = options(
        network="random_features", width=12, points=24, second_order="gauss_newton", steps=0, second_steps=20
    )
    *_, last = train(CASE, chosen)
    r, J = Model(CASE, chosen, "cpu").residuals(0).jacobian(torch.zeros(last.state["theta"].size, dtype=torch.float64))
    theta = torch.linalg.lstsq(J, -r, driver="gelsd").solution
    assert last.scalars["loss"] == pytest.approx(0.5 * float((r + J @ theta).square().sum()), rel=1e-6)
    assert last.scalars["loss"] < 1e-2 * 0.5 * float(r.square().sum())


def gradient(**given):
    model = Model(CASE, options(**{"encoder": "p2inn", **given}), "cpu")
    theta = model.initial(torch.Generator().manual_seed(0)).expand(2, -1).clone().requires_grad_()
    losses = torch.stack(list(model.losses(theta, 0).values()))
    return torch.cat([losses.detach().flatten(), torch.autograd.grad(losses.sum(), theta)[0].flatten()])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("name", NAMES)
def test_compiled_losses_and_gradients_are_the_same(name):
    torch.testing.assert_close(gradient(network=name, compile=True), gradient(network=name), rtol=1e-10, atol=1e-10)


def test_without_a_compiler_training_goes_on_and_says_so_once(monkeypatch):
    def broken(function, **_):
        def fail(*_):
            raise RuntimeError("no C++ compiler\nand much more")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match=r"train.compile: no compiler works here \(no C\+\+ compiler\)") as said:
        history = [s.scalars["loss"] for s in train(CASE, options(compile=True))]
    assert len(said) == 1
    assert history == [s.scalars["loss"] for s in train(CASE, options())]


@pytest.mark.parametrize("kind", ["networks", "encoders"])
def test_references_are_in_the_bibliography(kind):
    keys = {key for name in KINDS[kind].names() for key in KINDS[kind].load(name).references}
    assert keys
    assert keys <= set(ENTRIES)
