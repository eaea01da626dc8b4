r"""Collided part of slab transport at eps ~ 1, by sweeps along every ordinate.

Each stage of the time integration is backward Euler with step $\tau$ from a known state $f^*$,

$$ \Big(1 + \tau\frac{\sigma}{\varepsilon^2} + \frac{\tau v_k}{\varepsilon}D_k\Big) f_k
   = f^*_k + \tau\Big(\frac{\sigma_S}{\varepsilon^2}\langle f\rangle + q\Big), $$

$D_k$ the upwind DG derivative of degree 2, q an isotropic source.  Source iteration on $\rho = \langle f\rangle$ contracts
by at most $\tau\sigma_S/(\varepsilon^2+\tau\sigma)$ and costs one small matrix-vector product a cell and ordinate, so that
hundreds of cells and dozens of ordinates follow the kinks which every collision leaves along $x = vt/\varepsilon$.
Reference: Lewis, Miller (1984), Computational Methods of Neutron Transport, section 3 (source iteration).
"""

import numpy as np

from ..compile import njit, prange
from ..problem.scheme import Array


@njit(cache=True, parallel=True)
def sweep(v: Array, inverse: Array, rhs: Array, near: Array, f: Array) -> None:
    """f_k = inverse (rhs + near f of the upwind cell), cell after cell; arrays (ordinate, cell, 3[, 3])."""
    for k in prange(v.size):
        n = f.shape[1]
        for step in range(n):
            c = step if v[k] > 0 else n - 1 - step
            b0, b1, b2 = rhs[k, c, 0], rhs[k, c, 1], rhs[k, c, 2]
            if step > 0:
                u = c - 1 if v[k] > 0 else c + 1
                value = near[k, 0] * f[k, u, 0] + near[k, 1] * f[k, u, 1] + near[k, 2] * f[k, u, 2]
                b0 += near[k, 3] * value * near[k, 6 + c]
                b1 += near[k, 4] * value * near[k, 6 + c]
                b2 += near[k, 5] * value * near[k, 6 + c]
            A = inverse[k, c]
            f[k, c, 0] = A[0, 0] * b0 + A[0, 1] * b1 + A[0, 2] * b2
            f[k, c, 1] = A[1, 0] * b0 + A[1, 1] * b1 + A[1, 2] * b2
            f[k, c, 2] = A[2, 0] * b0 + A[2, 1] * b1 + A[2, 2] * b2


class Sweeper:
    """Solves a stage; `same` are the DG matrices of v > 0 and v < 0, `scatter`, `total` cell mass matrices over eps^2."""

    def __init__(
        self, v: Array, w: Array, h: Array, eps: float, same: dict[int, Array], scatter: Array, total: Array
    ) -> None:
        self.v, self.w, self.h, self.eps, self.same = v, w, h, eps, same
        self.scatter, self.total = scatter, total
        self.tau = 0.0

    def prepare(self, tau: float) -> None:
        """Invert the local matrices of step tau."""
        p = self.total.shape[-1]
        self.tau = tau
        rate = tau * np.abs(self.v)[:, None] / (self.eps * self.h)
        local = np.where((self.v > 0)[:, None, None], self.same[1], -self.same[-1])
        self.inverse = np.linalg.inv(np.eye(p) + tau * self.total + rate[..., None, None] * local[:, None])
        odd = np.sqrt(2.0 * np.arange(p) + 1.0)
        sign = (-1.0) ** np.arange(p)
        out = np.where((self.v > 0)[:, None], odd, odd * sign)
        enter = np.where((self.v > 0)[:, None], odd * sign, odd)
        self.near = np.ascontiguousarray(np.hstack([out, enter, rate]))

    def solve(self, state: Array, q: Array, rho: Array, tolerance: float = 1e-9) -> Array:
        """f of the stage, (ordinate, cell, 3); `rho` starts the iteration."""
        f = np.empty_like(state)
        for _ in range(400):
            isotropic = self.tau * (np.einsum("cij,cj->ci", self.scatter, rho) + q)
            sweep(self.v, self.inverse, state + isotropic, self.near, f)
            new = np.tensordot(self.w, f, 1)
            change, size = np.abs(new - rho).max(), np.abs(new).max()
            rho = new
            if change <= tolerance * size:
                break
        return f
