"""HRGrad: what its stages guarantee, traps of float32 and near opposition, other people's loops."""

import zlib

import numpy as np
import pytest
import torch

import hrgrad
from hrgrad.methods.hrgrad import rotation_angles

RNG = np.random.default_rng(0)


def family(kind, m, size):
    RNG = np.random.default_rng(zlib.crc32(f"{kind} {m} {size}".encode()))  # the same set in any order of the tests
    J = RNG.normal(size=(m, size))
    match kind:
        case "mild":
            J += 0.5 * RNG.normal(size=size)
        case "severe":
            J -= 0.95 * J.mean(axis=0)
        case "clusters":
            J = RNG.normal(size=size) + 0.3 * J
            J[0] = -J[1:].mean(axis=0) + 0.3 * RNG.normal(size=size)
        case "duplicates":
            J[-1] = J[0]
        case "zero row":
            J[0] = 0.0
        case "sixteen decades":
            J *= 10.0 ** RNG.uniform(-8, 8, size=(m, 1))
        case "opposed":
            J[1] = -J[0] + 1e-3 * J[1]
    return torch.from_numpy(J)


KINDS = ("generic", "mild", "severe", "clusters", "duplicates", "zero row", "sixteen decades", "opposed")


@pytest.mark.parametrize("method", hrgrad.method_names())
@pytest.mark.parametrize("kind", KINDS)
def test_claims(method, kind):
    for m in (2, 3, 5, 8):
        for size in (3, 40):
            hold_to_claims(method, (kind, m, size))


def hold_to_claims(method, case):
    """What `method` says of itself is true on one set of gradients."""
    J = family(*case)
    losses = torch.ones(len(J), dtype=torch.float64)
    claims = hrgrad.load_method(method).properties

    def update(rows):
        return hrgrad.aggregate(method, rows, losses)

    u = update(J)
    assert torch.isfinite(u).all()
    norms = J.norm(dim=1)
    live = norms > 0
    if float(u.norm()) == 0.0:
        return
    cosines = (J[live] @ u) / norms[live] / u.norm()
    if "non_conflicting" in claims:
        assert cosines.min() > -1e-9
    if {"scale_equivariant", "deterministic"} <= claims:
        # a power of two scales without rounding, so that nothing but an absolute threshold can break this
        torch.testing.assert_close(update(2.0**-12 * J), 2.0**-12 * u, rtol=1e-12, atol=1e-300)
    # dependent or nearly opposed gradients: the direction is discontinuous, another order of rounding may change it
    regular = case[0] not in ("duplicates", "opposed") and case[1] <= case[2]
    if regular and {"permutation_equivariant", "deterministic"} <= claims:
        order = torch.from_numpy(RNG.permutation(len(J)))
        torch.testing.assert_close(update(J[order]), u, rtol=1e-5, atol=1e-6 * float(u.norm()))


@pytest.mark.parametrize("m", [2, 3, 5, 8])
def test_hrgrad_is_config_without_conflict_and_when_taken_literally(m):
    free = torch.from_numpy(np.abs(RNG.normal(size=(m, 30))))
    torch.testing.assert_close(hrgrad.aggregate("hrgrad", free), hrgrad.aggregate("config", free), rtol=1e-10, atol=0)
    J = family("severe", m, 30)
    literal = hrgrad.aggregate("hrgrad", J, literal=True)
    torch.testing.assert_close(literal, hrgrad.aggregate("config", J), rtol=1e-10, atol=1e-12)
    if m > 2:
        assert (hrgrad.aggregate("hrgrad", J) - literal).norm() > 1e-3 * literal.norm()


@pytest.mark.parametrize("m", [3, 5, 8])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 4.0])
def test_rotated_gradients_never_conflict(m, penalty):
    """By construction, for every lambda: the box keeps r_i in the dual cone and between a_i and the anchor."""
    from hrgrad.cone import anchor

    for _ in range(20):
        J = family("severe", m, 30).numpy()
        a = J / np.linalg.norm(J, axis=1, keepdims=True)
        C = a @ a.T
        beta, _ = anchor(C, "minnorm")
        p = C @ beta
        turning = (C < -1e-12).any(axis=1)
        phi = rotation_angles(C, p, turning, penalty)
        theta, v = np.arccos(p), beta @ a
        u = (a - p[:, None] * v) / np.sin(theta)[:, None]
        r = np.cos(phi)[:, None] * v + np.sin(phi)[:, None] * u
        np.testing.assert_allclose(np.linalg.norm(r, axis=1), 1.0, rtol=1e-10)
        assert (phi <= theta + 1e-12).all()
        assert (phi >= 0).all()
        assert (r @ r.T).min() > -1e-10
        assert (r[turning] @ a.T).min() > -1e-10


