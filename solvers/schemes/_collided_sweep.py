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

BLOCK = 16  # ordinates that are swept side by side, one or two vector registers each


@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract"})
def sweep(v, w, inverse, enter, leave, rate, state, isotropic, f, means):
    """f = inverse (state + isotropic + what the upwind cell sends); arrays (cell, mode[, mode], ordinate).

    leave, enter (mode, ordinate)   trace of the upwind cell, times rate (cell) |v| into the modes of this one
    means (block, cell, mode)       the share of each block of ordinates, all of one sign, in <f>
    """
    n = f.shape[0]
    for block in prange(v.size // BLOCK):
        first = block * BLOCK
        forward = v[first] > 0.0
        u0, u1, u2 = np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK)
        for step in range(n):
            c = step if forward else n - 1 - step
            s0, s1, s2 = isotropic[c, 0], isotropic[c, 1], isotropic[c, 2]
            m0, m1, m2 = 0.0, 0.0, 0.0
            for q in range(BLOCK):
                k = first + q
                inflow = leave[0, k] * u0[q] + leave[1, k] * u1[q] + leave[2, k] * u2[q]
                inflow *= rate[c] * abs(v[k])
                b0 = state[c, 0, k] + s0 + enter[0, k] * inflow
                b1 = state[c, 1, k] + s1 + enter[1, k] * inflow
                b2 = state[c, 2, k] + s2 + enter[2, k] * inflow
                u0[q] = inverse[c, 0, 0, k] * b0 + inverse[c, 0, 1, k] * b1 + inverse[c, 0, 2, k] * b2
                u1[q] = inverse[c, 1, 0, k] * b0 + inverse[c, 1, 1, k] * b1 + inverse[c, 1, 2, k] * b2
                u2[q] = inverse[c, 2, 0, k] * b0 + inverse[c, 2, 1, k] * b1 + inverse[c, 2, 2, k] * b2
                f[c, 0, k], f[c, 1, k], f[c, 2, k] = u0[q], u1[q], u2[q]
            for q in range(BLOCK):
                m0 += w[first + q] * u0[q]
                m1 += w[first + q] * u1[q]
                m2 += w[first + q] * u2[q]
            means[block, c, 0], means[block, c, 1], means[block, c, 2] = m0, m1, m2


class Sweeper:
    """Solves a stage; `same` are the DG matrices of v > 0 and v < 0, `scatter`, `total` cell mass matrices over eps^2.

    The ordinates are padded with copies of weight zero to blocks of one sign.
    """

    def __init__(
        self, v: Array, w: Array, h: Array, eps: float, same: dict[int, Array], scatter: Array, total: Array
    ) -> None:
        half = v.size // 2
        blocks = -(-half // BLOCK) * BLOCK
        order = np.minimum(np.arange(blocks), half - 1)
        self.chosen = np.concatenate([order, half + order])
        self.kept = np.flatnonzero(np.concatenate([np.arange(blocks) < half] * 2))
        self.v, self.w = v[self.chosen], np.where(np.isin(np.arange(2 * blocks), self.kept), w[self.chosen], 0.0)
        self.h, self.eps, self.same = h, eps, same
        self.scatter, self.total = scatter, total
        self.tau = 0.0
        odd = np.sqrt(2.0 * np.arange(total.shape[-1]) + 1.0)[:, None]
        sign = (-1.0) ** np.arange(total.shape[-1])[:, None]
        self.leave = np.ascontiguousarray(np.where(self.v > 0, odd, odd * sign))
        self.enter = np.ascontiguousarray(np.where(self.v > 0, odd * sign, odd))
        self.means = np.zeros((self.v.size // BLOCK, h.size, total.shape[-1]))

    def prepare(self, tau: float) -> None:
        """Invert the local matrices of step tau."""
        p = self.total.shape[-1]
        self.tau, self.rate = tau, tau / (self.eps * self.h)
        local = np.where((self.v > 0)[:, None, None], self.same[1], -self.same[-1])
        share = self.rate[:, None] * np.abs(self.v)
        A = (np.eye(p) + tau * self.total)[..., None] + share[:, None, None] * np.moveaxis(local, 0, -1)
        self.inverse = np.empty_like(A)  # by cofactors, all matrices at once
        for i in range(p):
            j, k = (i + 1) % p, (i + 2) % p
            for row in range(p):
                q, r = (row + 1) % p, (row + 2) % p
                self.inverse[:, i, row] = A[:, q, j] * A[:, r, k] - A[:, q, k] * A[:, r, j]
        self.inverse /= (A[:, 0] * self.inverse[:, :, 0]).sum(axis=1)[:, None, None]

    def solve(self, state: Array, q: Array, rho: Array, tolerance: float = 1e-9) -> tuple[Array, Array]:
        """f of the stage, (cell, mode, ordinate), and <f>; `rho` starts the iteration."""
        f = np.empty_like(state)
        for _ in range(400):
            isotropic = self.tau * (np.einsum("cij,cj->ci", self.scatter, rho) + q)
            sweep(self.v, self.w, self.inverse, self.enter, self.leave, self.rate, state, isotropic, f, self.means)
            new = self.means.sum(axis=0)
            change, size = np.abs(new - rho).max(), np.abs(new).max()
            rho = new
            if change <= tolerance * size:
                break
        return f, rho
