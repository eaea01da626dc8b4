r"""Self-scaled Broyden method with a dense inverse Hessian H and a strong-Wolfe line search.

With s = theta_{k+1} - theta_k = a p, p = -H g, y = g_{k+1} - g_k,

    H <- ( H - (Hy)(Hy)^T / y.Hy + phi (y.Hy) w w^T ) / tau + s s^T / y.s,        w = s / y.s - Hy / y.Hy

and, with  b = s.H^{-1}s / y.s = -a s.g_k / y.s,  h = y.Hy / y.s,  c = b h - 1 >= 0,  n = P,

    rho- = min(1, h (1 - sqrt(c / (1 + c)))),      theta- = (rho- - 1) / c,      theta+ = 1 / rho-,
    theta = max(theta-, min(theta+, (1 - b) / b)),     sigma = 1 + c theta,      rho+ = min(1, 1/b),
    phi = (1 - theta) / sigma,
    tau = rho+ min(sigma^{-1/(n-1)}, 1/theta)  if theta > 0,      min(rho+ sigma^{-1/(n-1)}, sigma)  otherwise.

theta = 0 is BFGS. The interval keeps H positive definite, the scaling tau <= 1 lets H forget curvature that the loss
has left behind; both matter on the ill-conditioned losses of differential equations. Before the first update
H = (y.s / y.y) I.

**Cost.** A textbook update writes all of H in every iteration. Here the updates of the last ``memory`` iterations wait
in the factored form

    H = scale (B + U^T M U),      U = rows (s_1, Hy_1, s_2, Hy_2, ...),  M = block-diagonal 2 x 2,

and are worked into the base B by one matrix product when U is full. Since p = -H g_k is known, Hy = H g_{k+1} + p, and
the new direction follows from H g_{k+1} by the rank-two formula itself: an iteration reads B ONCE (P^2 multiplications;
in float64 on one CPU thread one half of it) and writes 1/memory of it. Exactly the textbook iterates, up to rounding.

**First trial.** With H scaled up by 1 / tau the unit step is too long most of the time where the loss is far from
quadratic, and a search from there costs two evaluations. The first trial is min(1, ``stretch`` times the last accepted
length) instead: nearly every first trial is accepted, lengths grow until one is not, and the loss falls no less per step.

**Batches.** After ``renew`` the loss and gradient are taken anew at theta before the next step, so that y never mixes
two batches; H stays. **Failure**: a line search without any decrease resets H to a multiple of I (``restarted``); when
even the gradient direction finds none, theta is returned as it was (``stalled``).  With ``restart`` off the first failure is
returned, and H stays: for losses whose rounding is to blame, and a caller who has better ones.

Memory P^2 + 2 memory P. Use float64 parameters: in float32 the loss stalls where its rounding does.

References: Al-Baali, Khalfan (2005), "Wide interval for efficient self-scaling quasi-Newton algorithms", Optim. Methods
Softw. 20, 679-691, doi:10.1080/10556780410001709448; Urban, Stefanou, Pons (2025), "Unveiling the optimization process
of physics informed neural networks: How accurate and competitive can PINNs be?", J. Comput. Phys. 523, 113656,
arXiv:2405.04230, section 3; Nocedal, Wright (2006), "Numerical optimization", eq. 6.20 (first scaling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from scipy.linalg.blas import dsymv
from torch import Tensor

from ..line_search import Point, along, strong_wolfe
from ..optimizer import BaseOptions, Closure, Shapes, State, option
from ..optimizer import Optimizer as BaseOptimizer


@dataclass(frozen=True, kw_only=True)
class Settings(BaseOptions):
    c1: float = option(1e-4, "sufficient decrease (Nocedal and Wright 2006, section 3.1)", low=0.0, high=0.5)
    c2: float = option(0.9, "curvature (Nocedal and Wright 2006, section 3.1, quasi-Newton)", low=0.0, high=1.0)
    max_evaluations: int = option(20, "of the closure in one line search", low=1)
    memory: int = option(16, "updates kept in factored form (own choice)", low=1)
    noise: float = option(1e-10, "relative rounding of the loss, see hrgrad.line_search", low=0.0)
    first_step: float = option(1.0, "length of the first trial step in theta (SciPy's BFGS)", low=0.0)
    restart: bool = option(True, "H = I and a search along the gradient where one finds no decrease (own choice)")
    stretch: float = option(1.2, "of the last step length, for the first trial (own choice)", low=1.0)


@final
class Optimizer(BaseOptimizer):
    name = "ssbroyden"
    needs: ClassVar[Literal["closure"]] = "closure"
    Options = Settings

    def start(self, theta: Tensor, shapes: Shapes, options: Settings) -> State:
        size, rows = theta.numel(), 2 * options.memory
        return self.new_state(
            theta,
            B=torch.eye(size, dtype=theta.dtype, device=theta.device),
            U=theta.new_zeros(rows, size),
            M=theta.new_zeros(rows, rows),
            scale=1.0,
            waiting=0,
            fresh=1,
            last=1.0,
            known=0,
            loss=math.inf,
            gradient=torch.zeros_like(theta),
            Hg=torch.zeros_like(theta),
        )

    def renew(self, state: State) -> State:
        return {**state, "known": 0}

    @torch.no_grad()
    def step(
        self, theta: Tensor, drive: Closure, state: State, options: Settings, lr: float | Tensor | None = None
    ) -> tuple[Tensor, State, dict[str, Any]]:
        self.check(theta, state)
        drive = torch.enable_grad()(drive)
        state = {**state, "count": state["count"] + 1}
        evaluations = 0
        if not state["known"]:
            loss, gradient = drive(theta)
            state["loss"], state["gradient"] = float(loss), gradient.detach().clone()
            state["Hg"] = _product(state, state["gradient"])
            state["known"], evaluations = 1, 1
        status = "ok"
        for attempt in range(2):
            g, p = state["gradient"], state["Hg"].neg()
            slope, square, length = torch.stack((g.dot(p), g.dot(g), p.dot(p))).tolist()
            if square == 0:
                return theta, state, _info(state, 0.0, 0.0, evaluations, "ok")
            if slope < 0 and math.isfinite(slope):
                origin = Point(0.0, state["loss"], slope, theta, g)
                first = options.first_step / math.sqrt(length) if state["fresh"] else options.stretch * state["last"]
                evaluate = along(theta, p, drive)
                found, spent, _ = strong_wolfe(
                    evaluate,
                    origin,
                    min(1.0, first),
                    c1=options.c1,
                    c2=options.c2,
                    evaluations=options.max_evaluations,
                    noise=options.noise,
                )
                evaluations += spent
                if found.a > 0:
                    state["last"] = 1.0 if state["fresh"] else found.a
                    break
            if attempt == 1 or state["fresh"] or not options.restart:
                return theta, state, _info(state, math.sqrt(square), 0.0, evaluations, "stalled")
            _reset(state)
            status = "restarted"
        _update(state, origin, found, p, options.memory)
        return found.theta, state, _info(state, math.sqrt(square), found.a * math.sqrt(length), evaluations, status)


def _product(state: State, x: Tensor) -> Tensor:
    """H x."""
    rows = 2 * state["waiting"]
    result = _symmetric(state["B"], x)
    if rows:
        U = state["U"][:rows]
        result.addmv_(U.T, state["M"][:rows, :rows] @ (U @ x))
    scaled: Tensor = result.mul_(state["scale"])
    return scaled


def _symmetric(B: Tensor, x: Tensor) -> Tensor:
    """B x. Reading B is what it costs, and on one CPU thread one half of it says everything.

    With several, SciPy's and torch's would wait for each other: a step of P = 2300 took twice as long.
    """
    if B.device.type != "cpu" or B.dtype != torch.float64 or torch.get_num_threads() > 1:
        return B @ x
    return torch.from_numpy(dsymv(1.0, B.numpy().T, x.numpy(), lower=1))


def _update(state: State, old: Point, new: Point, p: Tensor, memory: int) -> None:
    """H, H g and the values at the new point. The gradient may be the closure's own: copy it."""
    a, g = new.a, new.gradient.clone()
    state["loss"], state["gradient"] = new.phi, g
    ys = a * (new.slope - old.slope)
    if state["fresh"] and ys > 0:
        # H = gamma I with gamma = y.s / y.y, before the first update; the direction is then no longer -H g.
        y = g - old.gradient
        gamma = ys / y.dot(y).item()
        ratio = gamma / state["scale"]
        state["scale"], state["fresh"] = gamma, 0
    else:
        ratio = 1.0
    Hg = _product(state, g)
    Hy = torch.add(Hg, p, alpha=ratio)
    yHy, yy, pp, sg, Hyg = torch.stack(
        (Hy.dot(g) - Hy.dot(old.gradient), (g - old.gradient).square().sum(), p.dot(p), p.dot(g), Hy.dot(g))
    ).tolist()
    ss = a * a * pp
    if not (ys > 1e-14 * math.sqrt(ss * yy) and yHy > 0 and math.isfinite(yHy)):
        state["Hg"] = Hg  # no usable curvature: H stays
        return
    s = p * a
    b = -a * a * old.slope / ratio / ys
    phi, tau = _broyden(b, yHy / ys, g.numel())
    # H <- H / tau + [s Hy] C [s Hy]^T
    C_ss, C_sy, C_yy = phi * yHy / (tau * ys * ys) + 1 / ys, -phi / (tau * ys), (phi - 1) / (tau * yHy)
    sg *= a
    state["Hg"] = Hg.div_(tau).add_(s, alpha=C_ss * sg + C_sy * Hyg).add_(Hy, alpha=C_sy * sg + C_yy * Hyg)
    state["scale"] /= tau
    row = 2 * state["waiting"]
    state["U"][row], state["U"][row + 1] = s, Hy
    block = torch.tensor([[C_ss, C_sy], [C_sy, C_yy]], dtype=torch.float64) / state["scale"]
    state["M"][row : row + 2, row : row + 2] = block.to(state["M"])
    state["waiting"] += 1
    if state["waiting"] >= memory:
        _flush(state)


