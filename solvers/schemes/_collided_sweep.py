r"""Collided part of slab transport at eps ~ 1, by sweeps along every ordinate.

Each stage of the time integration is backward Euler with step $\tau$ from a known state $f^*$,

$$ \Big(1 + \tau\frac{\sigma}{\varepsilon^2} + \frac{\tau v_k}{\varepsilon}D_k\Big) f_k
   = f^*_k + \tau\Big(\frac{\sigma_S}{\varepsilon^2}\langle f\rangle + q\Big), $$

$D_k$ the upwind DG derivative of degree 2, q an isotropic source.  Source iteration on $\rho = \langle f\rangle$ contracts
by at most $\tau\sigma_S/(\varepsilon^2+\tau\sigma)$ and solves one system of three unknowns a cell and ordinate, so that
hundreds of cells and dozens of ordinates follow the kinks which every collision leaves along $x = vt/\varepsilon$.
Reference: Lewis, Miller (1984), Computational Methods of Neutron Transport, section 3 (source iteration).
"""

import numpy as np

from ..compile import njit, prange
from ..problem.scheme import Array
from ..problem.status import NumericalError

MEMORY = 8  # sweeps of which Anderson's mixing knows
BLOCK = 32  # ordinates that are swept side by side: a few vector registers, to hide the latency from cell to cell


@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract", "reassoc"})
def sweep(v, w, local, rate, state, isotropic, f, means):
    """Cell after cell, (D + s L) f = state + isotropic + s l (r . f of the upwind cell) by elimination, s = rate |v|.

    v, w (block, ordinate)                 all of one sign in each block
    local (cell, mode, mode)               D, symmetric and positive
    state, f (block, cell, mode, ordinate)
    means (block, cell, mode)              the share of each block in <f>

    The basis is r = (1, sqrt 3, sqrt 5) on the downwind face and l = (1, -sqrt 3, sqrt 5) on the upwind one for v > 0, for v < 0 the
    other way round; L_ij = r_i r_j, but -r_i r_j where i = j + 1, is h D_k within the cell.  L + L' >= 0, so no pivots are needed.
    Elimination costs 40 vector instructions and three divisions, less than reading an inverse from the cache.
    """
    n = rate.size
    known, wanted = state.reshape(-1, n, 3 * BLOCK), f.reshape(-1, n, 3 * BLOCK)  # rows, which the compiler sees apart
    for block in prange(v.shape[0]):
        forward = v[block, 0] > 0.0
        r1, r2 = np.sqrt(3.0) if forward else -np.sqrt(3.0), np.sqrt(5.0)
        u, speed, weight = np.zeros((3, BLOCK)), np.abs(v[block]), w[block]
        for step in range(n):
            c = step if forward else n - 1 - step
            S, F, ratio = known[block, c], wanted[block, c], rate[c]
            d00, d01, d02 = local[c, 0, 0], local[c, 0, 1], local[c, 0, 2]
            d11, d12, d22 = local[c, 1, 1], local[c, 1, 2], local[c, 2, 2]
            s0, s1, s2 = isotropic[c, 0], isotropic[c, 1], isotropic[c, 2]
            mean0 = mean1 = mean2 = 0.0
            for q in range(BLOCK):
                s = ratio * speed[q]
                a00, a01, a02 = d00 + s, d01 + s * r1, d02 + s * r2
                a10, a11, a12 = d01 - s * r1, d11 + s * (r1 * r1), d12 + s * (r1 * r2)
                a20, a21, a22 = d02 + s * r2, d12 - s * (r1 * r2), d22 + s * (r2 * r2)
                inflow = s * (u[0, q] + r1 * u[1, q] + r2 * u[2, q])
                b0 = S[q] + s0 + inflow
                b1 = S[BLOCK + q] + s1 - r1 * inflow
                b2 = S[2 * BLOCK + q] + s2 + r2 * inflow
                p0 = 1.0 / a00
                t10, t20 = a10 * p0, a20 * p0
                p1 = 1.0 / (a11 - t10 * a01)
                a12 -= t10 * a02
                t21 = (a21 - t20 * a01) * p1
                b1 -= t10 * b0
                b2 -= t20 * b0 + t21 * b1
                u2 = b2 / (a22 - t20 * a02 - t21 * a12)
                u1 = (b1 - a12 * u2) * p1
                u0 = (b0 - a01 * u1 - a02 * u2) * p0
                u[0, q], u[1, q], u[2, q] = u0, u1, u2
                F[q], F[BLOCK + q], F[2 * BLOCK + q] = u0, u1, u2
                mean0 += weight[q] * u0
                mean1 += weight[q] * u1
                mean2 += weight[q] * u2
            means[block, c, 0], means[block, c, 1], means[block, c, 2] = mean0, mean1, mean2


class Sweeper:
    """Solves a stage; `scatter`, `total` are cell mass matrices (cell, mode, mode) of sigma_S, sigma over eps^2.

    The ordinates are padded with copies of weight zero to blocks of one sign.
    """

    def __init__(self, v: Array, w: Array, h: Array, eps: float, scatter: Array, total: Array) -> None:
        half = v.size // 2
        blocks = -(-half // BLOCK) * BLOCK
        order = np.minimum(np.arange(blocks), half - 1)
        chosen, shape = np.concatenate([order, half + order]), (2 * blocks // BLOCK, BLOCK)
        kept = np.concatenate([np.arange(blocks) < half] * 2)
        self.kept = np.flatnonzero(kept)
        self.v, self.w = v[chosen].reshape(shape), np.where(kept, w[chosen], 0.0).reshape(shape)
        self.h, self.eps = h, eps
        self.scatter, self.total = scatter, total
        self.tau = 0.0
        self.means = np.zeros((shape[0], h.size, total.shape[-1]))

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
        """The local matrices of step tau."""
        self.tau, self.rate = tau, tau / (self.eps * self.h)
        self.local = np.eye(self.total.shape[-1]) + tau * self.total
        ratio = tau * self.scatter[:, 0, 0] / (1.0 + tau * self.total[:, 0, 0])  # of the iteration, cell by cell
        self.contraction = float(ratio.max())

    def solve(self, state: Array, q: Array, rho: Array, tolerance: float = 1e-8) -> tuple[Array, Array]:
        """f of the stage, (block, cell, mode, ordinate), and <f>; `rho` starts the iteration.

        It ends when what is left of the geometric series, contraction/(1 - contraction) of the last change, is below `tolerance`.
        """
        left = self.contraction / (1.0 - self.contraction)
        f = np.empty_like(state)
        swept, changes = [], []
        for _ in range(400):
            isotropic = self.tau * (np.einsum("cij,cj->ci", self.scatter, rho) + q)
            sweep(self.v, self.w, self.local, self.rate, state, isotropic, f, self.means)
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
