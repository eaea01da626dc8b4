r"""Navier-Stokes-Fourier equations, the first correction of the Euler limit of BGK and ES-BGK (Chapman, Enskog).

$$ \partial_t\begin{pmatrix}\rho\\ \rho u\\ E\end{pmatrix}
   + \partial_x\begin{pmatrix}\rho u\\ \rho u^2+p+\pi\\ u(E+p+\pi)+q\end{pmatrix} = 0, \qquad
   \pi = -\frac{2(d-1)}d\,\mu\,\partial_xu, \quad q = -\kappa\,\partial_xT, $$
$$ \mu = \frac{\varepsilon\,\rho T}{\tau(1-\nu)}, \qquad \kappa = \frac{d+2}2\,\frac{\varepsilon\,\rho T}\tau, \qquad
   \mathrm{Pr} = \frac{d+2}2\,\frac\mu\kappa = \frac1{1-\nu}, $$

d velocity dimensions, BGK: nu = 0, tau = 1.  With d = 1 a gas has no viscosity, but it conducts heat.  The moments of the
kinetic solution are O(eps^2) away (Maxwellian data: the fluxes need a time eps to build up, which moves as much), its heat
flux and stress $\Theta_{11}-\Theta_{22} = \frac d{d-1}\frac\pi\rho$ relatively O(eps).

The Euler part is that of `euler` (WENO5); derivatives of u and T at faces and the divergence of their fluxes are central and of
order four.  In time LSODA: the backward differentiation formulas with a banded Jacobian where diffusion is stiff, Adams where
it is not; relative tolerance TOLERANCE.  Cells of a periodic box are ordered 0, n-1, 1, n-2, ... which keeps the band.

References: Chapman, Cowling (1970), The Mathematical Theory of Non-uniform Gases, chapters 7 and 15; Andries, Le Tallec,
Perlat, Perthame (2000), Eur. J. Mech. B 19, 813, DOI 10.1016/S0997-7546(00)01103-1; Petzold (1983), SIAM J. Sci. Stat. Comput.
4, 136, DOI 10.1137/0904010 (LSODA); problems.md section 3.
"""

from collections.abc import Mapping

import numpy as np
from scipy.integrate import solve_ivp

from solvers.compile import njit
from solvers.problem.case import Case
from solvers.problem.scheme import Array
from solvers.problem.scheme import Limit as AbstractLimit
from solvers.problem.status import BadInput, NumericalError

from .euler import GHOSTS, conserved, flux_rate, on_points, padded, primitive

MIN_CELLS, MAX_CELLS = 400, 800
TOLERANCE = 1e-8


@njit(cache=True, error_model="numpy")
def dissipation(U, gamma, wide, faces, viscosity, conductivity, dense, rate):
    """Add -d_x of pi and of u pi + q to `rate` (3, x); U (3, x + 2 GHOSTS) padded.

    wide, faces   (x,) and (x + 3,): width of the cells, and the way between them from two before the first to two behind the last
    `viscosity` = -tau pi/(p d_x u), `conductivity` = -tau q/(p d_x T); tau = dense rho if dense > 0, else one.
    """
    cells = rate.shape[1]
    u, T, p = np.empty(cells + 6), np.empty(cells + 6), np.empty(cells + 6)
    for i in range(cells + 6):
        u[i] = U[1, i] / U[0, i]
        p[i] = (gamma - 1.0) * (U[2, i] - 0.5 * U[1, i] * u[i])
        T[i] = p[i] / U[0, i]
        if dense > 0.0:
            p[i] = T[i] / dense  # p / tau
    stress, power = np.empty(cells + 3), np.empty(cells + 3)
    for k in range(cells + 3):  # the face between padded cells k + 1 and k + 2
        share = max(9.0 * (p[k + 1] + p[k + 2]) - p[k] - p[k + 3], 0.0) / 16.0
        speed = (9.0 * (u[k + 1] + u[k + 2]) - u[k] - u[k + 3]) / 16.0
        stress[k] = viscosity * share * (27.0 * (u[k + 2] - u[k + 1]) - u[k + 3] + u[k]) / (24.0 * faces[k])
        heat = conductivity * share * (27.0 * (T[k + 2] - T[k + 1]) - T[k + 3] + T[k]) / (24.0 * faces[k])
        power[k] = speed * stress[k] + heat
    for i in range(cells):
        rate[1, i] += (27.0 * (stress[i + 2] - stress[i + 1]) - stress[i + 3] + stress[i]) / (24.0 * wide[i])
        rate[2, i] += (27.0 * (power[i + 2] - power[i + 1]) - power[i + 3] + power[i]) / (24.0 * wide[i])


