r"""Spectral solution of periodic linear transport with constant coefficients: Fourier in x, Legendre (P_N) in v.

With the orthonormal Legendre polynomials $p_l = \sqrt{2l+1}\,P_l$ of $\langle\cdot\rangle$,
$f = \sum_k e^{ikx}\sum_l (-i)^l c_l\,p_l(v)$, $a_l = l/\sqrt{4l^2-1}$ and $d = \sigma_S/\varepsilon^2$, every Fourier mode
obeys the real system

$$ \dot c_0 = -\tfrac{k}{\varepsilon} a_1 c_1, \qquad
   \dot c_l = \tfrac{k}{\varepsilon}\,(a_l c_{l-1} - a_{l+1} c_{l+1}) - d\,c_l , \quad l\ge1 , $$

after the factor $e^{-\sigma_A t}$ is taken out.  It is solved exactly in t:

* layer still alive ($t\,d$ below LAYER): the matrix exponential.
* layer dead ($e^{-t d} = 0$ in floating point): only the slow eigenvalue $\lambda$ survives,
  $c(t) = r\,e^{\lambda t}\,(r^T S c(0))/(r^T S r)$, $S = diag((-1)^l)$ (the matrix is S-symmetric).  $\lambda$ is the fixed
  point of the continued fraction

  $$ \lambda = -\frac{k^2a_1^2}{\sigma+\varepsilon^2\lambda+}\;\frac{\varepsilon^2k^2a_2^2}{\sigma+\varepsilon^2\lambda+}
     \cdots , \qquad \frac{c_l}{c_{l-1}} = \frac{\varepsilon k a_l}{\sigma+\varepsilon^2\lambda+\varepsilon k a_{l+1}c_{l+1}/c_l} $$

  which holds no difference of large numbers at any eps.  For $\varepsilon|k|/\sigma\ge\pi/2$ there is no slow eigenvalue
  and the mode is zero.

Accuracy: spectral in x and v, exact in t, uniform in eps; mass is the untouched mode k = 0, l = 0.
References: Lewis, Miller (1984), Computational Methods of Neutron Transport, chapter 3; Case, Zweifel (1967), Linear
Transport Theory, chapter 4 (the discrete eigenvalue); problems.md section 4.1.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field
from scipy.linalg import expm

from ..problem.scheme import COARSER, Array, SchemeOptions
from ..problem.scheme import Scheme as SchemeBase
from ..problem.status import BadInput, NumericalError, Snapshot

if TYPE_CHECKING:
    from ..problem.case import Case

LAYER = 2e3  # above this t sigma_S / eps^2 the initial layer is below every floating-point number
NEGLIGIBLE = 1e-16  # modes below this share of the largest are not marched


class Options(SchemeOptions):
    """`cells` is the number of Fourier points, `moments` of Legendre moments."""

    scheme: str = "fourier_legendre"
    cells: int = Field(default=162, ge=8, le=65536, multiple_of=2)
    moments: int = Field(default=96, ge=4, le=2000)


def legendre(v: Array, moments: int) -> Array:
    """Orthonormal p_l(v), shape (moments, v)."""
    return np.polynomial.legendre.legvander(v, moments - 1).T * np.sqrt(2.0 * np.arange(moments) + 1.0)[:, None]


def slow_mode(k: float, eps: float, sigma: float, moments: int) -> tuple[float, Array]:
    """Slow eigenvalue and its vector (c_0 = 1) of wave number k; eps |k| / sigma < 1.5."""
    level = np.arange(1.0, moments)
    a = level / np.sqrt(4.0 * level**2 - 1.0)
    rate, ratio = 0.0, np.zeros(moments - 1)
    for _ in range(200):
        tail, shift = 0.0, sigma + eps**2 * rate
        for m in range(moments - 2, -1, -1):
            ratio[m] = a[m] / (shift + tail)
            tail = (eps * k * a[m]) ** 2 / (shift + tail)
        old, rate = rate, -(k**2) * a[0] * ratio[0]
        if abs(rate - old) <= 4e-16 * abs(rate):
            break
    return rate, np.concatenate([[1.0], np.cumprod(eps * k * ratio)])


def march_mode(c0: Array, k: float, eps: float, sigma: float, t: float) -> Array:
    """c(t) of one mode from c(0), shape (moments,), complex; without absorption."""
    moments = c0.size
    sign = (-1.0) ** np.arange(moments)
    if k == 0.0:
        c = c0 * np.exp(-min(t * sigma / eps**2, 745.0))
        c[0] = c0[0]
        return c
    if t * sigma / eps**2 > LAYER:
        if abs(k) * eps / sigma >= 1.5:  # slowest decay exceeds exp(-0.85 LAYER)
            return np.zeros_like(c0)
        rate, r = slow_mode(k, eps, sigma, moments)
        return r * np.exp(rate * t) * ((sign * r) @ c0) / ((sign * r) @ r)
    level = np.arange(1.0, moments)
    b = k / eps * level / np.sqrt(4.0 * level**2 - 1.0)
    M = np.diag(b, -1) - np.diag(b, 1) - np.diag(np.concatenate([[0.0], np.full(moments - 1, sigma / eps**2)]))
    return expm(t * M) @ c0


class Scheme(SchemeBase):
    """Fourier-Legendre; `order` is spectral, given as what any test of order must exceed."""

    equations = ("transport",)
    order = (8, 8)
    asymptotic_preserving = True
    conserves = ("mass",)
    positive = False
    Options = Options

    def coarser(self, options: Any) -> Any | None:
        """A third of the points and of the moments."""
        coarse = super().coarser(options)
        return coarse and coarse.model_copy(update={"moments": max(4, options.moments // COARSER)})

    def coordinates(self, case: "Case", options: Any) -> dict[str, Array]:
        lo, hi = case.domain.x
        return {
            "x": lo + (hi - lo) * (np.arange(options.cells) + 0.5) / options.cells,
            "v": case.velocity.nodes_and_weights()[0],
        }

    def plan(self, case: "Case", eps: float, options: Any) -> dict[str, float]:
        unknowns = options.cells * options.moments
        return {"unknowns": unknowns, "steps": len(case.domain.output_times), "bytes": 16.0 * unknowns}

    def march(
        self, case: "Case", eps: float, options: Any, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        sigma, sigma_a = self._constants(case)
        grid = self.coordinates(case, options)
        lo, hi = case.domain.x
        x, n, L = grid["x"], options.cells, options.moments
        nodes, weights = np.polynomial.legendre.leggauss(2 * L)
        f0 = case.initial.f(x=x[:, None], v=nodes, eps=eps)
        moments = f0 @ (0.5 * weights * legendre(nodes, L)).T
        c0 = np.fft.rfft(moments, axis=0) * 1j ** np.arange(L)
        if not np.isfinite(c0).all():
            raise NumericalError("f at t = 0 is not finite")
        k = 2.0 * np.pi / (hi - lo) * np.arange(c0.shape[0])
        alive = np.flatnonzero(np.abs(c0).max(1) > NEGLIGIBLE * np.abs(c0).max())
        basis = legendre(grid["v"], L)
        times = case.domain.output_times
        for step, t in enumerate(times):
            if resume is not None and t <= float(resume["t"]):
                continue
            c = np.zeros_like(c0)
            for m in alive:
                c[m] = march_mode(c0[m], float(k[m]), eps, sigma, t)
            c *= np.exp(-sigma_a * t)
            f = np.fft.irfft(c * (-1j) ** np.arange(L), n, axis=0)
            fields = {"rho": f[:, 0], "J": f[:, 1] / (eps * np.sqrt(3.0))}
            if options.distribution:
                fields["f"] = f @ basis
            for name, field in fields.items():
                if not np.isfinite(field).all():
                    raise NumericalError(f"{name} is not finite at t = {t:g}, eps = {eps:g}")
            mass = c0[0, 0].real * np.exp(-sigma_a * t)
            drift = abs(n * f[:, 0].mean() - mass) / max(abs(mass), 1e-300)
            yield Snapshot((step + 1) / len(times), step + 1, eps, t, fields, {"drift_mass": drift}, {"t": t})

    @staticmethod
    def _constants(case: "Case") -> tuple[float, float]:
        equation = case.equation
        if case.boundary.left.kind != "periodic":
            raise BadInput("fourier_legendre needs periodic ends; take scheme = 'discrete_ordinates'")
        x = case.sample_x()
        for name in ("sigma_s", "sigma_a"):
            value = getattr(equation, name)(x=x)
            if np.ptp(value) > 1e-14 * np.abs(value).max():
                raise BadInput(f"fourier_legendre needs a constant {name}; take scheme = 'discrete_ordinates'")
        if any(np.any(equation.source(x=x, t=t)) for t in (0.0, *case.domain.output_times)):
            raise BadInput("fourier_legendre takes no source; take scheme = 'discrete_ordinates'")
        return float(equation.sigma_s(x=x[:1])[0]), float(equation.sigma_a(x=x[:1])[0])
