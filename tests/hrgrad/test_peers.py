"""The same gradients to this package and to torchjd and conflictfree (`pip install 'kinetic-ap[peers]'`): equal where the peers
are right; where they are wrong the test says so. Values of a time when they were not installed: test_published_values.py.
"""

import numpy as np
import pytest
import torch

import hrgrad

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def peer(package, module):
    return pytest.importorskip(f"{package}.{module}", reason=f"{package} is not installed: pip install '.[peers]'")


def gradients(m, size=40, seed=0, dtype=torch.float64, severe=0.0):
    """Independent directions, less `severe` times their mean: the closer to 1, the more they conflict."""
    J = np.random.default_rng(seed).normal(size=(m, size))
    return torch.from_numpy(J - severe * J.mean(axis=0)).to(dtype)


def opposed(m, angle, size=20_000):
    """m float32 gradients of different lengths; all others at `pi - angle` to the first, lengths 1e-2 to 1e2."""
    rng = np.random.default_rng(m)
    Q = np.linalg.qr(rng.normal(size=(size, m)))[0].T
    J = np.vstack([Q[:1], -np.cos(angle) * Q[:1] + np.sin(angle) * Q[1:]])
    return torch.from_numpy(J * np.geomspace(1e-2, 1e2, m)[:, None]).float()


def degrees(u, v):
    u, v = u.double(), v.double()
    return float(
        torch.rad2deg(torch.atan2((u / u.norm() - v / v.norm()).norm(), (u / u.norm() + v / v.norm()).norm()) * 2)
    )


@pytest.mark.parametrize("m", [2, 3, 5, 8])
@pytest.mark.parametrize(
    ("name", "title", "given", "options", "tolerance"),
    [
        ("ls", "Sum", {}, {}, 1e-12),
        ("config", "ConFIG", {}, {}, 1e-8),
        ("imtlg", "IMTLG", {}, {}, 1e-8),
        ("alignedmtl", "AlignedMTL", {}, {}, 1e-8),
        ("mgda", "MGDA", {"epsilon": 1e-8, "max_iters": 20_000}, {}, 1e-2),  # Frank-Wolfe converges like 1/k
        ("cagrad", "CAGrad", {"c": 0.5}, {"c": 0.5, "rescale": 0}, 1e-3),  # it solves to 1e-5 of the weights
        ("upgrad", "UPGrad", {}, {}, 1e-2),  # it regularises by 1e-4 of the trace
        ("nashmtl", "NashMTL", {"optim_niter": 200}, {}, 5e-2),  # successive linearisation, stopped early
        ("fairgrad", "FairGrad", {"alpha": 2.0}, {"alpha": 2.0}, 1e-4),
    ],
)
def test_equal_to_torchjd(name, title, given, options, tolerance, m):
    if title == "NashMTL":
        given = {**given, "n_tasks": m}
    theirs = getattr(peer("torchjd", "aggregation"), title)(**given)
    for J in (gradients(m, seed=m), gradients(m, seed=m + 100, severe=0.5)):
        ours, expected = hrgrad.aggregate(name, J, **options), theirs(J)
        assert float((ours - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("m", [2, 3, 5, 8])
def test_equal_to_conflictfree(m):
    operators = peer("conflictfree", "grad_operator")
    J = gradients(m, seed=m, dtype=torch.float32)
    for name, title in (("config", "ConFIGOperator"), ("imtlg", "IMTLGOperator")):
        theirs = getattr(operators, title)().calculate_gradient(J)
        ours = hrgrad.aggregate(name, J)
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-3


@pytest.mark.parametrize("m", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("name", ["config", "hrgrad"])
def test_nearly_opposed_gradients_keep_their_direction(name, m):
    """Angle pi - 1e-3 in float32: ours is the float64 direction of the same numbers and opposes no gradient."""
    J = opposed(m, 1e-3)
    found, exact = hrgrad.aggregate(name, J), hrgrad.aggregate(name, J.double())
    assert degrees(found, exact) < 1.0
    assert float((J.double() @ exact).min()) > 0.0


@pytest.mark.parametrize("m", [2, 3, 4, 6, 8])
def test_peers_turn_away_from_nearly_opposed_gradients(m):
    """WRONG in both peers: the pseudo-inverse and the least squares cut off the smallest singular direction, the wanted one."""
    J = opposed(m, 1e-3)
    exact = hrgrad.aggregate("config", J.double())
    assert degrees(peer("torchjd", "aggregation").ConFIG()(J), exact) > 60.0
    operator = peer("conflictfree", "grad_operator").ConFIGOperator(allow_simplified_model=False)
    assert degrees(operator.calculate_gradient(J), exact) > 60.0


def test_torchjd_cagrad_stops_at_small_gradients():
    """WRONG in torchjd: the update is exactly zero once sum n_i^2 < 1e-4; ours scales with the gradients."""
    J = gradients(4)
    small = 1e-4 * J / J.norm()
    assert float(peer("torchjd", "aggregation").CAGrad(c=0.5)(small).norm()) == 0.0
    ours = hrgrad.aggregate("cagrad", J)
    torch.testing.assert_close(hrgrad.aggregate("cagrad", small) * (1e4 * J.norm()), ours, rtol=1e-6, atol=1e-9)


def test_conflictfree_is_nan_for_two_collinear_gradients():
    """WRONG in conflictfree: its closed form for two gradients divides by the sine of their angle."""
    J = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    theirs = peer("conflictfree", "grad_operator").ConFIGOperator().calculate_gradient(J)
    assert not torch.isfinite(theirs).all() or float(theirs.norm()) == 0.0
    torch.testing.assert_close(hrgrad.aggregate("config", J), torch.tensor([2.0, 0.0, 0.0]))
