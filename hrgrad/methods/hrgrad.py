r"""HRGrad: rotate conflicting gradients towards an anchor in the harmonized cone, then take equal cosines.

With unit gradients $a_i = g_i/|g_i|$, cosines $C_{ij}$, anchor $v = \sum_k\beta_k a_k$ in
$\mathcal K_H = \{A\alpha: \alpha\ge0,\ A^TA\alpha\ge0\}$, $p = C\beta$, $\theta_i = \arccos p_i$, $s_i = \sin\theta_i$:

1. Anchor (13): the normalised centroid of the extreme rays of K_H ("rays"), or the min-norm point of conv{a_i} ("minnorm").
2. Conflict test, PAIRWISE: i conflicts if some $C_{ij} < -10^{-12}$.  (The text tests against v, which is in the dual cone, so
   the test never fires and HRGrad would be ConFIG: `literal = true`.)
3. Rotation (15) $r_i = \cos\varphi_i\,v + \sin\varphi_i\,(a_i - p_iv)/s_i$ with $\varphi_i$ in $[0, \varphi_i^{max}]$,
   $\tan\varphi_i^{max} = \min_{K_{ij}<0} p_j/(-s_jK_{ij})$, $K_{ij} = (C_{ij}-p_ip_j)/(s_is_j)$: every r_i is in the dual cone
   and every pair (r_i, r_j) is free of conflict by construction.  The MER energy (16)
   $\frac{1}{m(m-1)}\sum_{i<j}(1-r_i\cdot r_j) + \frac{\lambda}{4m}\sum_i|r_i-a_i|^2$ is $-(A\cos\varphi_i+B\sin\varphi_i)$ in one
   angle: exact coordinate descent, $\varphi_i = \mathrm{atan2}(B, A)$ clipped to the box, from its edge.
4. Equal cosines (19): $d = \mathcal N((R^T)^\dagger 1)$; where 1 is not in the range (dependent r_i) the min-norm point takes its
   place.  Guard: if d opposes an ORIGINAL gradient it is moved towards v just as far as needed.
   Length: $\sum_ig_i\cdot d$ ("original": vanishes on the Pareto set) or $\sum_i|g_i|r_i\cdot d$ ("rotated": the paper).

Everything lives in m dimensions: one Gramian and one weighted sum of the original gradients.  State: none.
Source: the HRGrad paper, equations (9)-(34); the corrections and their evidence in this project's specification of HRGrad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..cone import anchor
from ..method import AbstractMethod, Array, Direction, State, option, weighted
from ..method import Options as BaseOptions
from ..problem import Problem
from ..quadratic import equal_projections, min_norm
from .config import EQUAL, config_weights

CONFLICT = -1e-12
ALIGNED = 1e-9
SWEEPS = 50
RAYS_UP_TO = 8
OPPOSED = 1e-2


@dataclass(frozen=True)
class Options(BaseOptions):
    anchor: str = option(
        "auto",
        "rays: (13); minnorm: any m; auto: rays up to m = 8 unless nearly opposed",
        choices=("auto", "rays", "minnorm"),
    )
    penalty: float = option(1.0, "lambda of (16); the text gives no value, RGB uses 0 or 1", low=0.0)
    magnitude: str = option("original", "length of the update", choices=("original", "rotated"))
    literal: bool = option(False, "the conflict test of the text: against the anchor")
    stationary: float = option(
        1e-6, "min-norm of the unit gradients below which the point counts as Pareto stationary", low=0.0
    )


def rotation_angles(C: Array, p: Array, turning: NDArray[np.bool_], penalty: float) -> Array:
    """Polar angles phi (m,) of the rotated gradients about the anchor: minimiser of (16) in the box, coordinate by coordinate."""
    m = len(p)
    theta = np.arccos(np.clip(p, -1.0, 1.0))
    s = np.sin(theta)
    safe = np.maximum(s, ALIGNED)
    K = (C - np.outer(p, p)) / np.outer(safe, safe)
    np.fill_diagonal(K, 1.0)
    with np.errstate(divide="ignore"):
        reach = np.where(K < 0.0, p / np.maximum(-K * safe, 1e-300), np.inf)
    top = np.minimum(np.arctan(reach.min(axis=1)), theta)
    moving = turning & (s > ALIGNED)
    phi = np.where(moving, top, theta)
    pair, stay = 1.0 / (m * (m - 1)), penalty / (2.0 * m)
    for _ in range(SWEEPS):
        before = phi.copy()
        for i in np.flatnonzero(moving):
            cosines, sines = np.cos(phi), np.sin(phi)
            A = pair * (cosines.sum() - cosines[i]) + stay * p[i]
            B = pair * (K[i] @ sines - sines[i]) + stay * s[i]
            phi[i] = min(max(np.arctan2(B, A), 0.0), top[i])
        if np.abs(phi - before).max() < 1e-10:
            break
    return phi


def harmonized(C: Array, norms: Array, options: Options) -> tuple[Array, str, dict[str, float]]:
    """Weights (m,) on the gradients of positive norm, status and diagnostics; C is their cosine matrix."""
    m = len(norms)
    turning: NDArray[np.bool_] = np.asarray((C < CONFLICT).any(axis=1))
    if options.literal:
        turning = np.zeros(m, dtype=bool)  # a_i . v >= 0 for every i: the text's test cannot fire
    if m == 1 or not turning.any():
        w, cosine, status = config_weights(C, norms)
        return w, status, {"conflicting": 0.0, "rotation": 0.0, "c_alpha": cosine, "min_cosine": cosine}
    beta, tau = anchor(C, "minnorm")
    # the centroid of rays is discontinuous, and near opposition round-off decides which rays there are
    wanted = "rays" if options.anchor == "auto" and m <= RAYS_UP_TO and tau > OPPOSED else options.anchor
    if wanted == "rays":
        beta, _ = anchor(C, "rays")
    if tau <= options.stationary:
        return np.zeros(m), "stationary", {"conflicting": float(turning.sum()), "tau": tau}
    p = C @ beta
    phi = rotation_angles(C, p, turning, options.penalty)
    theta = np.arccos(np.clip(p, -1.0, 1.0))
    s = np.sin(theta)
    x = np.where(s > ALIGNED, np.sin(phi) / np.maximum(s, ALIGNED), 1.0)
    y = np.where(s > ALIGNED, np.cos(phi) - p * x, 0.0)
    R = np.diag(x) + np.outer(y, beta)  # rows: r_i in terms of the a_j
    G = R @ C @ R.T
    z, residual = equal_projections(G)
    status = "ok"
    if residual > EQUAL or not z @ G @ z > 0.0:
        z, _ = min_norm(G)
        status = "min-norm"
    q = R.T @ (z / np.sqrt(z @ G @ z))
    cosines = C @ q
    if cosines.min() < 0.0:  # guard: the smallest share of the anchor that opposes no original gradient
        bad = cosines < 0.0
        t = min(1.0, float((-cosines[bad] / np.maximum(p[bad] - cosines[bad], 1e-300)).max()))
        q = (1.0 - t) * q + t * beta
        q /= np.sqrt(q @ C @ q)
        cosines, status = C @ q, "guarded"
    image = cosines if options.magnitude == "original" else R @ cosines
    weights = float(norms @ image) * q / norms
    numbers = {
        "conflicting": float(turning.sum()),
        "rotation": float(np.abs(theta - phi).max()),
        "c_alpha": float((R @ cosines).min()),
        "min_cosine": float(cosines.min()),
        "tau": tau,
    }
    return weights, status, numbers


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
            "reduces_to_config",
            "pareto_convergent",
            "deterministic",
        }
    )

    @classmethod
    def direction(
        cls, problem: Problem, losses: Tensor | None, state: State, options: Any, generator: Any = None
    ) -> tuple[Direction, State]:
        C, norms = problem.cosines, problem.norms
        live = norms > 0.0
        weights = np.zeros(len(norms))
        if not live.any():
            return weighted(weights, "stationary"), state
        weights[live], status, numbers = harmonized(C[np.ix_(live, live)], norms[live], options)
        return weighted(weights, status, **numbers), state
