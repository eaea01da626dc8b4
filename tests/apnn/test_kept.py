"""Values at points that stay are not computed again."""

import torch

from apnn.features import with_tangents
from apnn.kept import Kept
from tests.tangents import tangents


def test_values_are_those_of_the_function_and_only_new_points_are_computed():
    counts = []

    def function(eps, x):
        counts.append(x.numel())
        return torch.stack([eps * x, x**2, eps + 0 * x], dim=-1).expand(2, -1, -1)

    kept, eps, x = Kept(function), torch.rand(3, 7), torch.rand(3, 7)
    for moved in ([], [(0, 2), (2, 6)], [(1, 1)]):
        x = x.clone()
        for place in moved:
            x[place] += 1.0
        found = kept(eps, x)
        torch.testing.assert_close(found, torch.stack([eps * x, x**2, eps], dim=-1).unsqueeze(-3).expand(3, 2, 7, 3))
        if len(counts) == 2:
            kept(eps[:, :4], x[:, :4])  # another shape keeps its own
    assert counts == [21, 2, 12, 1]


def test_one_product_with_all_directions_is_that_with_each():
    eps, t, x, y = torch.rand(4, 3, 5, dtype=torch.float64)

    def features(eps, t, x, y):
        return torch.stack([eps * t * x, torch.sin(x) * y, torch.ones_like(y)], dim=-1)

    each = torch.stack(tangents(lambda *moved: features(eps, *moved), t, x, y), dim=-3)
    torch.testing.assert_close(with_tangents(features, eps, t, x, y), each, rtol=0.0, atol=1e-15)
