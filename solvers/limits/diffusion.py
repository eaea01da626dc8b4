r"""Diffusion limit of linear transport in slab geometry.

$$ \partial_t\rho = \partial_x\Big(\tfrac{1}{3\sigma_S}\partial_x\rho\Big) - \sigma_A\rho + Q , \qquad
   J = -\tfrac{1}{3\sigma_S}\partial_x\rho . $$

An in-flow end with F(v) becomes the Dirichlet value of the conservative half-space (Milne) problem,

$$ \rho = \int_0^1 \tfrac{\sqrt3}{2}\, v H(v) F(v)\,dv , \qquad
   \ln H(\mu) = -\frac{\mu}{\pi}\int_0^{\pi/2} \frac{\ln(1-\theta\cot\theta)}{\cos^2\theta+\mu^2\sin^2\theta}\,d\theta , $$

specular, diffuse and free ends become $\partial_x\rho = 0$.  In space: Chebyshev collocation (Fourier collocation with periodic
ends); in time: the matrix exponential of the collocated system, exact for coefficients and data that do not depend on t.
The error is therefore spectral in the number of points for t > 0, also when initial and boundary data disagree.

References: Chandrasekhar (1950), Radiative Transfer, sections 38-39; Trefethen (2000), Spectral Methods in MATLAB, DOI
10.1137/1.9780898719598, programs 6 and 13; problems.md (5) and section 4.4.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import expm, toeplitz

from ..problem.scheme import Array
from ..problem.scheme import Limit as LimitBase
from ..problem.status import BadInput

if TYPE_CHECKING:
    from ..problem.case import Case

POINTS = 129  # Chebyshev points
MODES = 256  # Fourier points


def chandrasekhar_h(mu: Array) -> Array:
    """H(mu) of conservative isotropic scattering, by the double-exponential rule."""
    s = np.linspace(-3.6, 3.6, 721)
    z = 0.5 * np.pi * np.sinh(s)
    # theta and its complement are kept apart, so that neither end is rounded to a singular argument
    theta, rest = 0.5 * np.pi / (1.0 + np.exp(-2.0 * z)), 0.5 * np.pi / (1.0 + np.exp(2.0 * z))
    weight = (s[1] - s[0]) * 0.5 * np.pi * np.cosh(s) * np.pi / (2.0 * np.cosh(z)) ** 2
    small = theta < 1e-3
    safe = np.where(small, 1.0, theta)
    cot = np.where(safe > 1.5, np.tan(rest), 1.0 / np.tan(safe))
    term = np.log(np.where(small, theta**2 / 3.0 * (1.0 + theta**2 / 15.0), 1.0 - safe * cot))
    mu = np.asarray(mu, dtype=float)[..., None]
    return np.exp(-mu[..., 0] / np.pi * (weight * term / (np.sin(rest) ** 2 + mu**2 * np.sin(theta) ** 2)).sum(-1))


def half_space_value(F: Callable[[Array], Array]) -> float:
    """The density far from the wall of the half-space problem with in-flow F(v), v in (0, 1]."""
    z, w = np.polynomial.legendre.leggauss(64)
    v = (0.5 * (z + 1.0)) ** 2  # H has a v ln v term at 0
    return float(np.sum(w * np.sqrt(v) * 0.5 * np.sqrt(3.0) * v * chandrasekhar_h(v) * F(v)))


def chebyshev(n: int) -> tuple[Array, Array]:
    """Increasing Chebyshev points on [-1, 1] and the differentiation matrix."""
    x = -np.cos(np.pi * np.arange(n) / (n - 1))
    c = np.ones(n)
    c[[0, -1]] = 2.0
    c *= (-1.0) ** np.arange(n)
    D = np.outer(c, 1.0 / c) / (x[:, None] - x + np.eye(n))
    return x, D - np.diag(D.sum(axis=1))


def fourier(n: int, length: float) -> Array:
    """Differentiation matrix on n (even) equidistant periodic points."""
    j = np.arange(1, n)
    column = np.concatenate([[0.0], 0.5 * (-1.0) ** j / np.tan(np.pi * j / n)]) * 2.0 * np.pi / length
    return toeplitz(column, -column)


def barycentric(points: Array, weights: Array, x: Array) -> Array:
    """Interpolation matrix from Chebyshev `points` to x."""
    gap = x[:, None] - points
    hit = np.abs(gap) < 1e-14
    kernel = weights / np.where(hit, 1.0, gap)
    kernel[hit.any(axis=1)] = 0.0
    kernel[hit] = 1.0
    return kernel / kernel.sum(axis=1, keepdims=True)


class Limit(LimitBase):
    """Diffusion in one space dimension."""

    equations = ("transport",)

    def solve(self, case: "Case", coordinates: Mapping[str, Array], times: Array) -> dict[str, Array]:
        lo, hi = case.domain.x
        length, out = hi - lo, np.asarray(coordinates["x"], dtype=float)
        left, right = case.boundary.left, case.boundary.right
        periodic = left.kind == "periodic"
        if periodic:
            n = MODES
            x, D = lo + length * np.arange(n) / n, fourier(n, length)
            k = np.arange(n)[:, None] - n // 2
            phase = np.exp(2j * np.pi * k * (out - lo) / length)
            phase[0] = phase[0].real
            inverse = np.exp(-2j * np.pi * k * np.arange(n) / n) / n
            P = (phase.T @ inverse).real
        else:
            n = POINTS
            z, D = chebyshev(n)
            x, D = lo + 0.5 * length * (z + 1.0), D * 2.0 / length
            weights = (-1.0) ** np.arange(n)
            weights[[0, -1]] *= 0.5
            P = barycentric(z, weights, 2.0 * (out - lo) / length - 1.0)
        v, w = case.velocity.nodes_and_weights()
        rho0 = case.initial.f(x=x[:, None], v=v, eps=1e-12) @ w
        diffusion = 1.0 / (3.0 * case.equation.sigma_s(x=x))
        source = case.equation.source
        if "t" in source.names and not np.allclose(source(x=x, t=0.0), source(x=x, t=float(times[-1])), rtol=0, atol=0):
            raise BadInput("the diffusion limit takes sources that do not depend on t")
        A = D @ (diffusion[:, None] * D) - np.diag(case.equation.sigma_a(x=x))
        # G rows: rho = G r + c eliminates the end values from the interior unknowns r
        G, c = np.eye(n), np.zeros(n)
        inner = np.arange(n)
        if not periodic:
            inner = inner[1:-1]
            rows, value = np.zeros((2, n)), np.zeros(2)
            for i, (side, at) in enumerate(((left, 0), (right, n - 1))):
                if side.kind == "inflow":
                    rows[i, at] = 1.0
                    value[i] = self._end(side, float(times[-1]))
                else:
                    rows[i] = D[at]
            ends = np.linalg.inv(rows[:, [0, -1]])
            G = np.zeros((n, n - 2))
            G[1:-1] = np.eye(n - 2)
            G[[0, -1]] = -ends @ rows[:, 1:-1]
            c[[0, -1]] = ends @ value
        b = (A @ c + source(x=x, t=0.0) * np.ones(n))[inner]
        system = np.zeros((inner.size + 1, inner.size + 1))
        system[:-1, :-1], system[:-1, -1] = (A @ G)[inner], b
        state = np.append(rho0[inner], 1.0)
        rho = np.array([G @ (expm(t * system) @ state)[:-1] + c for t in times])
        return {"rho": rho @ P.T, "J": -(diffusion * (rho @ D.T)) @ P.T}

    @staticmethod
    def _end(side: "object", t_end: float) -> float:
        F = side.f  # type: ignore[attr-defined]
        v = np.linspace(0.05, 1.0, 7)
        if not np.array_equal(F(t=0.0, v=v, eps=1e-12), F(t=t_end, v=v, eps=1e-12)):
            raise BadInput("the diffusion limit takes in-flow data that do not depend on t")
        return half_space_value(lambda v: F(t=0.0, v=v, eps=1e-12))