def transport_coefficients(case: Case, eps: float) -> tuple[float, float, float]:
    """`viscosity`, `conductivity` and `dense` of `dissipation`."""
    equation = case.equation
    d, nu = equation.velocity_dimension, getattr(equation, "nu", 0.0)
    dense = float(equation.rate(1.0)) if getattr(equation, "tau", "one") != "one" else 0.0
    return 2.0 * (d - 1.0) / d * eps / (1.0 - nu), 0.5 * (d + 2.0) * eps, dense


def solve_moments(case: Case, cells: int, times: Array, eps: float) -> tuple[Array, Array]:
    """Centres (x,) and rho, rho u, E at `times`, shape (t, 3, x)."""
    gamma, (low, high) = case.equation.gamma, case.domain.x
    dx = (high - low) / cells
    x = low + dx * (np.arange(cells) + 0.5)
    rho, u, T = (getattr(case.initial, name)(x=x, eps=eps) for name in ("rho", "u", "T"))
    start = conserved(rho, u, T, gamma)
    ends = case.boundary.left.kind, case.boundary.right.kind
    coefficients = transport_coefficients(case, eps)
    order, reach = np.arange(cells), GHOSTS
    if ends[0] == "periodic":
        order, reach = np.empty(cells, int), 2 * GHOSTS + 1
        order[0::2], order[1::2] = np.arange(cells - cells // 2), np.arange(cells - 1, cells - 1 - cells // 2, -1)
    band = 3 * reach + 2
    wide, faces, still = np.full(cells, dx), np.full(cells + 3, dx), np.zeros(cells)

    def derivative(t: float, y: Array) -> Array:
        U = np.empty((3, cells))
        U[:, order] = y.reshape(cells, 3).T
        U = padded(U, *ends)
        rate = flux_rate(U, gamma, wide, still)
        dissipation(U, gamma, wide, faces, *coefficients, rate)
        flat: Array = rate[:, order].T.ravel()
        return flat

    found = solve_ivp(
        derivative, (0.0, times[-1]), start[:, order].T.ravel(), method="LSODA", t_eval=times,
        rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(start).max()), lband=band, uband=band,
    )  # fmt: skip
    if not found.success or not np.isfinite(found.y).all():
        raise NumericalError(f"Navier-Stokes at eps = {eps:g}: {found.message}")
    U = np.empty((len(times), 3, cells))
    U[:, :, order] = found.y.T.reshape(-1, cells, 3).transpose(0, 2, 1)
    return x, U


def gradient(values: Array, dx: float) -> Array:
    """Central derivative of order four of values (..., x + 2 GHOSTS) at the inner cells."""
    inner = values[..., GHOSTS - 2 : 2 - GHOSTS]
    slope: Array = (8.0 * (inner[..., 3:-1] - inner[..., 1:-3]) - inner[..., 4:] + inner[..., :-4]) / (12.0 * dx)
    return slope


class Limit(AbstractLimit):
    """Navier-Stokes-Fourier at the Knudsen number it is made with; also q, and stress and anisotropy of ES-BGK."""

    equations = ("bgk", "esbgk")
    order = 2

    def __init__(self, eps: float = 0.0) -> None:
        self.eps = eps

    def solve(self, case: Case, coordinates: Mapping[str, Array], times: Array) -> dict[str, Array]:
        ends = case.boundary.left.kind, case.boundary.right.kind
        if "diffuse" in ends:
            raise BadInput(
                "boundary: Navier-Stokes has no diffuse walls (they slip); take specular, free or periodic ends"
            )
        x = coordinates["x"]
        cells = int(np.clip(len(x), MIN_CELLS, MAX_CELLS))
        fine, moments = solve_moments(case, cells, np.asarray(times), self.eps)
        gamma = case.equation.gamma
        dx = fine[1] - fine[0]
        viscosity, conductivity, dense = transport_coefficients(case, self.eps)
        wide = np.array([padded(U, *ends) for U in moments])
        rho, u, T = primitive(wide, gamma).swapaxes(0, 1)
        inner = slice(GHOSTS, -GHOSTS)
        tau = dense * rho[:, inner] if dense else 1.0
        slope_u, slope_T = gradient(u, dx), gradient(T, dx)
        rho, u, T = rho[:, inner], u[:, inner], T[:, inner]
        fields = {"rho": rho, "u": u, "T": T, "q": -conductivity * rho * T / tau * slope_T}
        d = case.equation.velocity_dimension
        if "sigma" in case.equation.fields:
            fields["sigma"] = -d / (d - 1.0) * viscosity * T / tau * slope_u
            fields["A"] = 0.5 * fields["sigma"] / T
        return {name: np.ascontiguousarray(on_points(case, fine, value, x)) for name, value in fields.items()}
