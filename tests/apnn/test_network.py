"""The rule of a hidden layer: its derivatives are those of tanh, also twice, and its products those of the matrices."""

import pytest
import torch

from apnn.network import linear, tanh


@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.parametrize("tangents", [0, 2])
def test_tanh_and_its_derivatives(lead, tangents):
    generator = torch.Generator().manual_seed(3)
    y = torch.randn(*lead, 1 + tangents, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    b = torch.randn(*lead, 1, 1, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    value = torch.tanh(y[..., :1, :, :] + b)
    expected = torch.cat([value, (1.0 - value**2) * y[..., 1:, :, :]], dim=-3)
    torch.testing.assert_close(tanh(y, b), expected, rtol=1e-14, atol=1e-14)
    assert torch.autograd.gradcheck(tanh, (y, b))
    assert torch.autograd.gradgradcheck(tanh, (y, b))


@pytest.mark.parametrize("lead", [(), (3,)])
def test_linear_maps_every_row_and_keeps_columns_together(lead):
    generator = torch.Generator().manual_seed(4)
    h = torch.randn(3, 2, 6, 4, dtype=torch.float64, generator=generator)
    W = torch.randn(*lead, 4, 5, dtype=torch.float64, generator=generator)
    found = linear(h, W)
    torch.testing.assert_close(found, torch.einsum("msbi,mij->msbj", h, W.expand(3, 4, 5)), rtol=1e-13, atol=1e-13)
    assert found.stride()[-2] == 1
    assert linear(found, W.mT.contiguous()).stride()[-2] == 1
