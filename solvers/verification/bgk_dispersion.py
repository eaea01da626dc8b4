r"""Dispersion relation of linearised BGK: damping and frequency of sound in every regime.

Around $M=e^{-v^2/2}/\sqrt{2\pi}$ a mode $\hat f(v)\,e^{ikx+st}$ obeys $(1+\varepsilon s+i\varepsilon kv)\hat f = \hat M$,
$\hat M = M\,(\hat\rho+\hat u v+\tfrac12\hat T(v^2-1))$, so that with $\kappa=\varepsilon k$, $\sigma=1+\varepsilon s$,

$$ \det\big(I-A\big)=0, \qquad A_{ij}=\Big\langle \frac{\psi_i\,\psi_jM}{\sigma+i\kappa v}\Big\rangle,\quad
   \psi = \big(1, v, (v^2-1)/\sqrt2\big), \qquad
   \Big\langle\frac{M}{\sigma+i\kappa v}\Big\rangle = \frac{1}{\kappa}\sqrt{\frac{\pi}{2}}\,
   \mathrm{erfcx}\Big(\frac{\sigma}{\sqrt2\,\kappa}\Big) ; $$

higher moments follow by $\langle v^{n+1}M/(\sigma+i\kappa v)\rangle = (\langle v^nM\rangle-\sigma\langle v^nM/(\sigma+i\kappa
v)\rangle)/(i\kappa)$.  The root is followed from $s=-ik\sqrt3$.  It is a mode while Re sigma > 0; beyond, density decays by
phase mixing.  So the box is 2 pi long times max(1, 4 eps): kappa <= 1/4.  Started with the mode of amplitude 1e-6, the
phase and decay of the density must be those of the root.

References: Bhatnagar, Gross, Krook (1954), Phys. Rev. 94, 511, DOI 10.1103/PhysRev.94.511; Faddeeva function: Abramowitz,
Stegun (1964), 7.1.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import wofz

from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.maxwellian import maxwellian
from ..problem.read import case_from_data
from ..problem.registry import schemes
from ..problem.scheme import Array

AMPLITUDE = 1e-6
END = 0.5
SERIES = 0.025  # kappa below which the integrals are expanded


def matrix(sigma: complex, kappa: float) -> Array:
    """I - A; singular at a mode."""
    if abs(kappa / sigma) < SERIES:
        # the recursion would lose kappa^-4 in digits: expand in kappa v instead, <v^(2m) M> = (2m - 1)!!
        even = np.cumprod([1.0, *range(1, 19, 2)])
        raw = [
            sum((-1j * kappa) ** m / sigma ** (m + 1) * even[(n + m) // 2] for m in range(14) if (n + m) % 2 == 0)
            for n in range(5)
        ]
    else:
        z = 1j * sigma / (np.sqrt(2.0) * kappa)
        raw = [np.sqrt(np.pi / 2.0) / kappa * wofz(z)]  # wofz(i y) = erfcx(y)
        for moment in (1.0, 0.0, 1.0, 0.0):
            raw.append((moment - sigma * raw[-1]) / (1j * kappa))
    r = np.sqrt(0.5)
    psi = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-r, 0.0, r]])
    hankel = np.array([[raw[i + j] for j in range(3)] for i in range(3)])
    return np.eye(3) - psi @ hankel @ psi.T


def sound(eps: float, k: float) -> tuple[complex, Array]:
    """(s, amplitudes of psi) of the sound wave that runs to the right, by secant steps in kappa from the fluid limit."""
    # along kappa = eps k the scaled root s/k is smooth; at kappa -> 0 it is -i sqrt(3)
    kappas = np.linspace(0.02, eps * k, 25) if eps * k > 0.02 else np.array([eps * k])
    scaled = -1j * np.sqrt(3.0) - kappas[0]
    for kappa in kappas:
        a, b = scaled, scaled * (1.0 + 1e-4)
        fa = np.linalg.det(matrix(1.0 + kappa * a, kappa))
        for _ in range(60):
            fb = np.linalg.det(matrix(1.0 + kappa * b, kappa))
            if fb == fa or abs(b - a) < 1e-13 * abs(b):
                break
            a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
        scaled = b
    _, _, vh = np.linalg.svd(matrix(1.0 + eps * k * scaled, eps * k))
    return complex(scaled * k), vh[-1].conj()


class Check(AbstractCheck):
    """Sound of linearised BGK by the spectral scheme."""

    verifies = ("fourier_exponential",)
    seconds = 2.0

    def run(self) -> Iterator[Outcome]:
        for name, settings, tolerance in (("fourier_exponential", {"cells": 18, "steps": 100}, 2e-6),):
            for eps in (1e-3, 1e-2, 1e-1, 1.0, 10.0):
                length = 2.0 * np.pi * max(1.0, 4.0 * eps)
                k, end = 2.0 * np.pi / length, END * max(1.0, 4.0 * eps)
                case = case_from_data(
                    {
                        "name": "sound",
                        "title": "Sound",
                        "equation": {"kind": "bgk"},
                        "domain": {"x": [0.0, length], "t_end": end},
                        "velocity": {"kind": "trapezoid", "range": [-9.0, 9.0], "nodes": 64},
                        "knudsen": {"evaluate": [eps]},
                        "initial": {"rho": "1", "u": "0", "T": "1"},
                        "boundary": {"left": "periodic", "right": "periodic"},
                    }
                )
                s, c = sound(eps, k)
                v, w = case.velocity.nodes_and_weights()
                M = maxwellian(1.0, 0.0, 1.0, v)
                shape = (c[0] + c[1] * v + c[2] * (v**2 - 1.0) / np.sqrt(2.0)) * M / (1.0 + eps * s + 1j * eps * k * v)
                shape = shape / (shape @ w)
                scheme = schemes.load(name)()
                options = scheme.Options.model_validate({"scheme": name, **settings})
                x = scheme.coordinates(case, options)["x"]
                wave = np.exp(1j * k * x)
                f = M + AMPLITUDE * (wave[:, None] * shape).real
                last = list(scheme.march(case, eps, options, {"f": f[None], "t": 0.0, "step": 0}))[-1]
                rho = last.fields["rho"] - 1.0
                computed, exact = rho / AMPLITUDE, (wave * np.exp(s * end)).real
                error = float(np.linalg.norm(computed - exact) / np.linalg.norm(exact))
                yield Outcome(
                    f"{name}: sound after t = {end:g}, eps = {eps:g} (s = {s.real:.4g} {s.imag:+.4g} i)",
                    error, tolerance, "x", x, computed, exact,
                )  # fmt: skip
