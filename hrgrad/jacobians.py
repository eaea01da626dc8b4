r"""The Jacobian J (m, P) of m losses with respect to the same parameters.

Separate functions, L_k = F(theta, data_k), one set of data per loss: every loss gets its own copy of the parameters, and

    J = d/dTheta sum_k F(Theta_k, data_k)   at   Theta_1 = ... = Theta_m = theta

is ONE backward pass of a sum, batched over the copies (views of theta, nothing is copied), at the cost of the plain gradient.
m passes, or one pass vectorised over m rows, walk through all data m times.

    losses, J = jacobian(lambda copies: F(copies, data), parameters, m)        F gives (m,), entry k from copy k alone
    losses, J = jacobian(lambda copies: vmap(f)(copies, data), parameters, m)  the same from an f that knows one copy

Losses of one graph, L_k = l_k(h(theta)): every row is a backward pass of its own,

    J = jacobian(losses, parameters)                                           losses (m,), or m scalars

(also for n residuals in place of m losses), `chunk` rows at a time. One by one leaves out what a loss does not use; several
travel together through `autograd.grad(..., is_grads_batched=True)`. By default one by one on a CPU (the faster there, but for
tiny networks), and elsewhere as many as `memory` bytes of gradients hold. A parameter that a loss does not use has zeros in its row.
Measured: benchmarks/jacobian.py.

Residuals r_{ic} = F_c(theta, x_i) at n points with q components, as in Gauss-Newton: one copy of theta per POINT makes every
component one backward pass of a sum over the points, q passes in place of n q rows:

    r, J = pointwise_jacobian(lambda copies: F(copies, x), theta, n)           F: (n, P) -> (n, q);  r (n q,), J (n q, P)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

import torch
from torch import Tensor

Parameters = Tensor | Iterable[Tensor] | Mapping[str, Tensor]

MEMORY = 1 << 30


@overload
def jacobian(losses: Callable[[Any], Tensor], parameters: Parameters, m: int) -> tuple[Tensor, Tensor]: ...


@overload
def jacobian(
    losses: Tensor | Sequence[Tensor],
    parameters: Parameters,
    *,
    chunk: int | None = None,
    memory: int = MEMORY,
    retain_graph: bool = False,
) -> Tensor: ...


def jacobian(
    losses: Any,
    parameters: Parameters,
    m: int | None = None,
    *,
    chunk: int | None = None,
    memory: int = MEMORY,
    retain_graph: bool = False,
) -> Any:
    """J (m, P), columns in the order of the parameters, each flattened; with a function also its losses (m,), detached.

    losses        a function of the copies, which are `parameters` with a leading axis m on each tensor, to (m,) losses;
                  or a tensor (n,), or a sequence of scalars, already computed
    chunk         rows per pass (losses already computed); by default from `memory`, bytes of gradients in one pass
    retain_graph  keep the graph of computed losses for another pass
    """
    listed = list_parameters(parameters)
    if callable(losses):
        if m is None or m < 1:
            raise ValueError(f"the Jacobian of a function needs the number of losses m >= 1, found m = {m}")
        return _of_copies(losses, parameters, listed, m)
    if m is not None:
        raise ValueError("m goes with a function of the parameters; computed losses bring their own number")
    rows = check_losses(losses)
    J = _buffer(len(rows), listed)
    if chunk is None:
        chunk = 1 if J.device.type == "cpu" else max(1, memory // max(1, J.shape[1] * J.element_size()))
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 row per pass, found {chunk}")
    stacked = losses if isinstance(losses, Tensor) else torch.stack(list(rows))
    seeds = torch.eye(len(rows) if chunk > 1 else 0, dtype=stacked.dtype, device=stacked.device)
    for start in range(0, len(rows), chunk):
        stop = min(start + chunk, len(rows))
        kept = retain_graph or stop < len(rows)
        if chunk == 1:
            grads = torch.autograd.grad(rows[start], listed, retain_graph=kept, allow_unused=True)
        else:
            grads = torch.autograd.grad(
                stacked, listed, seeds[start:stop], retain_graph=kept, allow_unused=True, is_grads_batched=True
            )
        _write(J[start:stop], listed, grads)
    return J


def pointwise_jacobian(function: Callable[[Tensor], Tensor], theta: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """r (n q,) and J (n q, P) of residuals (n, q), where row i depends on copy i of theta (P,) alone; point by point."""
    copies = theta.detach().expand(n, -1).requires_grad_()
    with torch.enable_grad():
        r = function(copies)
        if r.ndim != 2 or len(r) != n or not r.requires_grad:
            raise ValueError(
                f"the function must give residuals ({n}, q) that depend on the copies, found {tuple(r.shape)}"
            )
        sums = r.sum(0).unbind()
    J = theta.new_zeros(n, len(sums), theta.numel())
    for c, total in enumerate(sums):
        (grad,) = torch.autograd.grad(total, copies, retain_graph=c + 1 < len(sums), allow_unused=True)
        if grad is not None:
            J[:, c] = grad
    return r.detach().reshape(-1), J.flatten(0, 1)


def check_losses(losses: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """The losses one by one; raises ValueError for none, for one that is no scalar and for one without a graph."""
    if isinstance(losses, Tensor):
        if losses.ndim != 1 or not len(losses):
            raise ValueError(
                f"losses must be a tensor (m,) or a sequence of scalars, found shape {tuple(losses.shape)}"
            )
        if not losses.requires_grad:
            raise ValueError("the losses do not depend on the parameters: they carry no graph")
        return losses.unbind()
    rows = list(losses)
    if not rows:
        raise ValueError("at least one loss is needed, found an empty sequence")
    for k, loss in enumerate(rows):
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            found = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"loss {k} must be a scalar that depends on the parameters, found {found}")
        if not loss.requires_grad:
            raise ValueError(f"loss {k} does not depend on the parameters: it carries no graph")
    return rows


def list_parameters(parameters: Parameters) -> list[Tensor]:
    """The tensors one by one; raises ValueError for none, for whole numbers and for several devices."""
    if isinstance(parameters, Tensor):
        listed = [parameters]
    else:
        listed = list(parameters.values()) if isinstance(parameters, Mapping) else list(parameters)
    if not listed:
        raise ValueError("at least one parameter is needed, found none")
    for k, p in enumerate(listed):
        if not isinstance(p, Tensor) or not p.is_floating_point():
            raise ValueError(f"parameter {k} must be a real tensor, found {getattr(p, 'dtype', type(p).__name__)}")
        if p.device != listed[0].device:
            raise ValueError(f"parameter {k} is on {p.device}, parameter 0 on {listed[0].device}: one device is needed")
    return listed


def _of_copies(
    function: Callable[[Any], Tensor], parameters: Parameters, listed: list[Tensor], m: int
) -> tuple[Tensor, Tensor]:
    copies = [p.detach().expand(m, *p.shape).requires_grad_() for p in listed]
    given: Any = copies
    if isinstance(parameters, Tensor):
        given = copies[0]
    elif isinstance(parameters, Mapping):
        given = dict(zip(parameters, copies, strict=True))
    with torch.enable_grad():
        losses = function(given)
        if not isinstance(losses, Tensor) or losses.shape != (m,):
            found = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ValueError(f"the function must give its m = {m} losses as a tensor ({m},), found {found}")
        check_losses(losses)
        grads = torch.autograd.grad(losses.sum(), copies, allow_unused=True)
    if len(grads) == 1 and grads[0] is not None:
        return losses.detach(), grads[0].reshape(m, -1)
    J = _buffer(m, listed)
    _write(J, listed, grads)
    return losses.detach(), J


def _buffer(rows: int, listed: list[Tensor]) -> Tensor:
    dtype = listed[0].dtype
    for p in listed:
        dtype = torch.promote_types(dtype, p.dtype)
    return torch.zeros(rows, sum(p.numel() for p in listed), dtype=dtype, device=listed[0].device)


def _write(rows: Tensor, listed: list[Tensor], grads: Sequence[Tensor | None]) -> None:
    """Gradients into their columns; those of unused parameters stay zero."""
    start = 0
    for p, g in zip(listed, grads, strict=True):
        if g is not None:
            rows[:, start : start + p.numel()] = g.to_dense().reshape(len(rows), -1)
        start += p.numel()
