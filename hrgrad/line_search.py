r"""Line search for the strong Wolfe conditions.

With phi(a) = f(theta + a p) and phi'(0) < 0, find a with

    phi(a) <= phi(0) + c1 a phi'(0)          (sufficient decrease)
    |phi'(a)| <= c2 |phi'(0)|                (curvature; it makes y.s > 0)

by bracketing and zooming (Nocedal, Wright 2006, Algorithms 3.5 and 3.6): trial points are minimisers of the cubic
through two values and two slopes, kept away from the ends of the bracket, with a bisection whenever the bracket shrank
too little. Where rounding hides the decrease, |phi(a) - phi(0)| <= noise |phi(0)|, sufficient decrease is read from the
slopes, (2 c1 - 1) phi'(0) >= phi'(a) (Hager, Zhang 2005, eq. 4.1): the loss alone cannot resolve a minimum to better
than the square root of the machine precision, the slopes can. A value that is not finite is an upper end of the
bracket, never an error.

References: Nocedal, Wright (2006), "Numerical optimization", 2nd ed., section 3.5, doi:10.1007/978-0-387-40065-5;
Hager, Zhang (2005), "A new conjugate gradient method with guaranteed descent and an efficient line search",
SIAM J. Optim. 16, 170-192, doi:10.1137/030601880.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Point:
    """A trial point: step length, value, slope, and the parameters and gradient that belong to it."""

    a: float
    phi: float
    slope: float
    theta: Tensor
    gradient: Tensor

    @property
    def finite(self) -> bool:
        return math.isfinite(self.phi) and math.isfinite(self.slope)


def along(theta: Tensor, p: Tensor, closure: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Callable[[float], Point]:
    """The loss along p. Value and slope cross to the host together: one synchronisation per evaluation."""

    def evaluate(a: float) -> Point:
        trial = torch.add(theta, p, alpha=a)
        loss, gradient = closure(trial)
        gradient = gradient.detach()
        phi, slope = torch.stack(
            (torch.as_tensor(loss, dtype=theta.dtype, device=theta.device), gradient.dot(p))
        ).tolist()
        return Point(a, phi, slope, trial, gradient)

    return evaluate


def strong_wolfe(
    evaluate: Callable[[float], Point],
    origin: Point,
    a: float,
    *,
    c1: float,
    c2: float,
    evaluations: int,
    noise: float = 1e-10,
) -> tuple[Point, int, bool]:
    """The accepted point, the evaluations spent, and whether both conditions hold.

    When they are not met within the budget, the lowest point that decreased enough is returned; when there is none,
    the origin itself (step length 0).
    """

    def decreased(point: Point) -> bool:
        if not point.finite:
            return False
        if point.phi <= origin.phi + c1 * point.a * origin.slope:
            return True
        return point.phi <= origin.phi + noise * abs(origin.phi) and point.slope <= (2 * c1 - 1) * origin.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * origin.slope

    low: Point = origin
    high: Point | None = None
    width, spent = math.inf, 0
    for spent in range(1, evaluations + 1):
        trial = evaluate(a)
        if not decreased(trial) or (low is not origin and trial.phi > low.phi and not flat(trial)):
            high = trial
        elif flat(trial):
            return trial, spent, True
        elif high is None:
            if trial.slope > 0:
                low, high = trial, low
            else:
                reach = _cubic_minimum(low, trial)
                a = min(max(reach, 2 * trial.a), 10 * trial.a) if math.isfinite(reach) else 4 * trial.a
                low = trial
                continue
        else:
            if trial.slope * (high.a - low.a) >= 0:
                high = low
            low = trial
        span = high.a - low.a
        if abs(span) <= 1e-15 * max(abs(low.a), 1e-300):
            break
        if not high.finite:
            a = low.a + 0.2 * span
            continue
        a = _cubic_minimum(low, high)
        if not math.isfinite(a) or abs(span) > 0.66 * width:
            a = low.a + 0.5 * span
        inner, outer = sorted((low.a + 0.1 * span, high.a - 0.1 * span))
        a = min(max(a, inner), outer)
        width = abs(span)
    return (low if low.phi < origin.phi else origin), spent, False


def _cubic_minimum(p: Point, q: Point) -> float:
    """Minimiser of the cubic through two values and slopes (Nocedal, Wright 2006, eq. 3.59); nan where it has none."""
    d1 = p.slope + q.slope - 3 * (p.phi - q.phi) / (p.a - q.a)
    square = d1 * d1 - p.slope * q.slope
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), q.a - p.a)
    denominator = q.slope - p.slope + 2 * d2
    return q.a - (q.a - p.a) * (q.slope + d2 - d1) / denominator if denominator else math.nan
