r"""Spectral solution of periodic BGK: Fourier in x, exact along characteristics, exponential multistep of order four in t.

Along a characteristic BGK is an ordinary differential equation.  Its exact solution over one step h is kept, and only the
equilibrium under the integral is replaced by the polynomial through its values at $t_{n+1}$ and p = 4 earlier times:

$$ f^{n+1} = e^{-h/\varepsilon} S(h) f^n + \sum_{j=0}^{p}\phi_j\,S(t_{n+1}-t_{n+1-j})\,M^{n+1-j}, \qquad
   \phi_j = \frac{1}{\varepsilon}\int_0^h e^{-s/\varepsilon}\,\ell_j(t_{n+1}-s)\,ds , $$

S(t) the free flight f(x, v) -> f(x - v t, v), a phase factor of every Fourier mode, and $\ell_j$ the Lagrange polynomials.
The collision term has no moments, so those of the new time follow from the old ones,

$$ U^{n+1} = \frac{\langle m\,(f^{n+1}-\phi_0M^{n+1})\rangle}{1-\phi_0} , \qquad
   1-\phi_0 = e^{-h/\varepsilon}+\sum_{j\ge1}\phi_j \ \ (\textrm{summed in this form, it holds no difference}), $$

and the equilibrium of U^{n+1} is the discrete one of `imex`: mass, momentum and energy are kept to round-off.  There is no
step-size limit.  Order p + 1 for h << eps (Adams-Moulton in M, free transport exact), order p for eps << h, where
$\phi_j/(1-\phi_0)$ become the coefficients of the backward differentiation formula (BDF4 for the Euler equations in kinetic
form): uniformly accurate and asymptotic-preserving with the same steps for every eps.  The method starts with steps of
h/START that grow by GROWTH (variable-step BDF4 is zero-stable up to 1.28), which also resolves the initial layer as far as it
matters: f leaves equilibrium by O(eps), which moves the moments by O(eps^2).

With `velocity_dimension = 3` Chu's second distribution goes along with equilibrium 2 T M.

References: Cox, Matthews (2002), Exponential time differencing for stiff systems, J. Comput. Phys. 176, 430, DOI
10.1006/jcph.2002.6995; Groppi, Russo, Stracquadanio (2016), High order semi-Lagrangian methods for the BGK equation, Commun.
Math. Sci. 14, 389, DOI 10.4310/CMS.2016.v14.n2.a4; Calvo, Grande, Grigorieff (1990), On the zero stability of the variable
order variable stepsize BDF-formulas, Numer. Math. 57, 39, DOI 10.1007/BF01386395.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..problem.case import Case
from ..problem.scheme import COARSER, Array, SchemeOptions
from ..problem.scheme import Scheme as AbstractScheme
from ..problem.status import BadInput, NumericalError, Snapshot
from .imex import conserved_moments, equilibria, filled, initial_distribution, integrals

PAST = 4  # earlier equilibria under the integral
START = 100.0  # the first step is this much shorter than the others
GROWTH = 1.25

Modes = NDArray[np.complex128]


class Options(SchemeOptions):
    """`cells` Fourier points, `steps` of equal length from 0 to t_end after the start."""

    scheme: str = "fourier_exponential"
    cells: int = Field(default=162, ge=8, le=65536)
    steps: int = Field(default=100, ge=1, le=1_000_000)


def step_sizes(case: Case, steps: int) -> list[tuple[float, int, float]]:
    """(output time, number of steps, length) of runs of equal steps, from 0 to t_end."""
    longest = case.domain.t_end / steps
    h, t, runs = longest / START, 0.0, []
    for end in case.domain.output_times:
        while end - t > 1e-12 * end:
            count = int(np.ceil((end - t) / min(h, longest) - 1e-9))
            length = (end - t) / count
            taken = count if h >= longest else 1
            runs.append((end, taken, length))
            t = end if taken == count else t + taken * length
            h = longest if h >= longest else GROWTH * length
    return runs


def integral_weights(z: float, ages: Array) -> tuple[float, Array]:
    r"""exp(-z) and the phi_j for z = h/eps and nodes at `ages` = 0, 1, ... before the new time (in steps)."""
    count = ages.size
    powers = np.empty(count)  # of the integral of z exp(-z s) s^m over [0, 1]
    if z < 4.0:
        # the recursion below would cancel
        node, weight = np.polynomial.legendre.leggauss(24)
        s = 0.5 * (node + 1.0)
        powers[:] = (0.5 * weight * z * np.exp(-z * s)) @ s[:, None] ** np.arange(count)
    else:
        powers[0] = -np.expm1(-z)
        for m in range(1, count):
            powers[m] = m / z * powers[m - 1] - np.exp(-z)
    phi = np.empty(count)
    for j in range(count):
        others = np.delete(ages, j)
        coefficients = np.poly(others)[::-1] / np.prod(ages[j] - others)
        if j:
            coefficients[0] = 0.0  # exactly: the polynomial vanishes at age 0
        phi[j] = coefficients @ powers
    return float(np.exp(-z)), phi


class Scheme(AbstractScheme):
    """Spectral; `order` in space is given as what any test of order must exceed."""

    equations = ("bgk",)
    order = (4, 8)
    asymptotic_preserving = True
    conserves = ("mass", "momentum", "energy")
    positive = False
    small = ("reference.cells=48", "reference.steps=30", "velocity.nodes=64")
    rate = 8.6e6
    references = ("cox2002exponential", "groppi2016high", "calvo1990zero")
    Options = Options

    def coordinates(self, case: Case, options: Options) -> dict[str, Array]:
        low, high = case.domain.x
        axes = {"x": low + (high - low) * (np.arange(options.cells) + 0.5) / options.cells}
        return axes | {"v": case.velocity.nodes_and_weights()[0]} if options.distribution else axes

    def plan(self, case: Case, eps: float, options: Options) -> dict[str, float]:
        components = 2 if case.equation.velocity_dimension == 3 else 1
        unknowns = components * options.cells * case.velocity.nodes_and_weights()[0].size
        steps = sum(count for _, count, _ in step_sizes(case, options.steps))
        return {"unknowns": unknowns, "steps": steps, "bytes": 8.0 * (PAST + 6) * unknowns}

    def coarser(self, options: Options) -> Options | None:
        fewer = super().coarser(options)
        return fewer and fewer.model_copy(update={"steps": max(options.steps // COARSER, 1)})

    def march(
        self, case: Case, eps: float, options: Options, resume: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        if case.boundary.left.kind != "periodic":
            raise BadInput("fourier_exponential needs periodic ends; take reference.scheme = 'imex'")
        v, w = case.velocity.nodes_and_weights()
        x = self.coordinates(case, options)["x"]
        components = 2 if case.equation.velocity_dimension == 3 else 1
        f = initial_distribution(case, x, eps, components, v, w) if resume is None else np.array(resume["f"])
        start = integrals(f, v, w)
        t, step = (0.0, 0) if resume is None else (float(resume["t"]), int(resume["step"]))
        if resume is not None and "modes" in resume:
            modes, past, times = (np.array(resume[name]) for name in ("modes", "past", "times"))
            start = np.array(resume["start"])
        else:
            modes = np.fft.rfft(f, axis=1)
            past, times = np.fft.rfft(equilibrium_of(f, v, w, t, x), axis=1)[None], np.array([t])
        wave = 2.0 * np.pi / (case.domain.x[1] - case.domain.x[0]) * np.arange(modes.shape[1])
        length = 0.0
        for end, count, h in step_sizes(case, options.steps):
            if end <= t * (1.0 + 1e-12):
                continue
            if h != length:
                flight, length = np.exp(-1j * h * wave[:, None] * v), h
            for taken in range(count):
                t = end if taken == count - 1 and end - t < 1.5 * h else t + h
                decay, phi = integral_weights(h / eps, np.concatenate([[0.0], (t - times) / h]))
                modes *= flight
                past *= flight
                modes = decay * modes + np.tensordot(phi[1:], past, 1)
                explicit = np.fft.irfft(modes, x.size, axis=1) / (decay + phi[1:].sum())
                newest = np.fft.rfft(equilibrium_of(explicit, v, w, t, x), axis=1)
                modes += phi[0] * newest
                past = np.concatenate([newest[None], past[: PAST - 1]])
                times = np.concatenate([[t], times[: PAST - 1]])
                step += 1
                if step % 16 == 0:
                    yield Snapshot(t / case.domain.t_end, step, eps, t)
            if t == end:
                f = np.fft.irfft(modes, x.size, axis=1)
                rest = {"modes": modes.copy(), "past": past.copy(), "times": times.copy()}
                yield filled(case, options, f, t, step, eps, v, w, start, **rest)


def equilibrium_of(f: Array, v: Array, w: Array, t: float, x: Array) -> Array:
    """Discrete equilibrium of f, shape (component, x, v)."""
    rho, u, T = conserved_moments(f, v, w)
    bad = ~((rho > 0.0) & (T > 0.0))
    M = np.empty_like(f)
    if not bad.any():
        bad = equilibria(rho, u, T, v, w, M) > 0
    if bad.any():
        raise NumericalError(
            f"density or temperature is not positive at x = {x[bad.argmax()]:.4g}, t = {t:.4g}; "
            "more reference.steps or reference.cells may help"
        )
    return M
