r"""L-BFGS: BFGS from the last ``history`` pairs (s, y) only, with a strong-Wolfe line search.

    q = g;   newest to oldest:  alpha_i = s_i.q / y_i.s_i,  q -= alpha_i y_i;      q *= y.s / y.y  (newest pair)
             oldest to newest:  q += (alpha_i - y_i.q / y_i.s_i) s_i;              p = -q

Pairs with y.s <= 1e-14 |y||s| are left out, so that p descends. After ``renew`` loss and gradient are taken anew and
the pairs stay. Memory 2 history P, cost 4 history P per iteration.

References: Nocedal (1980), "Updating quasi-Newton matrices with limited storage", Math. Comp. 35, 773-782,
doi:10.1090/S0025-5718-1980-0572855-7; Liu, Nocedal (1989), doi:10.1007/BF01589116, Algorithm 2.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from ..line_search import Point, along, strong_wolfe
from ..optimizer import BaseOptions, Closure, Shapes, State, option
from ..optimizer import Optimizer as BaseOptimizer


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    history: int = option(50, "pairs kept (PINN practice; Liu and Nocedal 1989 use 3 to 20)", low=1)
    c1: float = option(1e-4, "sufficient decrease (Nocedal and Wright 2006, section 3.1)", low=0.0, high=0.5)
    c2: float = option(0.9, "curvature (Nocedal and Wright 2006, section 3.1, quasi-Newton)", low=0.0, high=1.0)
    max_evaluations: int = option(20, "of the closure in one line search", low=1)
    noise: float = option(1e-10, "relative rounding of the loss, see hrgrad.line_search", low=0.0)
    restart: bool = option(True, "no pairs and a search along the gradient where one finds no decrease (own choice)")


@final
class Optimizer(BaseOptimizer):
    name = "lbfgs"
    needs: ClassVar[Literal["closure"]] = "closure"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        pairs = theta.new_zeros(options.history, theta.numel())
        return self.new_state(
            theta,
            S=pairs,
            Y=pairs.clone(),
            ys=torch.zeros(options.history, dtype=torch.float64),
            gamma=1.0,
            pairs=0,
            known=0,
            loss=math.inf,
            gradient=torch.zeros_like(theta),
        )

    def renew(self, state: State) -> State:
        return {**state, "known": 0}

    @torch.no_grad()
    def step(
        self, theta: Tensor, drive: Closure, state: State, options: Settings, lr: float | Tensor | None = None
    ) -> tuple[Tensor, State, dict[str, Any]]:
        self.check(theta, state)
        drive = torch.enable_grad()(drive)
        state, evaluations, status = {**state, "count": state["count"] + 1}, 0, "ok"
        if not state["known"]:
            loss, gradient = drive(theta)
            state.update(loss=float(loss), gradient=gradient.detach().clone(), known=1)
            evaluations = 1
        g = state["gradient"]
        for _ in range(2):
            p = _direction(state)
            slope, square, length = torch.stack((g.dot(p), g.dot(g), p.dot(p))).tolist()
            info = {"loss": state["loss"], "gradient_norm": math.sqrt(square), "step_length": 0.0, "status": status}
            if square == 0:
                return theta, state, {**info, "evaluations": evaluations}
            if slope < 0:
                origin = Point(0.0, state["loss"], slope, theta, g)

                evaluate = along(theta, p, drive)
                first = 1.0 if state["pairs"] else min(1.0, 1 / math.sqrt(length))
                found, spent, _ = strong_wolfe(
                    evaluate,
                    origin,
                    first,
                    c1=options.c1,
                    c2=options.c2,
                    evaluations=options.max_evaluations,
                    noise=options.noise,
                )
                evaluations += spent
                if found.a > 0:
                    break
            if not state["pairs"] or not options.restart:
                return theta, state, {**info, "evaluations": evaluations, "status": "stalled"}
            state["pairs"], state["gamma"], status = 0, 1.0, "restarted"
        else:
            return theta, state, {**info, "evaluations": evaluations, "status": "stalled"}
        y, s = found.gradient - g, p * found.a
        ys, yy = torch.stack((y.dot(s), y.dot(y))).tolist()
        if ys > 1e-14 * math.sqrt(yy * length) * found.a:
            slot = state["pairs"] % options.history
            state["S"][slot], state["Y"][slot], state["ys"][slot] = s, y, ys
            state["pairs"], state["gamma"] = state["pairs"] + 1, ys / yy
        state.update(loss=found.phi, gradient=found.gradient.clone())
        info.update(loss=found.phi, step_length=found.a * math.sqrt(length), evaluations=evaluations, status=status)
        return found.theta, state, info


def _direction(state: State) -> Tensor:
    """-H g by the two loops."""
    S, Y, ys, pairs = state["S"], state["Y"], state["ys"].tolist(), state["pairs"]
    q, alpha = state["gradient"].clone(), {}
    order = [k % len(ys) for k in range(max(0, pairs - len(ys)), pairs)]
    for i in reversed(order):
        alpha[i] = S[i].dot(q) / ys[i]
        q -= alpha[i] * Y[i]
    q *= state["gamma"]
    for i in order:
        q += (alpha[i] - Y[i].dot(q) / ys[i]) * S[i]
    direction: Tensor = q.neg_()
    return direction
