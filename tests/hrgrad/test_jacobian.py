"""The Jacobian of m losses: one backward pass of copies, rows of one graph, unused parameters, errors."""

import pytest
import torch

import hrgrad

M, POINTS = 5, 7


def make_problem(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(3, 4, generator=generator, dtype=dtype)
    c = torch.randn(4, generator=generator, dtype=dtype)
    x = torch.randn(M, POINTS, 3, generator=generator, dtype=dtype)
    return {"W": W, "c": c}, x


def losses_of(parameters, x):
    """(m,) from copies (m, ...) or from one set of parameters."""
    return torch.tanh(x @ parameters["W"] + parameters["c"].unsqueeze(-2)).square().mean((-2, -1))


def loop(parameters, x):
    leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
    rows = []
    for k in range(M):
        grads = torch.autograd.grad(losses_of(leaves, x[k]), list(leaves.values()))
        rows.append(torch.cat([g.reshape(-1) for g in grads]))
    return torch.stack(rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_give_every_row_in_one_pass(dtype):
    parameters, x = make_problem(dtype)
    passes = []

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, g):
            passes.append(1)
            return g

    with torch.no_grad():  # as inside a user's own step
        losses, J = hrgrad.jacobian(lambda copies: Counted.apply(losses_of(copies, x)), parameters, M)
    assert len(passes) == 1
    assert J.shape == (M, 16)
    assert not losses.requires_grad
    torch.testing.assert_close(J, loop(parameters, x))
    for given in (list(parameters.values()), tuple(parameters.values())):
        _, same = hrgrad.jacobian(lambda c: losses_of({"W": c[0], "c": c[1]}, x), given, M)
        assert torch.equal(same, J)


def test_a_function_of_one_copy_through_vmap_and_a_module():
    parameters, x = make_problem()
    one = torch.func.vmap(lambda p, points: torch.tanh(points @ p["W"] + p["c"]).square().mean())
    _, J = hrgrad.jacobian(lambda copies: one(copies, x), parameters, M)
    torch.testing.assert_close(J, loop(parameters, x))
    module = torch.nn.Linear(3, 4).double()
    module.load_state_dict({"weight": parameters["W"].T, "bias": parameters["c"]})

    def call(p, points):
        return torch.tanh(torch.func.functional_call(module, p, (points,))).square().mean()

    _, K = hrgrad.jacobian(lambda c: torch.func.vmap(call)(c, x), dict(module.named_parameters()), M)
    W = K[:, :12].view(M, 4, 3).transpose(1, 2).reshape(M, 12)
    torch.testing.assert_close(torch.cat([W, K[:, 12:]], 1), J)


@pytest.mark.parametrize("chunk", [None, 1, 2, 3, M, 50])
@pytest.mark.parametrize("listed", [True, False])
def test_rows_of_one_graph_in_any_chunks(chunk, listed):
    parameters, x = make_problem()
    leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
    losses = losses_of(leaves, x)
    given = list(losses.unbind()) if listed else losses
    J = hrgrad.jacobian(given, leaves, chunk=chunk, retain_graph=True)
    torch.testing.assert_close(J, loop(parameters, x))
    again = hrgrad.jacobian(given, leaves, memory=1)
    torch.testing.assert_close(again, J)
    with pytest.raises(RuntimeError, match="second time"):
        hrgrad.jacobian(given, leaves)


@pytest.mark.parametrize("chunk", [1, 3])
def test_unused_parameters_have_zeros(chunk):
    a, b, c = (torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True) for _ in range(3))
    losses = [a.square().sum(), (a * b).sum(), b.sum()]
    J = hrgrad.jacobian(losses, [a, b, c], chunk=chunk)
    expected = [[2, 4, 0, 0, 0, 0], [1, 2, 1, 2, 0, 0], [0, 0, 1, 1, 0, 0]]
    torch.testing.assert_close(J, torch.tensor(expected, dtype=torch.float64))
    _, J = hrgrad.jacobian(lambda copies: copies[1].sum(1), [a, b, c], 2)
    torch.testing.assert_close(J, torch.tensor([[0.0, 0, 1, 1, 0, 0]] * 2, dtype=torch.float64))


def test_mixed_precision_takes_the_wider_one():
    a = torch.ones(2, requires_grad=True)
    b = torch.ones(1, dtype=torch.float64, requires_grad=True)
    assert hrgrad.jacobian([a.sum() + b.sum()], [a, b]).dtype == torch.float64


LEAF = torch.ones(3, requires_grad=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hrgrad.jacobian([], [LEAF]), "at least one loss"),
        (lambda: hrgrad.jacobian([LEAF.sum()], []), "at least one parameter"),
        (lambda: hrgrad.jacobian([LEAF.sum(), LEAF], [LEAF]), r"loss 1 must be a scalar .* shape \(3,\)"),
        (lambda: hrgrad.jacobian([LEAF.sum(), 1.0], [LEAF]), "loss 1 must be a scalar .* float"),
        (lambda: hrgrad.jacobian([torch.ones(())], [LEAF]), "loss 0 does not depend"),
        (lambda: hrgrad.jacobian(LEAF.sum(), [LEAF]), "found shape"),
        (lambda: hrgrad.jacobian([LEAF.sum()], [torch.arange(3)]), "parameter 0 must be a real tensor"),
        (lambda: hrgrad.jacobian([LEAF.sum()], [LEAF], chunk=0), "chunk must be at least 1"),
        (lambda: hrgrad.jacobian([LEAF.sum()], [LEAF], 1), "m goes with a function"),
        (lambda: hrgrad.jacobian(lambda c: c.sum(), LEAF, 2), r"as a tensor \(2,\), found \(\)"),
        (lambda: hrgrad.jacobian(lambda c: c.sum(), LEAF, 0), "m >= 1"),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_residuals_at_points_take_one_pass_per_component():
    theta = torch.randn(8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def residual(copies):  # (n, 8) -> (n, 2), or (8,) -> (n, 2)
        W = copies.unflatten(-1, (4, 2))
        return torch.sin((x.unsqueeze(-2) @ W).squeeze(-2)) if W.ndim == 3 else torch.sin(x @ W)

    r, J = hrgrad.pointwise_jacobian(residual, theta, 6)
    leaf = theta.clone().requires_grad_()
    expected = hrgrad.jacobian(residual(leaf).reshape(-1), leaf)
    torch.testing.assert_close(J, expected)
    torch.testing.assert_close(r, residual(theta).reshape(-1))
    with pytest.raises(ValueError, match=r"residuals \(6, q\)"):
        hrgrad.pointwise_jacobian(lambda c: c.sum(1), theta, 6)
