r"""Diffusion limit of linear transport in the plane.

$$ \partial_t\rho = \nabla\cdot\Big(\tfrac{1}{2\sigma_S}\nabla\rho\Big) - \sigma_A\rho + Q , \qquad
   J = -\tfrac{1}{2\sigma_S}\nabla\rho . $$

A side with in-flow F becomes the Dirichlet value of the conservative half-space (Milne) problem of the circle; mu is the
cosine with the inward normal, F averaged over the two directions of equal mu,

$$ \rho = \int_0^1 W(\mu) F(\mu)\,d\mu, \quad W \propto \frac{\mu H(\mu)}{\sqrt{1-\mu^2}}, \quad \int_0^1 W\,d\mu = 1, \quad
   \ln H(\mu) = -\frac{\mu}{\pi}\int_0^{\pi/2} \frac{\ln(1-\cos\theta)}{\cos^2\theta+\mu^2\sin^2\theta}\,d\theta , $$

the Wiener-Hopf factor of 1 - K(k), K(k) = <1/(1+k^2 mu^2)> = (1+k^2)^(-1/2), k = tan theta (Chandrasekhar 1950, Radiative
Transfer, section 38, with the characteristic function of the circle).  Its slip is $\int W\mu\,d\mu$ mean free paths.
Specular sides become $\partial_n\rho = 0$.

Space: Chebyshev (periodic: Fourier) collocation.  Time: constant coefficients by diagonalisation in each direction, so that
the solution is exact in t (with F = 0 and Q constant it is the double sine series of problems.md 4.5); variable coefficients by
the rational approximation of the exponential on Talbot's contour, accurate to 1e-10.  Data must not depend on t.

References: Trefethen (2000), Spectral Methods in MATLAB, DOI 10.1137/1.9780898719598; Trefethen, Weideman, Schmelzer (2006),
BIT 46, 653, DOI 10.1007/s10543-006-0077-9.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import eig, lu_factor, lu_solve

from ..problem.scheme import Array
from ..problem.scheme import Limit as LimitBase
from ..problem.status import BadInput
from .diffusion import barycentric, chebyshev, fourier

if TYPE_CHECKING:
    from ..problem.case import Case

POINTS = 128  # per direction, constant coefficients
POINTS_VARIABLE = 32
CONTOUR = 24  # nodes of Talbot's contour


def circle_h(mu: Array) -> Array:
    """H(mu) of conservative isotropic scattering on the circle, by the double-exponential rule."""
    s = np.linspace(-3.6, 3.6, 721)
    z = 0.5 * np.pi * np.sinh(s)
    # theta and its complement are kept apart, so that neither end is rounded to a singular argument
    theta, rest = 0.5 * np.pi / (1.0 + np.exp(-2.0 * z)), 0.5 * np.pi / (1.0 + np.exp(2.0 * z))
    weight = (s[1] - s[0]) * 0.5 * np.pi * np.cosh(s) * np.pi / (2.0 * np.cosh(z)) ** 2
    term = np.log(2.0) + 2.0 * np.log(np.sin(0.5 * theta))  # ln(1 - cos theta)
    mu = np.asarray(mu, dtype=float)[..., None]
    return np.exp(-mu[..., 0] / np.pi * (weight * term / (np.sin(rest) ** 2 + mu**2 * np.sin(theta) ** 2)).sum(-1))


@cache
def half_space_rule(points: int = 64) -> tuple[Array, Array]:
    """Angles from the normal in (0, pi/2) and weights of sum one: rho = sum w F(mu = cos angle)."""
    z, w = np.polynomial.legendre.leggauss(points)
    angle = 0.5 * np.pi * (1.0 - (0.5 * (1.0 - z)) ** 3)  # H has a mu ln mu term at the tangent
    weight = w * (0.5 * (1.0 - z)) ** 2 * np.cos(angle) * circle_h(np.cos(angle))
    return angle, weight / weight.sum()


def slip() -> float:
    """Distance behind the wall, in mean free paths, at which the outer solution vanishes if nothing enters."""
    angle, weight = half_space_rule()
    return float(weight @ np.cos(angle))


class _Direction:
    """Collocation along one axis: points x, derivative D, V = G V_inner for homogeneous end conditions, values at `out`."""

    def __init__(self, interval: tuple[float, float], kinds: tuple[str, str], out: Array, n: int) -> None:
        lo, length = interval[0], interval[1] - interval[0]
        if kinds[0] == "periodic":
            self.x, self.D = lo + length * np.arange(n) / n, fourier(n, length)
            k = np.arange(n)[:, None] - n // 2
            phase = np.exp(2j * np.pi * k * (out - lo) / length)
            phase[0] = phase[0].real
            self.P = (phase.T @ (np.exp(-2j * np.pi * k * np.arange(n) / n) / n)).real
            self.inner, self.G, self.ends = np.arange(n), np.eye(n), None
            return
        z, D = chebyshev(n)
        self.x, self.D = lo + 0.5 * length * (z + 1.0), D * 2.0 / length
        weights = (-1.0) ** np.arange(n)
        weights[[0, -1]] *= 0.5
        self.P = barycentric(z, weights, 2.0 * (out - lo) / length - 1.0)
        self.inner = np.arange(1, n - 1)
        rows = np.array(
            [np.eye(n)[at] if kind == "inflow" else self.D[at] for kind, at in zip(kinds, (0, -1), strict=True)]
        )
        self.ends = np.linalg.inv(rows[:, [0, -1]])
        self.G = np.zeros((n, n - 2))
        self.G[1:-1] = np.eye(n - 2)
        self.G[[0, -1]] = -self.ends @ rows[:, 1:-1]

    def lift(self, values: Array) -> Array:
        """(n, m) with the end conditions equal to `values` (2, m) and zero inside."""
        B = np.zeros((self.x.size, values.shape[1]))
        if self.ends is not None:
            B[[0, -1]] = self.ends @ values
        return B


def _growth(exponent: Array) -> Array:
    """(e^z - 1)/z."""
    small = np.abs(exponent) < 1e-8
    safe = np.where(small, 1.0, exponent)
    return np.where(small, 1.0 + 0.5 * exponent, np.expm1(safe) / safe)


class Limit(LimitBase):
    """Diffusion in two space dimensions."""

    equations = ("transport_2d",)

    def solve(self, case: "Case", coordinates: Mapping[str, Array], times: Array) -> dict[str, Array]:
        equation, boundary = case.equation, case.boundary
        if case.domain.y is None:
            raise BadInput("domain.y: the diffusion limit in the plane needs a y interval")
        constant = equation.sigma_s.constant is not None and equation.sigma_a.constant is not None
        n = POINTS if constant else POINTS_VARIABLE
        X = _Direction(case.domain.x, (boundary.left.kind, boundary.right.kind), np.asarray(coordinates["x"]), n)
        Y = _Direction(case.domain.y, (boundary.bottom.kind, boundary.top.kind), np.asarray(coordinates["y"]), n)
        self._steady(case, times)
        x, y = X.x[:, None], Y.x
        theta, w = case.velocity.nodes_and_weights()
        v1, v2 = np.cos(theta), np.sin(theta)
        rho0 = case.initial.f(x=x[..., None], y=y[:, None], v1=v1, v2=v2, eps=1e-12) @ w
        D = 0.5 / equation.sigma_s(x=x, y=y) * np.ones((n, n))
        absorption = equation.sigma_a(x=x, y=y) * np.ones((n, n))
        source = equation.source(x=x, y=y, t=0.0) * np.ones((n, n))
        B = self._boundary(case, X, Y)

        def operate(u: Array) -> Array:
            return X.D @ (D * (X.D @ u)) + (D * (u @ Y.D.T)) @ Y.D.T - absorption * u

        inner = np.ix_(X.inner, Y.inner)
        start, force = (rho0 - B)[inner], (operate(B) + source)[inner]
        march = self._diagonal if constant else self._talbot
        states = march(X, Y, D, absorption, start, force, times)
        rho = np.array([X.G @ V @ Y.G.T + B for V in states])
        fluxes = (-D * (X.D @ rho), -D * (rho @ Y.D.T))
        return {name: X.P @ u @ Y.P.T for name, u in zip(("rho", "J1", "J2"), (rho, *fluxes), strict=True)}

    @staticmethod
    def _steady(case: "Case", times: Array) -> None:
        at = {
            "x": np.linspace(*case.domain.x, 7),
            "y": np.linspace(*case.domain.y, 7),
            "v1": 0.6,
            "v2": 0.8,
            "eps": 1e-12,
        }
        for name in ("source", "left", "right", "bottom", "top"):
            formula = case.equation.source if name == "source" else getattr(case.boundary, name).f
            if formula is None or "t" not in formula.names:
                continue
            point = {key: at[key] for key in ("x", "y")} if name == "source" else at
            if not np.array_equal(formula(t=0.0, **point), formula(t=float(times[-1]), **point)):
                raise BadInput(f"the diffusion limit takes data that do not depend on t, but '{name}' does")

    @staticmethod
    def _boundary(case: "Case", X: _Direction, Y: _Direction) -> Array:
        """Zero inside, and such that the end conditions hold: the in-flow sides' half-space values, zero slope elsewhere."""
        angle, weight = half_space_rule()

        def value(name: str, normal: float, **at: Any) -> Array:
            side = getattr(case.boundary, name)
            points = np.broadcast_shapes(*(np.shape(a) for a in at.values()))
            total = np.zeros(points)
            if side.kind == "inflow":
                for tilt in (angle, -angle):
                    direction = normal + tilt
                    here = {key: np.asarray(a)[..., None] for key, a in at.items()}
                    F = side.f(t=0.0, **here, v1=np.cos(direction), v2=np.sin(direction), eps=1e-12)
                    total = total + 0.5 * F @ weight
            return total

        (x0, x1), (y0, y1) = case.domain.x, case.domain.y
        across = np.array([value("left", 0.0, x=x0, y=Y.x), value("right", np.pi, x=x1, y=Y.x)])
        B = X.lift(across)
        if Y.ends is None:
            return B
        along = np.array([value("bottom", 0.5 * np.pi, x=X.x, y=y0), value("top", -0.5 * np.pi, x=X.x, y=y1)])
        kinds = (case.boundary.bottom.kind, case.boundary.top.kind)
        there = np.array(
            [B[:, at] if kind == "inflow" else B @ Y.D[at] for kind, at in zip(kinds, (0, -1), strict=True)]
        )
        # corners belong to left and right: along the y sides only the inner points are lifted
        change = (along - there) * np.isin(np.arange(X.x.size), X.inner)
        return B + Y.lift(change).T

    @staticmethod
    def _diagonal(
        X: _Direction, Y: _Direction, D: Array, absorption: Array, start: Array, force: Array, times: Array
    ) -> list[Array]:
        factors = []
        for axis in (X, Y):
            values, vectors = eig((axis.D @ axis.D @ axis.G)[axis.inner])
            factors.append((values.real * D[0, 0], vectors.real, np.linalg.inv(vectors.real)))
        (a, V, V1), (b, U, U1) = factors
        rates = a[:, None] + b - absorption[0, 0]
        start, force = V1 @ start @ U1.T, V1 @ force @ U1.T
        return [V @ (np.exp(rates * t) * start + t * _growth(rates * t) * force) @ U.T for t in times]

    @staticmethod
    def _talbot(
        X: _Direction, Y: _Direction, D: Array, absorption: Array, start: Array, force: Array, times: Array
    ) -> list[Array]:
        n, m = X.inner.size, Y.inner.size
        inner = np.ix_(X.inner, Y.inner)
        A = np.empty((n * m, n, m))
        for k in range(n * m):
            unit = np.zeros(n * m)
            unit[k] = 1.0
            u = X.G @ unit.reshape(n, m) @ Y.G.T
            A[k] = (X.D @ (D * (X.D @ u)) + (D * (u @ Y.D.T)) @ Y.D.T - absorption * u)[inner]
        matrix = A.reshape(n * m, n * m).T
        result = []
        for t in times:
            # modified Talbot contour z(theta), midpoint rule; e^z = (1/2 pi i) int e^z/(z - tA), with 1/z for the source
            theta = np.pi * (2.0 * np.arange(CONTOUR // 2) + 1.0) / CONTOUR
            z = CONTOUR * (0.5017 * theta / np.tan(0.6407 * theta) - 0.6122 + 0.2645j * theta)
            dz = CONTOUR * (
                0.5017 / np.tan(0.6407 * theta) - 0.5017 * 0.6407 * theta / np.sin(0.6407 * theta) ** 2 + 0.2645j
            )
            u = np.zeros(n * m)
            for zk, dzk in zip(z, dz, strict=True):
                lu = lu_factor(zk * np.eye(n * m) - t * matrix)
                right = start.ravel() + t * force.ravel() / zk
                u = u + (np.exp(zk) * dzk / (1j * CONTOUR) * lu_solve(lu, right)).real * 2.0
            result.append(u.reshape(n, m))
        return result
