"""Every method against the outputs of published implementations (inputs, random draws and producers in the data file).

Where two producers disagree with each other or with the paper, the test says which one is followed.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import hrgrad
from hrgrad.descent import adam_state
from hrgrad.methods.graddrop import drop
from hrgrad.methods.gradvac import gradvac_weights
from hrgrad.methods.pcgrad import pcgrad_weights
from hrgrad.methods.rotograd import Rotation

DATA = json.loads((Path(__file__).parent / "data" / "published.json").read_text())
MATRICES = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in DATA["_meta"]["matrices"].items()}


def entries(title, *, producer="", without=()):
    found = [e for e in DATA[title] if producer in e["produced_by"] and not any(w in e["produced_by"] for w in without)]
    assert found
    return found


def matrix(entry):
    return MATRICES[entry["input"]["J"]]


def tolerance(entry, digits=8):
    return 3.0 * 10.0 ** -min(entry.get("digits", digits), 9)


def check(update, entry, key="update", digits=8):
    expected = np.array(entry["output"][key])
    size = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(update), expected, rtol=0, atol=tolerance(entry, digits) * size)


@pytest.mark.parametrize("entry", entries("LS"))
def test_ls(entry):
    check(hrgrad.aggregate("ls", matrix(entry), reduction=entry["hyperparameters"]["reduction"]), entry)


@pytest.mark.parametrize("entry", entries("ConFIG"))
def test_config(entry):
    check(hrgrad.aggregate("config", matrix(entry)), entry, digits=10)


@pytest.mark.parametrize("entry", entries("AlignGrad"))
def test_aligngrad(entry):
    check(hrgrad.aggregate("aligngrad", matrix(entry)), entry, digits=10)
    found, _ = hrgrad.load_method("aligngrad").direction(hrgrad.Problem(matrix(entry)), None, {}, None)
    assert found.diagnostics["score"] == pytest.approx(entry["output"]["score"], rel=1e-12)


@pytest.mark.parametrize("entry", entries("MGDA", producer="exact min-norm"))
def test_mgda_against_the_exact_quadratic_program(entry):
    option = entry["hyperparameters"]["normalization"]
    check(hrgrad.aggregate("mgda", matrix(entry), normalization=option), entry, key="min_norm_point")


def test_mgda_is_better_than_frank_wolfe_at_its_defaults():
    """The peer's default stops at 2e-3 of the weights: its update is longer than the shortest one."""
    entry = next(e for e in entries("MGDA", producer="defaults") if e["input"]["J"] == "J3")
    ours = hrgrad.aggregate("mgda", matrix(entry)).norm()
    theirs = torch.tensor(entry["output"]["update"], dtype=torch.float64).norm()
    assert 0.0 < theirs - ours < 1e-4


@pytest.mark.parametrize("entry", entries("IMTL-G", without=("LibMTL",)))
def test_imtlg(entry):
    check(hrgrad.aggregate("imtlg", matrix(entry)), entry, digits=10)


@pytest.mark.parametrize("entry", entries("Aligned-MTL"))
def test_alignedmtl(entry):
    given = entry["hyperparameters"]
    preference = "mean" if given["pref"] == "1/m" else "ones"
    scale = given.get("scale_mode", "min")
    digits = 6 if "LibMTL" in entry["produced_by"] else 10  # LibMTL works in float32
    check(hrgrad.aggregate("alignedmtl", matrix(entry), scale=scale, preference=preference), entry, digits=digits)


@pytest.mark.parametrize("entry", entries("Nash-MTL"))
def test_nashmtl(entry):
    limit = float(entry["hyperparameters"].get("max_norm", 0.0))
    check(hrgrad.aggregate("nashmtl", matrix(entry), max_norm=limit), entry, digits=9)
    check(hrgrad.aggregate("fairgrad", matrix(entry), alpha=1.0), entry) if limit == 0.0 else None


@pytest.mark.parametrize("entry", entries("UPGrad"))
def test_upgrad(entry):
    check(hrgrad.aggregate("upgrad", matrix(entry)), entry, digits=3)  # the peer regularises by 1e-4 of the trace


