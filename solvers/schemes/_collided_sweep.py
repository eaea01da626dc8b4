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
from ..problem.status import NumericalError

MEMORY = 8  # sweeps of which Anderson's mixing knows
BLOCK = 32  # ordinates that are swept side by side: a few vector registers, to hide the latency from cell to cell


@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract"})
def sweep(v, w, inverse, enter, leave, rate, state, isotropic, f, means):
    """f = inverse (state + isotropic + what the upwind cell sends); arrays (block, cell, mode[, mode], ordinate).

    leave, enter (block, mode, ordinate)   trace of the upwind cell, times rate (cell) |v| into the modes of this one
    means (block, cell, mode)              the share of each block of ordinates, all of one sign, in <f>
    """
    n = rate.size
    for block in prange(v.shape[0]):
        forward = v[block, 0] > 0.0
        u, b, inflow = np.zeros((3, BLOCK)), np.empty((3, BLOCK)), np.empty(BLOCK)
        speed, weight, out, into = np.abs(v[block]), w[block], leave[block], enter[block]
        for step in range(n):
            c = step if forward else n - 1 - step
            A, S, F = inverse[block, c], state[block, c], f[block, c]
            for q in range(BLOCK):
                inflow[q] = (out[0, q] * u[0, q] + out[1, q] * u[1, q] + out[2, q] * u[2, q]) * (rate[c] * speed[q])
            s0, s1, s2 = isotropic[c, 0], isotropic[c, 1], isotropic[c, 2]
            for q in range(BLOCK):
                b[0, q] = S[0, q] + s0 + into[0, q] * inflow[q]
                b[1, q] = S[1, q] + s1 + into[1, q] * inflow[q]
                b[2, q] = S[2, q] + s2 + into[2, q] * inflow[q]
            for i in range(3):
                mean = 0.0
                for q in range(BLOCK):
                    u[i, q] = A[i, 0, q] * b[0, q] + A[i, 1, q] * b[1, q] + A[i, 2, q] * b[2, q]
                for q in range(BLOCK):
                    F[i, q] = u[i, q]
                    mean += weight[q] * u[i, q]
                means[block, c, i] = mean


@njit(cache=True, parallel=True, error_model="numpy")
def invert(total, local, v, rate, tau, inverse):
    """inverse = (1 + tau total + rate |v| local)^-1 by cofactors; total (cell, mode, mode), local (block, mode, mode)."""
    for block in prange(v.shape[0]):
        A = np.empty((3, 3))
        for c in range(rate.size):
            for q in range(BLOCK):
                for i in range(3):
                    for j in range(3):
                        A[i, j] = tau * total[c, i, j] + rate[c] * abs(v[block, q]) * local[block, i, j]
                    A[i, i] += 1.0
                for i in range(3):
                    j, k = (i + 1) % 3, (i + 2) % 3
                    for row in range(3):
                        m, n = (row + 1) % 3, (row + 2) % 3
                        inverse[block, c, i, row, q] = A[m, j] * A[n, k] - A[m, k] * A[n, j]
                first = inverse[block, c, :, 0, q]
                determinant = A[0, 0] * first[0] + A[0, 1] * first[1] + A[0, 2] * first[2]
                for i in range(3):
                    for row in range(3):
                        inverse[block, c, i, row, q] /= determinant


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
        chosen, shape = np.concatenate([order, half + order]), (2 * blocks // BLOCK, BLOCK)
        kept = np.concatenate([np.arange(blocks) < half] * 2)
        self.kept = np.flatnonzero(kept)
        self.v, self.w = v[chosen].reshape(shape), np.where(kept, w[chosen], 0.0).reshape(shape)
        self.h, self.eps = h, eps
        self.local = np.array([sign * same[sign] for sign in np.where(self.v[:, 0] > 0, 1, -1)])
        self.scatter, self.total = scatter, total
        self.tau = 0.0
        odd = np.sqrt(2.0 * np.arange(total.shape[-1]) + 1.0)[:, None]
        sign = (-1.0) ** np.arange(total.shape[-1])[:, None]
        ahead = self.v[:, None] > 0
        self.leave, self.enter = np.where(ahead, odd, odd * sign), np.where(ahead, odd * sign, odd)
        self.means = np.zeros((shape[0], h.size, total.shape[-1]))
        self.inverse = np.empty((shape[0], h.size, *total.shape[1:], BLOCK))

    def split(self, f: Array) -> Array:
        """(cell, mode, ordinate), the padded ones among them, as (block, cell, mode, ordinate)."""
        blocks = f.reshape(*f.shape[:2], *self.v.shape)
        return np.ascontiguousarray(np.moveaxis(blocks, 2, 0))

    def join(self, f: Array) -> Array:
        """(block, cell, mode, ordinate) as (cell, mode, ordinate) of the ordinates that were given."""
        return np.moveaxis(f, 0, 2).reshape(*f.shape[1:3], -1)[..., self.kept]

    def mean(self, f: Array) -> Array:
        """<f>, shape (cell, mode)."""
        return np.einsum("bcpq,bq->cp", f, self.w)

    def prepare(self, tau: float) -> None:
        """Invert the local matrices of step tau."""
        self.tau, self.rate = tau, tau / (self.eps * self.h)
        ratio = tau * self.scatter[:, 0, 0] / (1.0 + tau * self.total[:, 0, 0])  # of the iteration, cell by cell
        self.contraction = float(ratio.max())
        invert(self.total, self.local, self.v, self.rate, tau, self.inverse)

    def solve(self, state: Array, q: Array, rho: Array, tolerance: float = 1e-8) -> tuple[Array, Array]:
        """f of the stage, (block, cell, mode, ordinate), and <f>; `rho` starts the iteration.

        It ends when what is left of the geometric series, contraction/(1 - contraction) of the last change, is below `tolerance`.
        """
        left = self.contraction / (1.0 - self.contraction)
        f = np.empty_like(state)
        swept, changes = [], []
        for _ in range(400):
            isotropic = self.tau * (np.einsum("cij,cj->ci", self.scatter, rho) + q)
            sweep(self.v, self.w, self.inverse, self.enter, self.leave, self.rate, state, isotropic, f, self.means)
            new = self.means.sum(axis=0)
            if left * np.abs(new - rho).max() <= tolerance * np.abs(new).max():
                return f, new
            swept, changes = [*swept, new][-MEMORY - 1 :], [*changes, new - rho][-MEMORY - 1 :]
            rho = new
            if len(swept) > 1:
                ahead = np.diff(np.reshape(changes, (len(changes), -1)), axis=0)
                share = np.linalg.lstsq(ahead.T, changes[-1].ravel(), rcond=1e-12)[0]
                rho = new - np.tensordot(share, np.diff(swept, axis=0), axes=1)
        raise NumericalError(
            f"the source iteration does not converge at eps = {self.eps:g}, step {self.tau:.2g}; more reference.steps help"
        )
