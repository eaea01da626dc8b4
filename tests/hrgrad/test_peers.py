"""Side by side with the other packages, where they are installed: equal where both are right, and where they are not."""

import math

import pytest
import torch

import hrgrad

pytestmark = pytest.mark.slow
SEEDS = range(6)


def draw(seed, m=5, size=60, spread=0.8):
    generator = torch.Generator().manual_seed(seed)
    J = torch.randn(m, size, generator=generator, dtype=torch.float64)
    return J - spread * J.mean(0)


def opposed(m, angle, size=20_000):
    """Unit gradients, the first at an angle of pi - `angle` to the mean direction of the others."""
    generator = torch.Generator().manual_seed(m)
    axis, *rest = torch.linalg.qr(torch.randn(size, m + 1, generator=generator, dtype=torch.float64)).Q.T
    rows = [-axis]
    rows += [math.cos(angle) * axis + math.sin(angle) * side for side in rest[: m - 1]]
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("name", "peer", "arguments", "options", "rtol"),
    [
        ("config", "ConFIG", {}, {}, 1e-9),
        ("imtlg", "IMTLG", {}, {}, 1e-9),
        ("upgrad", "UPGrad", {"norm_eps": 0.0, "reg_eps": 0.0}, {}, 1e-6),
        ("alignedmtl", "AlignedMTL", {}, {}, 1e-8),
    ],
)
def test_torchjd(name, peer, arguments, options, rtol):
    torchjd = pytest.importorskip("torchjd.aggregation")
    theirs = getattr(torchjd, peer)
    try:
        theirs = theirs(**arguments)
    except TypeError:
        theirs = theirs()
    for seed in SEEDS:
        J = draw(seed)
        ours, other = hrgrad.aggregate(name, J, **options), theirs(J)
        cosine = float(ours @ other / ours.norm() / other.norm())
        assert cosine > 1 - rtol, (seed, cosine)


def test_conflictfree():
    conflictfree = pytest.importorskip("conflictfree.grad_operator")
    for seed in SEEDS:
        J = draw(seed).float()
        ours = hrgrad.aggregate("config", J)
        torch.testing.assert_close(conflictfree.ConFIG_update(J), ours, rtol=1e-3, atol=1e-4 * float(ours.abs().max()))


@pytest.mark.parametrize("m", [2, 4, 8])
def test_peers_turn_away_where_ours_does_not(m):
    """float32 at pi - 1e-3: ConFIG of torchjd is 90 degrees from the direction in float64, ours is not."""
    torchjd = pytest.importorskip("torchjd.aggregation")
    J = opposed(m, 1e-3)
    exact = hrgrad.aggregate("config", J)
    ours, theirs = hrgrad.aggregate("config", J.float()).double(), torchjd.ConFIG()(J.float()).double()

    def cosine(u):
        return float(u @ exact / exact.norm() / u.norm().clamp_min(1e-300))

    assert cosine(ours) > 0.99
    assert cosine(theirs) < 0.1