@pytest.mark.parametrize("entry", entries("PCGrad", producer="torchjd"))
def test_pcgrad(entry):
    J = matrix(entry)
    orders = np.array([[j for j in row if j != i] for i, row in enumerate(entry["input"]["orders"])])
    check(pcgrad_weights((J @ J.T).numpy(), orders) @ J.numpy(), entry, digits=9)


@pytest.mark.parametrize("entry", entries("GradVac", producer="torchjd"))
def test_gradvac(entry):
    J = matrix(entry).numpy()
    m = len(J)
    phi = np.zeros((m, m))
    others = np.array([[j for j in range(m) if j != i] for i in range(m)])
    for order, expected in zip(entry["input"]["orders"], entry["output"]["updates"], strict=True):
        orders = np.take_along_axis(others, np.array(order), 1)
        w, phi = gradvac_weights(J @ J.T, phi, orders, entry["hyperparameters"]["beta"])
        np.testing.assert_allclose(w @ J, expected, atol=2e-8)  # the peer adds eps = 1e-8 to its norms
    np.testing.assert_allclose(phi, entry["output"]["phi_after"], atol=1e-7)


def direction(name, losses, state=None, **options):
    method = hrgrad.load_method(name)
    options = method.Options.read(**options)
    losses = torch.tensor(losses, dtype=torch.float64)
    state = method.initial_state(len(losses), options) if state is None else state
    found, state = method.direction(hrgrad.Problem(m=len(losses)), losses, state, options)
    return found, state


@pytest.mark.parametrize("entry", entries("UW"))
def test_uw(entry):
    start = entry["hyperparameters"]["log_var_init"]
    found, state = direction("uw", entry["input"]["losses"], start=start)
    np.testing.assert_allclose(found.weights, entry["output"]["dvalue_dloss"], rtol=1e-6)
    # the first moment of Adam is a tenth of the gradient in s
    np.testing.assert_allclose(state["first"] / 0.1, entry["output"]["d_log_var"], rtol=1e-6)


@pytest.mark.parametrize("entry", entries("IMTL-L"))
def test_imtll(entry):
    scale = torch.tensor(entry["hyperparameters"]["log_scale"], dtype=torch.float64)
    state = {**adam_state(len(scale)), "x": scale}
    found, state = direction("imtll", entry["input"]["losses"], state)
    np.testing.assert_allclose(found.weights, entry["output"]["dvalue_dloss"], rtol=1e-12)
    assert found.diagnostics["value"] == pytest.approx(entry["output"]["value"], rel=1e-12)
    np.testing.assert_allclose(state["first"] / 0.1, entry["output"]["d_log_scale"], rtol=1e-9)


@pytest.mark.parametrize("entry", entries("GLS"))
def test_gls(entry):
    found, _ = direction("gls", entry["input"]["losses"])
    np.testing.assert_allclose(found.weights, entry["output"]["dvalue_dloss"], rtol=1e-12)
    np.testing.assert_allclose(direction("si", [0.5, 4.0])[0].weights, [2.0, 0.25], rtol=1e-15)


def test_stch():
    entry = entries("STCH")[0]
    found, _ = direction("stch", entry["input"]["losses"], mu=entry["hyperparameters"]["mu"])
    np.testing.assert_allclose(found.weights, entry["output"]["dvalue_dloss"], rtol=1e-12)
    assert found.diagnostics["value"] == pytest.approx(entry["output"]["value"], rel=1e-12)


@pytest.mark.parametrize("entry", entries("DWA"))
def test_dwa(entry):
    epochs = entry["input"]["epochs"]
    state, weights = None, []
    for losses in (batch for epoch in epochs for batch in epoch):
        found, state = direction("dwa", losses, state, epoch=len(epochs[0]))
        weights.append(found.weights)
    for found, expected in zip(weights, entry["output"]["per_batch"], strict=True):
        np.testing.assert_allclose(found, expected["weights"], rtol=1e-12)


