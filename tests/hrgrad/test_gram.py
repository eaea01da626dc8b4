"""The blocked Gramian and the weighted sum: every kernel, size and layout against float64."""

import warnings

import numpy as np
import pytest
import torch

from hrgrad.gram import combine, gramian


@pytest.fixture(params=[1, 2, 3], ids=["numpy's blocks", "shared by two threads", "one bmm"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def rows(m, size, seed=0):
    J = np.random.default_rng(seed).normal(size=(m, size)) * np.geomspace(1e-3, 1e3, m)[:, None]
    return torch.from_numpy(J).float()


def cosine_error(Q, J):
    exact = J.double() @ J.double().T
    n = exact.diagonal().sqrt()
    return float(((Q - exact) / n / n[:, None]).abs().max())


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 8, 9, 33])  # 33 rows of 131 101 are shared
@pytest.mark.parametrize("size", [1, 1000, 1025, 4096, 50_049, 131_101])
def test_gramian(m, size):
    J = rows(m, size)
    Q = gramian(J)
    assert Q.dtype == torch.float64
    assert max(cosine_error(Q, J), cosine_error(Q.T, J)) < (5e-7 if size < 10_000 else 5e-8)
    if torch.get_num_threads() <= 2:
        assert torch.equal(gramian(J, accurate=True), gramian(J.double()))
    assert cosine_error(gramian(J, accurate=True), J) < 1e-15 * max(100, size**0.5)  # of the comparison, too


@pytest.mark.usefixtures("threads")
def test_more_columns_lose_no_digits():
    """Positive entries: a product J J^T in single precision, all columns at once, loses four digits here."""
    J = 1.0 + rows(4, 1_000_000).sign()
    assert cosine_error(gramian(J), J) < 1e-8


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    "view", [lambda J: J.T.contiguous().T, lambda J: J[:, ::2], lambda J: J[1::2], lambda J: J[:, 7:]]
)
def test_any_layout(view):
    J = view(rows(6, 9000))
    assert cosine_error(gramian(J), J) < 5e-7
    w = torch.linspace(-1.0, 1.0, len(J), dtype=torch.float64)
    torch.testing.assert_close(combine(w, J), (w @ J.double()).float(), rtol=1e-4, atol=1e-2)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    J = (1e-3 * rows(4, 3000)).to(dtype)
    assert cosine_error(gramian(J), J) < 1e-13
    assert combine(torch.ones(4), J).dtype == dtype


@pytest.mark.usefixtures("threads")
def test_what_is_not_finite_stays_and_nobody_is_warned():
    J = rows(5, 3000)
    J[2, 1700], J[3, 2999] = float("nan"), 3e38
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        Q, u = gramian(J), combine(torch.ones(5), J)
    assert torch.isnan(Q[2]).all()
    assert not torch.isfinite(Q[3, 3])
    assert torch.isfinite(Q[0, [0, 1, 4]]).all()
    assert torch.isnan(u[1700])
    assert torch.isfinite(u[:1700]).all()


@pytest.mark.usefixtures("threads")
def test_gradients_with_a_graph_are_taken_as_numbers():
    J, w = rows(3, 3000).requires_grad_(), torch.ones(3, requires_grad=True)
    assert not gramian(J).requires_grad
    assert not combine(w, J).requires_grad