def _broyden(b: float, h: float, size: int) -> tuple[float, float]:
    """phi and tau of Al-Baali and Khalfan."""
    c = b * h - 1
    rho_plus = min(1.0, 1 / b)
    if c < 1e-12:  # s and Hy are parallel: every member of the class is the same matrix
        return 1.0, rho_plus
    rho_minus = min(1.0, h * (1 - math.sqrt(c / (1 + c))))
    theta = max((rho_minus - 1) / c, min(1 / rho_minus, (1 - b) / b))
    sigma = 1 + c * theta
    power = sigma ** (-1 / (size - 1)) if size > 1 else 1.0
    tau = rho_plus * min(power, 1 / theta) if theta > 0 else min(rho_plus * power, sigma)
    return (1 - theta) / sigma, tau


def _flush(state: State) -> None:
    """Work the waiting updates and the scale into the base."""
    rows = 2 * state["waiting"]
    U, scale = state["U"][:rows], state["scale"]
    state["B"].addmm_((state["M"][:rows, :rows] @ U).T, U, beta=scale, alpha=scale)
    state["M"].zero_()
    state["scale"], state["waiting"] = 1.0, 0


def _reset(state: State) -> None:
    """H = I; the first accepted step will scale it."""
    state["B"].zero_().fill_diagonal_(1.0)
    state["M"].zero_()
    state["scale"], state["waiting"], state["fresh"], state["last"] = 1.0, 0, 1, 1.0
    state["Hg"] = state["gradient"].clone()


def _info(state: State, norm: float, length: float, evaluations: int, status: str) -> dict[str, Any]:
    return {
        "loss": state["loss"],
        "gradient_norm": norm,
        "step_length": length,
        "evaluations": evaluations,
        "status": status,
    }