@pytest.mark.parametrize("entry", entries("FAMO"))
def test_famo(entry):
    method = hrgrad.load_method("famo")
    options = method.Options.read(gamma=entry["hyperparameters"]["weight_decay"])
    state = None
    steps = zip(entry["input"]["losses_before"], entry["input"]["losses_after_step"], strict=True)
    for (before, after), expected in zip(steps, entry["output"]["per_step"], strict=True):
        found, state = direction("famo", before, state)
        np.testing.assert_allclose(found.weights, expected["dvalue_dloss"], rtol=1e-6)
        before, after = (torch.tensor(values, dtype=torch.float64) for values in (before, after))
        state = method.observe(before, after, state, options)
        np.testing.assert_allclose(state["x"], expected["logits_after"], atol=1e-7)


def test_rlw_draws_the_softmax_of_normals():
    method = hrgrad.load_method("rlw")
    for entry in DATA["RLW"][:2]:
        generator = torch.Generator().manual_seed(entry["input"]["seed"])
        found, _ = method.direction(hrgrad.Problem(m=entry["input"]["m"]), None, {}, None, generator)
        np.testing.assert_allclose(found.weights, entry["output"]["weights"], rtol=1e-12)


@pytest.mark.parametrize("entry", entries("CAGrad"))
def test_cagrad(entry):
    given = entry["hyperparameters"]
    c = given.get("c", given.get("calpha"))
    rescale = 0 if given["rescale"] == "none" else int(given["rescale"])
    check(hrgrad.aggregate("cagrad", matrix(entry), c=c, rescale=rescale), entry)


@pytest.mark.parametrize("entry", entries("GradDrop"))
def test_graddrop(entry):
    leak = entry["hyperparameters"]["leak"]
    leak = torch.tensor(leak, dtype=torch.float64) if isinstance(leak, list) else leak
    check(drop(matrix(entry), torch.tensor(entry["input"]["U"], dtype=torch.float64), leak), entry, digits=10)


@pytest.mark.parametrize("entry", entries("GradNorm", producer="gradnorm-pytorch"))
def test_gradnorm(entry):
    """That package averages over the tasks (lr / m) and takes r^-alpha: equal only with the sign turned round."""
    given, J = entry["hyperparameters"], matrix(entry)
    method = hrgrad.load_method("gradnorm")
    options = method.Options.read(alpha=-given["alpha"], lr=given["lr"] / len(J))
    state = method.initial_state(len(J), options)
    for expected in entry["output"]["per_step"]:
        losses = torch.tensor(expected["losses"], dtype=torch.float64)
        found, state = method.direction(hrgrad.Problem(J), losses, state, options)
        np.testing.assert_allclose(found.weights @ J, expected["P_grad"], atol=3e-5)
        np.testing.assert_allclose(state["w"], expected["weights_after"], rtol=3e-5)


@pytest.mark.parametrize("entry", entries("MoCo"))
def test_moco(entry):
    J, losses = matrix(entry), torch.tensor(entry["input"]["losses"], dtype=torch.float64)
    method = hrgrad.load_method("moco")
    options = method.Options.read(project="softmax", scaled=True)
    state = method.initial_state(len(J), options)
    for update, weights in zip(entry["output"]["updates"], entry["output"]["lambda"], strict=True):
        found, state = method.direction(hrgrad.Problem(J), losses, state, options)
        np.testing.assert_allclose(found.vector, update, atol=3e-6)
        np.testing.assert_allclose(state["lambda"], weights, atol=3e-6)
    np.testing.assert_allclose(state["y"], entry["output"]["y_after"], atol=1e-5)