def test_original_length_reaches_the_pareto_set():
    """|theta - e|^2 and |theta + e|^2: plain steps settle on the segment; the paper's length goes on jittering."""
    e = torch.tensor([1.0, 0.0], dtype=torch.float64)
    ends = {}
    for magnitude in ("original", "rotated"):
        theta = torch.tensor([0.2, 0.8], dtype=torch.float64)
        for _ in range(400):
            J = torch.stack([2 * (theta - e), 2 * (theta + e)])
            theta = theta - 0.05 * hrgrad.aggregate("hrgrad", J, magnitude=magnitude)
        ends[magnitude] = abs(float(theta[1]))
    assert ends["original"] < 1e-5
    assert ends["rotated"] > 1e-3


@pytest.mark.parametrize("method", ["config", "hrgrad"])
def test_nearly_opposed_float32_gradients(method):
    """Angle pi - 1e-3 in float32: the direction is that of float64, where truncated pseudo-inverses turn 90 degrees away."""
    a = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    b = torch.randn(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    b -= (b @ a) / (a @ a) * a
    a, b = a / a.norm(), b / b.norm()
    J = torch.stack([a, -a * np.cos(1e-3) + b * np.sin(1e-3)])
    exact = hrgrad.aggregate(method, J)
    found = hrgrad.aggregate(method, J.float()).double()
    assert float(found @ exact / found.norm() / exact.norm()) > 0.999
    assert float((J @ exact).min()) > 0


def test_stationary_is_reported():
    J = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    aggregator = hrgrad.HRGrad()
    assert aggregator(J).norm() == 0
    assert aggregator.direction.status == "stationary"


def test_aggregator_in_another_loop():
    """A user's own torch loop: parameters that one loss does not use, any torch optimizer, a state that comes back."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    extra = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.Adam([*model.parameters(), extra], lr=1e-2)
    x = torch.randn(32, 2, dtype=torch.float64)
    aggregator = hrgrad.HRGrad()
    history = []
    for _ in range(100):
        y = model(x)
        losses = [(y[:, 0] - x.sum(1)).square().mean() + extra.square().sum(), (y[:, 1] - x.prod(1)).square().mean()]
        aggregator.backward(losses, [*model.parameters(), extra])
        optimizer.step()
        history.append(float(sum(losses).detach()))
    assert history[-1] < 0.3 * history[0]
    again = hrgrad.HRGrad()
    again.load_state_dict(aggregator.state_dict())
    J = family("severe", 2, 10)
    torch.testing.assert_close(again(J), aggregator(J), rtol=0, atol=0)
    with pytest.raises(ValueError, match="does not fit"):
        hrgrad.ConFIG().load_state_dict(aggregator.state_dict())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hrgrad.aggregate("hrgrd", torch.eye(2)), "hrgrad"),
        (lambda: hrgrad.aggregate("hrgrad", torch.eye(2), anchr="rays"), "anchor"),
        (lambda: hrgrad.aggregate("hrgrad", torch.eye(2), anchor="ray"), "rays"),
        (lambda: hrgrad.aggregate("hrgrad", torch.tensor([[1.0, float("nan")], [0.0, 1.0]])), "0"),
        (lambda: hrgrad.aggregate("hrgrad", torch.ones(3)), "shape"),
        (lambda: hrgrad.HRGrad().backward([], []), "at least one loss"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises((ValueError, KeyError, TypeError), match=message):
        call()


def test_import_needs_torch_and_numpy_alone():
    """With everything else of the house and of the peers barred, all methods give a direction."""
    import subprocess
    import sys

    barred = "scipy numba h5py cdd pydantic typer rich matplotlib cvxpy torchjd conflictfree solvers apnn kinetic_cli"
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({barred.split()}));"
        "import hrgrad, torch; J, L = torch.randn(4, 9) - 0.5, torch.ones(4);"
        "print(sum(bool(hrgrad.aggregate(name, J, L).isfinite().all()) for name in hrgrad.method_names()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(hrgrad.method_names())


def test_the_example_of_the_package_runs():
    import doctest

    found = doctest.testmod(hrgrad)
    assert found.attempted > 5
    assert found.failed == 0


def test_steps_with_one_task_at_a_time_remember_all_losses(monkeypatch):
    """(17) sees the m last losses, each task's change against its own last value; tasks not evaluated are unchanged."""
    from hrgrad.methods import hrgrad as module

    seen, real = [], module.adaptive_steps
    monkeypatch.setattr(module, "adaptive_steps", lambda *a: seen.append(real(*a)) or seen[-1])
    aggregator = hrgrad.HRGrad(momentum=True, solver="steps", steps_min=2, steps_max=40)
    J = family("severe", 3, 12)
    for k, loss in enumerate((4.0, 2.0, 1.0, 4.0, 1.0, 1.0)):
        aggregator(J[k % 3 : k % 3 + 1], torch.tensor([loss]), tasks=[k % 3], m=3)
    assert aggregator.state["losses"].tolist() == [4.0, 1.0, 1.0]
    spread = np.std([0.0, -0.5, 0.0])  # the fifth step: task 1 fell from 2 to 1
    assert seen == [2, 2, 2, 2, 2 + round(38 * spread / (spread + 1)), 2]
