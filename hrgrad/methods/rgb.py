r"""RGB: rotate every unit gradient towards a moving average of the mean direction, then take the mean.

    y = N(1/m sum_i a_i),   d <- N(mu d + (1 - mu) y),   w_i = N(d - (a_i.d) a_i),   r_i = cos(alpha_i) a_i + sin(alpha_i) w_i
    alpha = argmin over [0, pi/2]^m of  1/(m(m-1)) sum_{i<j} (1 - r_i.r_j) + lambda/(4m) sum_i |r_i - a_i|^2,     u = 1/m sum_i r_i

The angles follow a fixed number of gradient steps from 0 (or from the last angles: `warm`), or, `adaptive`, the number of (2),
n_min + (n_max - n_min) s / (s + k) with s the standard deviation of the relative loss changes. The length of u is at most one,
whatever the gradients: lengths are not restored. d starts at the first y and is kept at unit length (the text has neither).
Only two passes over J: its Gramian is bordered with J d, and the update is one weighted sum plus a multiple of d.
Cost: one Gramian, one J d, one weighted sum. State: d (P), angles, last losses.
Source: the RGB paper (rotation-based gradient balancing), algorithm 1, equations (1), (2); its data sets use 5, 30, 50 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..gram import combine
from ..method import AbstractMethod, Direction, Options, State, loss_values, option
from ..problem import Problem
from ..rotation import adaptive_steps, descend, polar


@dataclass(frozen=True)
class RGBOptions(Options):
    mu: float = option(0.9, "memory of the direction; the paper's 0.9", low=0.0, high=1.0)
    penalty: float = option(1.0, "lambda; 0 or 1 by data set in the paper", low=0.0)
    steps: int = option(5, "gradient steps on the angles; the paper's 5 (NYUv2), 30, 50", low=0)
    lr: float = option(0.2, "their step size; not in the text", low=0.0)
    adaptive: bool = option(False, "number of steps from (2)")
    steps_min: int = option(5, "adaptive: fewest steps; the paper's range is 5 to 50", low=0)
    steps_max: int = option(50, "adaptive: most steps", low=0)
    sensitivity: float = option(1.0, "adaptive: k of (2); not in the text", low=1e-12)
    warm: bool = option(False, "start from the last angles in place of 0")


@final
class Method(AbstractMethod):
    title = "RGB"
    needs = "jacobian"
    properties = frozenset({"scale_invariant", "permutation_equivariant", "deterministic"})
    Options = RGBOptions

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        zero = torch.zeros(m, dtype=torch.float64)
        return {"step": 0, "direction": torch.zeros(0), "alpha": zero, "losses": zero.clone()}

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        J, m, first = problem.jacobian("rgb"), problem.m, state["step"] == 0
        last = torch.zeros_like(J[0]) if first else state["direction"].to(J)
        along = problem.bring(J @ last).double().numpy()
        C, n = problem.cosines, problem.norms
        live = n > 0.0
        unit = np.where(live, 1.0 / np.where(live, n, 1.0), 0.0)
        row = C.sum(0)
        length = float(np.sqrt(max(float(row.sum()), 0.0)))
        share, mu = unit / length if length > 1e-12 else np.zeros(m), 0.0 if first else options.mu
        # |mu d + (1 - mu) y| of unit vectors d and y, and the cosines with the gradients, from what is on the host
        size = mu**2 + 2.0 * mu * (1.0 - mu) * float(share @ along) + (1.0 - mu) ** 2 * float(length > 1e-12)
        scale = size**-0.5 if size > 1e-24 else 0.0
        d = combine(torch.from_numpy((1.0 - mu) * scale * share), J).add_(last, alpha=mu * scale)
        q = polar(C, scale * (mu * along * unit + (1.0 - mu) * (C @ (share * n))))
        steps = options.steps
        if options.adaptive:
            L = loss_values(losses, "rgb")
            before = L if first else state["losses"].numpy()
            steps = adaptive_steps(L, before, options.steps_min, options.steps_max, options.sensitivity)
            state = {**state, "losses": torch.from_numpy(L.copy())}
        turning = live & ~q.aligned
        low = np.where(turning, q.theta - 0.5 * np.pi, q.theta)
        start = np.where(turning, q.theta - state["alpha"].numpy(), q.theta) if options.warm else q.theta
        phi = descend(q, start, low, q.theta, options.penalty, steps, options.lr) if m > 1 else q.theta
        _, x, y_share = q.rotated(phi)
        x, y_share = np.where(live, x, 0.0), np.where(live, y_share, 0.0)
        u = combine(torch.from_numpy(x * unit / m), J).add_(d, alpha=float(y_share.sum()) / m)
        alpha = np.where(live, q.theta - phi, 0.0)
        renewed = {**state, "step": int(state["step"]) + 1, "direction": d, "alpha": torch.from_numpy(alpha)}
        return Direction(None, u, "ok", lambda: {"rotation": alpha, "steps": float(steps)}), renewed
