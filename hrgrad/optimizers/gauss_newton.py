r"""Levenberg-Marquardt for the loss |r(theta)|^2 / 2, J = dr/dtheta of shape (n, P).

    (J^T J + lambda I) d = -J^T r        parameter space, P <= n
    d = -J^T (J J^T + lambda I)^{-1} r   sample space,    n < P       (the same d)

lambda = mu |r|^2 keeps the quadratic convergence to a zero residual where the error bound holds, also for a singular J
(Yamashita, Fukushima 2001); mu falls when the model predicts the loss well and grows when it does not (gain ratio).

Where min(n, P) <= ``dense`` and J takes at most ``memory`` bytes, J is formed and the smaller of the two matrices factorised:
n P min(n, P) operations. Otherwise conjugate gradients solve the parameter-space system with J v and J^T w alone; both
come from ONE recorded evaluation of r (J v as the transpose of w -> J^T w), so that an iteration costs two passes through
the network. Stopped early, they still give the minimum of the model over the directions tried, a descent direction.

What J costs for 1024 points x 4 residuals of a tanh network with P = 1316, CPU time of one thread: rows one by one 27 s, 16
rows together 2.0 s, `torch.func.jacrev` 4.5 s, `hrgrad.jacobians.pointwise_jacobian` 0.04 s: hand that one over as
``Residuals.jacobian`` where residuals belong to points. With P = 50306 and n = 1024: a dense step (sample space) 3.5 s, a
matrix-free one 1.5 s.

References: Marquardt (1963), doi:10.1137/0111030; Yamashita, Fukushima (2001), "On the rate of convergence of the
Levenberg-Marquardt method", Computing Suppl. 15, 239-249, doi:10.1007/978-3-7091-6217-0_18.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from ..jacobians import jacobian
from ..optimizer import BaseOptions, Residuals, Shapes, State, option
from ..optimizer import Optimizer as BaseOptimizer

#: numbers in the gradients of the rows that go through one backward pass together
CHUNK = 1 << 15


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    damping: float = option(1e-3, "first lambda, relative to the mean diagonal of J^T J (Marquardt 1963)", low=0.0)
    tries: int = option(8, "dampings tried in one step before it stalls", low=1)
    dense: int = option(4000, "largest min(n, P) that is factorised", low=0)
    memory: int = option(1 << 31, "largest J in bytes that is formed", low=0)
    cg_steps: int = option(200, "iterations of the matrix-free solve", low=1)
    cg_tolerance: float = option(1e-6, "relative residual of the matrix-free solve", low=0.0)


@final
class Optimizer(BaseOptimizer):
    name = "gauss_newton"
    needs: ClassVar[Literal["residuals"]] = "residuals"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        return self.new_state(theta, mu=-1.0)

    @torch.no_grad()
    def step(
        self,
        theta: Tensor,
        drive: Residuals | Callable[[Tensor], Tensor],
        state: State,
        options: Settings,
        lr: float | Tensor | None = None,
    ) -> tuple[Tensor, State, dict[str, Any]]:
        self.check(theta, state)
        state = {**state, "count": state["count"] + 1}
        given = drive if isinstance(drive, Residuals) else Residuals(drive)
        r, solve, g, diagonal = _model(theta, given, options)
        loss, square = (0.5 * r.dot(r)).item(), g.dot(g).item()
        info: dict[str, Any] = {
            "loss": loss,
            "gradient_norm": math.sqrt(square),
            "step_length": 0.0,
            "evaluations": 1,
            "status": "ok",
        }
        if square == 0:
            return theta, state, info
        if state["mu"] < 0:
            state["mu"] = max(options.damping * diagonal / (2 * loss), 1e-300)
        for _ in range(options.tries):
            damping = state["mu"] * 2 * loss
            d = solve(damping)
            trial = theta + d
            value = given(trial)
            after = (0.5 * value.dot(value)).item()
            info["evaluations"] += 1
            # loss - model(d) = -g.d/2 + damping |d|^2/2 when d solves the damped system
            predicted = (0.5 * (damping * d.dot(d) - g.dot(d))).item()
            gain = (loss - after) / predicted if predicted > 0 and math.isfinite(after) else -1.0
            if gain > 1e-4:
                state["mu"] *= 0.2 if gain > 0.75 else (2.0 if gain < 0.25 else 1.0)
                return trial, state, {**info, "loss": after, "step_length": d.norm().item()}
            state["mu"] *= 5.0
        return theta, state, {**info, "status": "stalled"}


def _model(
    theta: Tensor, given: Residuals, options: Settings
) -> tuple[Tensor, Callable[[float], Tensor], Tensor, float]:
    """The residual, the damped solve, the gradient J^T r and the mean diagonal of J^T J."""
    with torch.enable_grad():
        leaf = theta.detach().requires_grad_()
        graph = given.residual(leaf)
    r, size = graph.detach(), theta.numel()
    if r.ndim != 1:
        raise ValueError(f"gauss_newton: the residual must be one vector (n,), found shape {tuple(r.shape)}")
    if min(len(r), size) <= options.dense and len(r) * size * theta.element_size() <= options.memory:
        if given.jacobian:
            del graph
            J = given.jacobian(theta)[1].detach()
        else:
            J = jacobian(_tracked(graph), leaf, chunk=max(1, CHUNK // size))
        solve, g = _dense(J, r)
        return r, solve, g, J.square().sum().item() / size
    forward, backward = _products(theta, leaf, graph, given)
    g = backward(r)
    Jg = forward(g)
    mean = (Jg.dot(Jg) / g.dot(g)).item() if bool(g.any()) else 0.0
    return r, lambda damping: _conjugate_gradients(forward, backward, g, damping, options), g, mean


def _tracked(graph: Tensor) -> Tensor:
    if not graph.requires_grad:
        raise ValueError("gauss_newton: the residual vector does not depend on theta: it carries no graph")
    return graph


def _dense(J: Tensor, r: Tensor) -> tuple[Callable[[float], Tensor], Tensor]:
    """Cholesky in the smaller of the two spaces."""
    g, wide = J.T @ r, J.shape[0] < J.shape[1]
    A = J @ J.T if wide else J.T @ J

    def solve(damping: float) -> Tensor:
        damped = A.clone()
        damped.diagonal().add_(damping + 1e-15 * A.diagonal().max())
        L, failed = torch.linalg.cholesky_ex(damped)
        if failed.item():
            return torch.full_like(g, math.nan)
        x = torch.cholesky_solve((r if wide else g)[:, None], L)[:, 0]
        return -(J.T @ x) if wide else -x

    return solve, g


def _products(
    theta: Tensor, leaf: Tensor, graph: Tensor, given: Residuals
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """v -> J v and w -> J^T w from one recorded evaluation, or as given."""
    seed = torch.zeros_like(graph, requires_grad=True)
    transposed = seed
    if not given.jvp:
        with torch.enable_grad():
            transposed = torch.autograd.grad(_tracked(graph), leaf, seed, create_graph=True)[0]

    def forward(v: Tensor) -> Tensor:
        if given.jvp:
            return given.jvp(theta, v).detach()
        return torch.autograd.grad(transposed, seed, v, retain_graph=True)[0]

    def backward(w: Tensor) -> Tensor:
        if given.vjp:
            return given.vjp(theta, w).detach()
        return torch.autograd.grad(_tracked(graph), leaf, w, retain_graph=True)[0]

    return forward, backward


def _conjugate_gradients(
    forward: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], Tensor],
    g: Tensor,
    damping: float,
    options: Settings,
) -> Tensor:
    d, rest = torch.zeros_like(g), -g
    p, rho = rest.clone(), rest.dot(rest).item()
    goal = options.cg_tolerance**2 * rho
    for _ in range(options.cg_steps):
        Ap = backward(forward(p)).add_(p, alpha=damping)
        a = rho / p.dot(Ap).item()
        d, rest = d + a * p, rest - a * Ap
        new = rest.dot(rest).item()
        if new <= goal:
            break
        p, rho = rest + (new / rho) * p, new
    return d