@pytest.mark.parametrize("entry", entries("RGB"))
def test_rgb(entry):
    """The producer starts d at the first mean, renormalises it and keeps the angles between calls."""
    given = entry["hyperparameters"]
    method = hrgrad.load_method("rgb")
    options = method.Options.read(
        mu=given["mu"], penalty=given["lambd"], steps=given["alpha_steps"], lr=given["lr_inner"], warm=True
    )
    calls = [torch.tensor(rows, dtype=torch.float64) for rows in entry["input"]["J_per_call"]]
    state = method.initial_state(len(calls[0]), options)
    names = ("updates", "alphas", "ema_direction")
    for J, *expected in zip(calls, *(entry["output"][name] for name in names), strict=True):
        found, state = method.direction(hrgrad.Problem(J), None, state, options)
        for value, wanted in zip((found.vector, state["alpha"], state["direction"]), expected, strict=True):
            np.testing.assert_allclose(value, wanted, atol=3e-5)


@pytest.mark.parametrize("entry", entries("M-ConFIG"))
def test_mconfig(entry):
    J = matrix(entry)
    method = hrgrad.load_method("mconfig")
    options = method.Options.read()
    state = method.initial_state(len(J), options)
    for call, expected in zip(entry["input"]["calls"], entry["output"]["updates"], strict=True):
        rows = tuple(call["indexes"])
        problem = hrgrad.Problem(call["scale"] * J[list(rows)], m=len(J), rows=rows)
        found, state = method.direction(problem, None, state, options)
        np.testing.assert_allclose(found.vector, expected, atol=3e-4)


def test_rotograd():
    """The shared layer's gradient through two rotated heads; the rotations themselves are the producer's."""
    entry = DATA["RotoGrad"][0]

    def tensor(values):
        return torch.tensor(values, dtype=torch.float64)

    given = entry["input"]
    W, X = tensor(given["backbone_W"]), tensor(given["X"])
    method = hrgrad.load_method("rotograd")
    options = method.Options.read()
    state = method.initial_state(2, options)
    for expected in entry["output"]["per_step"]:
        z, rows, losses = X @ W.T, [], []
        for head, target, rotation in zip(given["head_W"], given["Y"], expected["R_before"], strict=True):
            leaf = z.clone().requires_grad_()
            loss = ((leaf @ tensor(rotation).T @ tensor(head).T - tensor(target)) ** 2).mean()
            rows.append(torch.autograd.grad(loss, leaf)[0].reshape(-1))
            losses.append(loss.detach())
        problem = hrgrad.Problem(torch.stack(rows))
        found, state = method.direction(problem, torch.stack(losses), state, options)
        gradient = found.update(problem).view_as(z).T @ X
        np.testing.assert_allclose(gradient, expected["backbone_grad"], rtol=1e-7)


def test_rotation_aligns_the_feature_gradients():
    """Gradient descent on the loss of `Rotation` turns two opposed feature gradients into one direction."""
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(32, 4, generator=generator, dtype=torch.float64)
    rotation = Rotation(4, torch.float64)
    optimizer = torch.optim.SGD(rotation.parameters(), lr=0.05)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0]
    turn[:, 0] *= torch.linalg.det(turn)
    seen = wanted @ turn.T  # what the head's side sees of the common direction
    for _ in range(300):
        optimizer.zero_grad()
        rotation.loss(seen, wanted).backward()
        optimizer.step()
    torch.testing.assert_close(rotation.matrix().detach(), turn, rtol=0, atol=1e-3)
    torch.testing.assert_close(rotation(wanted).detach(), seen, rtol=0, atol=1e-2)


def test_lbpinn_makes_all_losses_pull_equally():
    """First step: lambda_i |g_i| = sum_j |g_j|; then a moving average; no published value was found."""
    J = MATRICES["J3"] * torch.tensor([[1.0], [1e3], [1e-3]], dtype=torch.float64)
    method = hrgrad.load_method("lbpinn")
    options = method.Options.read(beta=0.9)
    found, state = method.direction(hrgrad.Problem(J), None, method.initial_state(3, options), options)
    norms = J.norm(dim=1)
    torch.testing.assert_close(found.weights * norms, norms.sum().expand(3))
    second, _ = method.direction(hrgrad.Problem(J.flip(0)), None, state, options)
    torch.testing.assert_close(second.weights, 0.9 * found.weights + 0.1 * norms.sum() / norms.flip(0))
