r"""HRGrad: rotate conflicting gradients towards an anchor in the harmonized cone, then take equal cosines.

With unit gradients $a_i = g_i/|g_i|$, cosines $C_{ij}$ and an anchor $v = \sum_k\beta_k a_k$ in
$\mathcal K_H = \{A\alpha: \alpha\ge0,\ A^TA\alpha\ge0\}$ (`hrgrad.cone`; the geometry is in `hrgrad.rotation`):

1. Anchor (13): the normalised centroid of the extreme rays of K_H ("rays": jumps where a ray splits, counts copies), or the
   min-norm point of conv{a_i} ("minnorm": continuous, any m, the best worst cosine).  "auto": rays up to m = 4.
2. Conflict test, PAIRWISE: i turns if some $C_{ij} < -10^{-12}$.  The text tests against v, which lies in the dual cone: that
   test ("anchor") can never fire, and HRGrad would be ConFIG.
3. Rotation (15) $r_i = \cos\varphi_i\,v + \sin\varphi_i\,u_i$ with $\varphi_i$ in the box in which every r_i is in the dual cone:
   no two rotated gradients conflict, by construction.  The MER energy (16)
   $\frac{1}{m(m-1)}\sum_{i<j}(1-r_i\cdot r_j) + \frac{\lambda}{4m}\sum_i|r_i-a_i|^2$ is brought to a stationary point ("exact"), or
   treated with the adaptive number of steps (17) ("steps"); both start at the edge of the box, so any truncation is safe.
4. Equal cosines (19): $d = \mathcal N((R^T)^\dagger 1)$; where 1 is not in the range (dependent r_i) the min-norm point takes its
   place.  Guard: if d opposes an ORIGINAL gradient it is moved towards v just as far as needed.
   Length: $\sum_ig_i\cdot d$ ("original": vanishes on the Pareto set) or $\sum_i|g_i|r_i\cdot d$ ("rotated": the paper, never small).

A point whose unit gradients have a hull as near to zero as `stationary` is Pareto stationary: reported, with a zero update.
`literal` is the text as it stands: conflict test against the anchor, angles in [0, pi/2] from 0 by steps, no guard, "rotated";
with `trigger = "pairwise"` it shows what its angles alone would do.  `momentum` puts it inside Adam (`hrgrad.momentum`).

Cost: one Gramian, m-dimensional algebra, one weighted sum of the originals.  State: the last losses for (17); momenta.
Diagnostics: `rotation`, the angles alpha (m,) in radians, and `c_alpha`, the worst cosine of d with the rotated gradients.
Source: the HRGrad paper, equations (9)-(34); (16), (17) from RGB, equations (1), (2); the corrections are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import Array
from ..cone import anchor
from ..method import CONFLICT, AbstractMethod, Direction, Measure, Measures, State, loss_values, option, weighted
from ..method import Options as BaseOptions
from ..momentum import momentum_direction, momentum_state
from ..problem import Problem
from ..quadratic import equal_projections, min_norm
from ..rotation import adaptive_steps, descend, polar, settle
from .config import EQUAL, config_weights

RAYS_UP_TO = 4


@dataclass(frozen=True)
class Options(BaseOptions):
    anchor: str = option("auto", "rays: (13); minnorm; auto: rays up to m = 4", choices=("auto", "rays", "minnorm"))
    engine: str = option("own", "enumeration of the rays: own, or cdd (cddlib)", choices=("own", "cdd"))
    trigger: str = option("auto", "auto: pairwise, anchor if literal", choices=("auto", "pairwise", "anchor", "all"))
    penalty: float = option(1.0, "lambda of (16); the text gives no value, RGB uses 0 or 1", low=0.0)
    solver: str = option("exact", "angles: exact, or steps (17)", choices=("exact", "steps"))
    steps_min: int = option(5, "n_min of (17); RGB's smallest", low=0)
    steps_max: int = option(50, "n_max of (17); RGB's largest", low=0)
    sensitivity: float = option(1.0, "k of (17); not given in the text", low=1e-12)
    inner_lr: float = option(0.2, "step of (17) on the angles; not given in the text", low=0.0)
    magnitude: str = option("original", "length of the update", choices=("original", "rotated"))
    on_stationary: str = option("zero", "update at a Pareto stationary point", choices=("zero", "mean"))
    stationary: float = option(1e-6, "min-norm of the unit gradients that counts as zero", low=0.0)
    literal: bool = option(False, "the published text as it stands")
    momentum: bool = option(False, "on moving averages inside Adam; follow with plain descent")
    beta1: float = option(0.9, "momentum: memory of the gradients (Adam, M-ConFIG)", low=0.0, high=0.999999)
    beta2: float = option(0.999, "momentum: memory of the squares (Adam, M-ConFIG)", low=0.0, high=0.99999999)
    eps: float = option(1e-8, "momentum: added to the root (Adam, M-ConFIG)", low=0.0)


def rotation_angles(C: Array, p: Array, turning: NDArray[np.bool_], penalty: float) -> Array:
    """Polar angles phi (m,) about the anchor, p = C beta, at the stationary point of (16) in the box."""
    q = polar(C, p)
    top = q.top()
    turning = turning & ~q.aligned
    return settle(q, np.where(turning, top, q.theta), top, turning, penalty)


def harmonized(C: Array, norms: Array, options: Options, steps: int = 0) -> tuple[Array, str, Measure]:
    """Weights (m,) on gradients of positive norm, status, and the angles and c_alpha; C is their cosine matrix."""
    m = len(norms)
    conflict: NDArray[np.bool_] = C.min(1) < CONFLICT
    trigger = ("anchor" if options.literal else "pairwise") if options.trigger == "auto" else options.trigger
    turning = np.full(m, trigger == "all") if trigger != "pairwise" else conflict
    if m == 1 or not turning.any():  # a_i . v >= 0 for every i: against the anchor nobody ever conflicts
        w, cosine, status = config_weights(C, norms)
        return w, status, lambda: {"rotation": np.zeros(m), "c_alpha": cosine}
    kind = options.anchor
    if kind == "auto":  # for two gradients both are the bisector
        kind = "rays" if 2 < m <= RAYS_UP_TO else "minnorm"
    beta, tau = anchor(C, kind, options.engine)
    if tau <= options.stationary:
        weights = np.full(m, 1.0 / m) if options.on_stationary == "mean" else np.zeros(m)
        return weights, "stationary", lambda: {"rotation": np.zeros(m), "c_alpha": 0.0}
    q = polar(C, C @ beta)
    turning = turning & ~q.aligned
    if options.literal:
        low = np.where(turning, q.theta - 0.5 * np.pi, q.theta)
        phi = descend(q, q.theta, low, q.theta, options.penalty, steps, options.inner_lr)
    else:
        top = q.top()
        phi = np.where(turning, top, q.theta)
        if options.solver == "exact":
            phi = settle(q, phi, top, turning, options.penalty)
        else:
            low = np.where(turning, 0.0, q.theta)
            phi = descend(q, phi, low, phi, options.penalty, steps, options.inner_lr)
    G, x, y = q.rotated(phi)
    z, residual = equal_projections(G)
    square, status = float(z @ (G @ z)), "ok"
    if residual > EQUAL or not square > 0.0:
        z, tau = min_norm(G)
        square, status = tau * tau, "min-norm"
    d = (x * z + float(y @ z) * beta) / square**0.5
    cosines = C @ d
    if not options.literal and cosines.min() < 0.0:  # guard: the smallest share of v that opposes no original gradient
        bad = cosines < 0.0
        t = min(1.0, float((-cosines[bad] / np.maximum(q.p[bad] - cosines[bad], 1e-300)).max()))
        d = (1.0 - t) * d + t * beta
        d /= float(d @ (C @ d)) ** 0.5
        cosines, status = C @ d, "guarded"
    image = x * cosines + y * float(beta @ cosines)
    rotated = options.literal or options.magnitude == "rotated"
    # original cosines are below zero by rounding alone; a long gradient would turn the update round
    weights = float(norms @ (image if rotated else np.maximum(cosines, 0.0))) * d / norms
    return weights, status, lambda: {"rotation": q.theta - phi, "c_alpha": float(image.min())}


@final
class Method(AbstractMethod):
    title = "HRGrad"
    needs = "gramian"
    Options = Options
    properties = frozenset(
        {
            "non_conflicting",
            "scale_equivariant",
            "scale_invariant",
            "permutation_equivariant",
            "norm_preserving",
            "reduces_to_config",
            "pareto_convergent",
            "deterministic",
        }
    )

    @classmethod
    def is_step(cls, options: Any) -> bool:
        return bool(options.momentum)

    @classmethod
    def initial_state(cls, m: int, options: Any) -> State:
        state: State = {"losses": torch.full((m,), np.nan, dtype=torch.float64)}
        return {**state, **momentum_state(m)} if options.momentum else state

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        steps = options.steps_min
        if options.solver == "steps" or options.literal:
            before = state["losses"].numpy()
            after = before.copy()
            if losses is not None:
                after[slice(None) if problem.rows is None else list(problem.rows)] = loss_values(losses, "hrgrad")
            steps = adaptive_steps(after, before, options.steps_min, options.steps_max, options.sensitivity)
            state = {**state, "losses": torch.from_numpy(after)}

        def inner(C: Array, norms: Array) -> tuple[Array, str, Measure]:
            live = norms > 0.0
            if live.all():
                return harmonized(C, norms, options, steps)
            weights = np.zeros(len(norms))
            if not live.any():
                return weights, "stationary", lambda: {"rotation": np.zeros(len(live)), "c_alpha": 0.0}
            weights[live], status, measure = harmonized(C[np.ix_(live, live)], norms[live], options, steps)

            def spread() -> Measures:
                found, rotation = measure(), np.zeros(len(live))
                rotation[live] = found["rotation"]
                return {**found, "rotation": rotation}

            return weights, status, spread

        if options.momentum:
            return momentum_direction(problem, state, options, "hrgrad", inner)
        weights, status, measure = inner(problem.cosines, problem.norms)
        return weighted(weights, status, measure), state
