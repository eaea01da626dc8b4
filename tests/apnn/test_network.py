"""The rules of value and tangents: their derivatives are those of tanh, of sums and products, also twice."""

import pytest
import torch

from apnn.features import product
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


@pytest.mark.parametrize("lead", [(), (3,)])
def test_a_bias_is_the_value_s(lead):
    generator = torch.Generator().manual_seed(5)
    h = torch.randn(3, 2, 6, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    W = torch.randn(*lead, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    bias = torch.randn(*lead, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    shift = linear(h, W, bias) - linear(h, W)
    expected = torch.zeros_like(shift)
    expected[:, 0] = bias.detach().expand(3, 5)[:, None]
    torch.testing.assert_close(shift, expected, rtol=0.0, atol=1e-14)
    assert torch.autograd.gradcheck(linear, (h, W, bias))
    assert torch.autograd.gradgradcheck(linear, (h, W, bias))


@pytest.mark.parametrize("axis", [-3, -2])
def test_product_of_values_and_slopes(axis):
    generator = torch.Generator().manual_seed(6)
    a = torch.randn(2, 3, 3, 1, dtype=torch.float64, generator=generator, requires_grad=True)
    b = torch.randn(2, 3, 3, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    (a0, *a_), (b0, *b_) = (f.unbind(axis) for f in (a, b))
    expected = torch.stack([a0 * b0, *(p * b0 + a0 * q for p, q in zip(a_, b_, strict=True))], dim=axis)
    torch.testing.assert_close(product(a, b, axis), expected, rtol=1e-14, atol=1e-14)
    assert torch.autograd.gradcheck(lambda a, b: product(a, b, axis), (a, b))
    assert torch.autograd.gradgradcheck(lambda a, b: product(a, b, axis), (a, b))
