r"""Levenberg-Marquardt for the loss |r(theta)|^2 / 2, J = dr/dtheta of shape (n, P).

    (J^T J + lambda I) d = -J^T r        parameter space, P <= n
    d = -J^T (J J^T + lambda I)^{-1} r   sample space,    n < P       (the same d)

lambda = mu |r|^2 keeps the quadratic convergence to a zero residual where the error bound holds, also for a singular J
(Yamashita, Fukushima 2001); mu falls when the model predicts the loss well and grows when it does not (gain ratio).
When min(n, P) > ``dense``, conjugate gradients solve the parameter-space system with J v and J^T w alone.

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

from ..optimizer import BaseOptions, Residuals, Shapes, State, option
from ..optimizer import Optimizer as BaseOptimizer


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    damping: float = option(1e-3, "first lambda, relative to the mean diagonal of J^T J (Marquardt 1963)", low=0.0)
    tries: int = option(8, "dampings tried in one step before it stalls", low=1)
    dense: int = option(4000, "largest min(n, P) that is factorised", low=0)
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
        r = given(theta).detach()
        solve, g, diagonal = _model(theta, r, given, options)
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
    theta: Tensor, r: Tensor, given: Residuals, options: Settings
) -> tuple[Callable[[float], Tensor], Tensor, float]:
    """The damped solve, the gradient J^T r and the mean diagonal of J^T J."""
    n, size = r.numel(), theta.numel()
    if min(n, size) <= options.dense:
        J = given.jacobian(theta)[1] if given.jacobian else torch.func.jacrev(given.residual)(theta).detach()
        g, wide = J.T @ r, n < size
        A = J @ J.T if wide else J.T @ J

        def solve(damping: float) -> Tensor:
            damped = A.clone()
            damped.diagonal().add_(damping + 1e-15 * A.diagonal().max())
            L, failed = torch.linalg.cholesky_ex(damped)
            if failed.item():
                return torch.full_like(theta, math.nan)
            x = torch.cholesky_solve((r if wide else g)[:, None], L)[:, 0]
            return -(J.T @ x) if wide else -x

        return solve, g, A.diagonal().sum().item() / size

    def forward(v: Tensor) -> Tensor:
        if given.jvp:
            return given.jvp(theta, v)
        # J v as the transpose of w -> J^T w: no forward-mode rule is asked of the residual.
        transpose = torch.func.vjp(given.residual, theta)[1]
        product: Tensor = torch.func.vjp(lambda w: transpose(w)[0], r)[1](v)[0]
        return product.detach()

    def backward(w: Tensor) -> Tensor:
        return given.vjp(theta, w) if given.vjp else torch.func.vjp(given.residual, theta)[1](w)[0].detach()

    g = backward(r)

    def solve_free(damping: float) -> Tensor:
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

    Jg = forward(g)
    return solve_free, g, (Jg.dot(Jg) / g.dot(g)).item()
