r"""Linear response of a uniform plasma: plasma oscillation, Debye screening and Landau damping, exact by Fourier and Hermite.

A small density bump without charge and dipole, $\rho = 1 + \delta(1-z^2)e^{-z^2/2}$, z = (x - 1/2)/s, evolves as if the device
had no ends until electrons have reached them.  Mode by mode, with $f = M + \delta\sum_n a_n\psi_ne^{ikx}$,

$$ \varepsilon\,\dot a_n + ik\sqrt\theta\,(\sqrt n\,a_{n-1} + \sqrt{n+1}\,a_{n+1}) + \delta_{n1}\frac{i\,a_0}{\sqrt\theta\,\beta k}
   = -\frac{1-\delta_{n0}}\varepsilon a_n , $$

solved by the exponential of a matrix of MODES Hermite modes.  For eps -> 0 the density mode decays at the rate
$\theta k^2 + 1/\beta$ (diffusion and dielectric relaxation), which the drift-diffusion limit is held to.

Reference: Krall, Trivelpiece (1973), Principles of Plasma Physics, chapter 8; problems.md (75)-(79).
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import expm

from ..limits import drift_diffusion
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.scheme import Array
from ..schemes import hermite_parity, imex_micro_macro
from .semiconductor_equilibrium import make_case

DELTA, WIDTH, BETA = 1e-4, 0.05, 0.002
MODES, WAVES = 100, 24


def bump(x: Array) -> Array:
    """The perturbation of the density over delta at t = 0."""
    z = (x - 0.5) / WIDTH
    return (1.0 - z**2) * np.exp(-0.5 * z**2)


def evolve(x: Array, t: float, eps: float) -> Array:
    """The perturbation at t, theta = 1; the periodic images are too far to matter."""
    fine = (np.arange(256) + 0.5) / 256
    found = np.zeros_like(x)
    n = np.arange(MODES - 1)
    for m in range(1, WAVES + 1):
        k = 2.0 * np.pi * m
        start = 2.0 * np.mean(bump(fine) * np.cos(k * (fine - 0.5)))
        if eps == 0.0:
            found += start * np.exp(-(k**2 + 1.0 / BETA) * t) * np.cos(k * (x - 0.5))
            continue
        A = np.zeros((MODES, MODES), dtype=complex)
        A[n, n + 1] = A[n + 1, n] = -1j * k * np.sqrt(n + 1.0) / eps
        A[1, 0] -= 1j / (BETA * k * eps)
        A[np.arange(1, MODES), np.arange(1, MODES)] = -1.0 / eps**2
        found += start * expm(t * A)[0, 0].real * np.cos(k * (x - 0.5))
    return found


class Check(CheckBase):
    """A small bump in a uniform device, both schemes and the limit."""

    verifies = ("hermite_parity", "imex_micro_macro", "drift_diffusion")
    seconds = 5.0

    def run(self) -> Iterator[Outcome]:
        rho = f"1 + {DELTA}*(1 - ((x - 0.5)/{WIDTH})**2)*exp(-0.5*((x - 0.5)/{WIDTH})**2)"
        t = 0.004
        case = make_case("1", t, beta=BETA, rho=rho, nodes=32)
        scheme, options = hermite_parity.Scheme(), hermite_parity.Options(cells=243, steps=36)
        x = scheme.coordinates(case, options)["x"]
        scale = float(np.abs(bump(x)).max())
        for eps in (0.1, 0.03, 0.01):
            exact = evolve(x, t, eps)
            found = (list(scheme.march(case, eps, options))[-1].fields["rho"] - 1.0) / DELTA
            gap = float(np.abs(found - exact).max()) / scale
            yield Outcome(f"hermite_parity: bump at t = {t:g}, eps = {eps:g}", gap, 1e-3, "x", x, found, exact)
        other = imex_micro_macro.Scheme()
        grid = imex_micro_macro.Options(cells=243, velocities=72)
        found = (list(other.march(case, 0.1, grid))[-1].fields["rho"] - 1.0) / DELTA
        exact = evolve(x, t, 0.1)
        gap = float(np.abs(found - exact).max()) / scale
        yield Outcome(f"imex_micro_macro: bump at t = {t:g}, eps = 0.1", gap, 2e-3, "x", x, found, exact)
        found = (drift_diffusion.Limit().solve(case, {"x": x}, np.array([t]))["rho"][0] - 1.0) / DELTA
        exact = evolve(x, t, 0.0)
        gap = float(np.abs(found - exact).max()) / scale
        yield Outcome(f"drift_diffusion: bump at t = {t:g}", gap, 1e-4, "x", x, found, exact)
