r"""Periodic transport, one Fourier mode: eigenvectors of the symmetrised discrete-ordinates matrix.

For $f = \mathrm{Re}\,e^{ikx}\hat f(t, v)$ and Gauss nodes $v_j$ of weights $w_j$ (sum one),
$\dot{\hat f} = -A\hat f$ with $A = \mathrm{diag}(\sigma/\varepsilon^2 + ikv/\varepsilon) - (\sigma_S/\varepsilon^2)\,1\,w^T$.
Scaled by $\sqrt{w_j}$ the matrix is complex symmetric, $A = S\,\Lambda\,S^{-1}$, and
$\hat f(t) = S\,e^{-\Lambda t}S^{-1}\hat f(0)$: exact in t, spectral in v, and free of the Legendre moments, continued
fractions and matrix exponentials of `fourier_legendre`.  With eps below about 1e-3 the eigenvalue that survives is a
difference of numbers of size $1/\varepsilon^2$, so the check stops there; below, `transport_limits` takes over.
References: Case, Zweifel (1967), Linear Transport Theory, chapter 4; problems.md section 4.1.
"""

from collections.abc import Iterator

import numpy as np

from ..problem.case import Case
from ..problem.check import Check as CheckBase
from ..problem.check import Outcome
from ..problem.read import case_from_data
from ..problem.scheme import Array
from ..schemes import discrete_ordinates, fourier_legendre

NODES = 200


def make_case(eps: float, times: list[float]) -> Case:
    """The smooth periodic case, with absorption."""
    return case_from_data(
        {
            "name": "fourier_modes",
            "schema": 1,
            "title": "One Fourier mode",
            "equation": {"kind": "transport", "sigma_a": 0.5},
            "domain": {"x": [0.0, 1.0], "t_end": times[-1], "output_times": times},
            "velocity": {"kind": "slab_gauss", "nodes": 16},
            "knudsen": {"evaluate": [eps]},
            "initial": {"f": "(1 + cos(4*pi*x))*exp(-v**2/2)"},
            "boundary": {"left": "periodic", "right": "periodic"},
        }
    )


def exact(case: Case, eps: float, t: float, x: Array) -> Array:
    """rho(t, x): the modes k = 0 and k = 4 pi."""
    v, w = np.polynomial.legendre.leggauss(NODES)
    root, datum = np.sqrt(0.5 * w), np.exp(-0.5 * v**2)
    size = []
    for k in (0.0, 4.0 * np.pi):
        A = np.diag(1.0 / eps**2 + 1j * k * v / eps) - np.outer(root, root) / eps**2
        decay, S = np.linalg.eig(A)
        size.append((root @ (S @ (np.exp(-decay * t) * np.linalg.solve(S, (root * datum).astype(complex))))).real)
    return np.exp(-0.5 * t) * (size[0] + size[1] * np.cos(4.0 * np.pi * x))


class Check(CheckBase):
    """The spectral and the general scheme; the tolerances are their claims on smooth periodic data."""

    verifies = ("fourier_legendre", "discrete_ordinates")
    seconds = 6.0

    def run(self) -> Iterator[Outcome]:
        runs = (
            ("spectral", fourier_legendre.Scheme(), fourier_legendre.Options(), 1e-9),
            ("DG", discrete_ordinates.Scheme(), discrete_ordinates.Options(cells=63, graded=1, steps=48), 1e-5),
        )
        for label, scheme, options, tolerance in runs:
            for eps in (1.0, 0.1, 1e-2):
                case = make_case(eps, [0.02, 0.1])
                x = scheme.coordinates(case, options)["x"]
                for snapshot in scheme.march(case, eps, options):
                    if snapshot.fields:
                        rho, computed = exact(case, eps, snapshot.t, x), snapshot.fields["rho"]
                        error = float(np.linalg.norm(computed - rho) / np.linalg.norm(rho))
                        name = f"{label}: density, eps = {eps:g}, t = {snapshot.t:g}"
                        yield Outcome(name, error, tolerance, "x", x, computed, rho)
