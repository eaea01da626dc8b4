r"""Block tridiagonal systems of upwind DG: one dense block per cell, and neighbours that meet in their traces alone.

With the values $y_i$ at the nodes of a cell of width h_i, first and last node at its ends (l, r), and q components per node,

$$ \Big(M + \tau A_i\Big)y_i - \frac\tau{h_i}\,e_l\otimes C_+\,(e_r\cdot y_{i-1})
   + \frac\tau{h_i}\,e_r\otimes C_-\,(e_l\cdot y_{i+1}) = b_i , $$

C_+ what is sent to the right, C_- to the left.  Block elimination from the left,

$$ S_i = M + \tau A_i + \frac{\tau^2}{h_{i-1}h_i}\,e_le_l^T\otimes C_+\big(e_r^TS_{i-1}^{-1}e_r\big)C_- , \qquad
   y_i = z_i - G_i\,(e_l\cdot y_{i+1}) , \qquad G_i = \frac\tau{h_i}S_i^{-1}(e_r\otimes C_-) , $$

inverts one block per cell and reads it once per right-hand side, which is what a solve costs: nothing else fills.  C_- has entries
in its first columns only (rho and the ordinates v < 0), and G_i keeps no others.  A periodic chain is closed by the Woodbury
formula with the traces on both sides of the seam.

In C there are entries 1/eps, which the elimination cancels.  Elimination without pivots does not see the scale of rows and
columns, so that these entries spoil nothing if they are in rows and columns of their own: therefore nodes at the ends, not modes.
Reference: Golub, Van Loan (2013), Matrix Computations, sections 2.1.4 (Woodbury) and 4.5.1 (block tridiagonal systems).
"""

import numpy as np

from ..compile import njit
from ..gauss_jordan import invert
from ..problem.scheme import Array


@njit(cache=True, error_model="numpy")
def factorise(S, G, h, tau, forward, backward):
    """S (cell, n, n) holds M + tau A and becomes the inverses; G (cell, n, columns of C_- that are kept)."""
    cells, n = S.shape[:2]
    q, kept = forward.shape[0], G.shape[2]
    sent = np.ascontiguousarray(backward[:, :kept])
    for i in range(cells):
        if i > 0:
            R = np.ascontiguousarray(S[i - 1, n - q :, n - q :])
            S[i, :q, :kept] += forward @ (R @ sent) * (tau * tau / (h[i - 1] * h[i]))
        invert(S[i])
        G[i] = np.ascontiguousarray(S[i, :, n - q :]) @ sent * (tau / h[i])


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def substitute(S, G, h, tau, forward, b):
    """b (cell, n) becomes the solution."""
    cells, n = b.shape
    q, kept = forward.shape[0], G.shape[2]
    z = np.empty(n)
    for i in range(cells):
        row = b[i]
        if i > 0:
            for a in range(q):
                s = 0.0
                for c in range(q):
                    s += forward[a, c] * b[i - 1, n - q + c]
                row[a] += tau / h[i] * s
        for a in range(n):
            s = 0.0
            for c in range(n):
                s += S[i, a, c] * row[c]
            z[a] = s
        row[:] = z
    for i in range(cells - 2, -1, -1):
        for a in range(n):
            s = 0.0
            for c in range(kept):
                s += G[i, a, c] * b[i + 1, c]
            b[i, a] -= s


class Chain:
    """Systems (mass + tau A) y = b of cells with unknowns y (cell, mode, component).

    blocks             A_i (cell, mode, component, mode, component)
    inertia            diagonal of the mass matrix, the same for every mode (component,)
    values             the basis at the nodes (mode, node), -1 and 1 the first and the last of them
    forward, backward  C_+ and C_- (component, component)
    """

    def __init__(
        self, blocks: Array, inertia: Array, h: Array, values: Array, forward: Array, backward: Array, periodic: bool
    ) -> None:
        self.to_modes, self.h, self.forward, self.backward = np.linalg.inv(values.T), h, forward, backward
        q, n = inertia.size, blocks.shape[1] * blocks.shape[2]
        nodal = np.einsum("mi,cmanb,nj->ciajb", self.to_modes, blocks, self.to_modes, optimize=True)
        self.blocks = nodal.reshape(h.size, n, n)
        self.mass = np.kron(self.to_modes.T @ self.to_modes, np.diag(inertia))
        kept = int(np.flatnonzero(backward.any(axis=0))[-1]) + 1
        self.S, self.G = np.empty_like(self.blocks), np.empty((h.size, n, kept))
        self.tau, self.periodic, self.components = 0.0, periodic, q

    def prepare(self, tau: float) -> None:
        """Factorise for the step tau."""
        self.tau = tau
        np.multiply(self.blocks, tau, out=self.S)
        self.S += self.mass
        factorise(self.S, self.G, self.h, tau, self.forward, self.backward)
        if self.periodic:
            q = self.components
            self.seam = np.zeros((2 * q, *self.S.shape[:2]))
            self.seam[:q, 0, :q] = -tau / self.h[0] * self.forward.T
            self.seam[q:, -1, -q:] = tau / self.h[-1] * self.backward.T
            for column in self.seam:
                self._substitute(column)
            self.closing = np.linalg.inv(np.eye(2 * q) + np.array([self._traces(c) for c in self.seam]).T)

    def solve(self, b: Array) -> Array:
        """The solution of a right-hand side b (cell, mode, component)."""
        y = np.einsum("mi,cma->cia", self.to_modes, b).reshape(self.S.shape[:2])
        self._substitute(y)
        if self.periodic:
            y -= np.tensordot(self.closing @ self._traces(y), self.seam, axes=1)
        return np.einsum("mi,cia->cma", self.to_modes, y.reshape(b.shape))

    def _substitute(self, y: Array) -> None:
        substitute(self.S, self.G, self.h, self.tau, self.forward, y)

    def _traces(self, y: Array) -> Array:
        """What reaches the seam from both sides."""
        return np.concatenate([y[-1, -self.components :], y[0, : self.components]])
