r"""Diffusion-synthetic preconditioner of the transport iteration: symmetric interior-penalty DG(2) on the same tensor mesh.

$$ \big(\alpha + \sigma_A - \nabla\cdot D\nabla\big)\,\delta = s, \qquad D = \frac{1}{2(\sigma + \varepsilon^2\alpha)} , $$

$$ \sum_{\rm faces}\int \kappa[\delta][\psi] - \{D\partial_n\delta\}[\psi] - [\delta]\{D\partial_n\psi\}, \qquad
   \kappa = \max\Big(\tfrac{c}{2}\tfrac{D^-}{h^-} + \tfrac{c}{2}\tfrac{D^+}{h^+},\ \frac{1}{\pi\varepsilon}\Big) , $$

c = 2p(p+1) = 12; the bound 1/(pi eps) is the half-range current <|n.omega|> of the transport scheme itself, which keeps the
penalty of the two alike when cells are many mean free paths wide (modified interior penalty: Wang, Ragusa, 2010, Nucl. Sci.
Eng. 166, 145, DOI 10.13182/NSE09-46).  In-flow sides: the same terms with the outer value zero; specular sides: none.
"""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from ..problem.scheme import Array
from ._sweep_2d import LEFT, RIGHT, ROOT3, ROOT5, STIFF

PENALTY = 12.0
#: derivatives of the basis times h at the two ends
SLOPE_RIGHT = np.array([0.0, 2.0 * ROOT3, 6.0 * ROOT5])
SLOPE_LEFT = np.array([0.0, 2.0 * ROOT3, -6.0 * ROOT5])
GRADIENT = STIFF @ STIFF.T  # int phi_i' phi_j', h = 1: the derivatives are of degree one, so they are expanded exactly


def _faces(h: Array, D: Array, eps: float, closed: tuple[str, str]) -> list[tuple[Array, Array, Array]]:
    """Blocks along the first axis, divided by the cell width across: (row, column, (row, other, 3, 3)) of every coupling.

    h (n,), D (n, other); `closed` the kinds of the two ends.
    """
    n = h.size
    blocks = [(np.arange(n), np.arange(n), D[..., None, None] / h[:, None, None, None] * GRADIENT)]
    pairs = [(np.arange(n - 1), np.arange(1, n))]
    if closed[0] == "periodic":
        pairs.append((np.array([n - 1]), np.array([0])))
    for left, right in pairs:
        a, b = D[left] / h[left, None], D[right] / h[right, None]
        kappa = np.maximum(0.5 * PENALTY * (a + b), 1.0 / (np.pi * eps))
        ends = ((left, 1.0, RIGHT, SLOPE_RIGHT, a), (right, -1.0, LEFT, SLOPE_LEFT, b))
        for row, jump_row, value_row, slope_row, d_row in ends:
            for column, jump_column, value_column, slope_column, d_column in ends:
                block = kappa[..., None, None] * (jump_row * jump_column * np.outer(value_row, value_column))
                block = block - 0.5 * d_column[..., None, None] * (jump_row * np.outer(value_row, slope_column))
                block = block - 0.5 * d_row[..., None, None] * (jump_column * np.outer(slope_row, value_column))
                blocks.append((row, column, block))
    for kind, at, normal, value, slope in (
        (closed[0], 0, -1.0, LEFT, SLOPE_LEFT),
        (closed[1], n - 1, 1.0, RIGHT, SLOPE_RIGHT),
    ):
        if kind == "inflow":
            a = D[at : at + 1] / h[at]
            kappa = np.maximum(PENALTY * a, 1.0 / (np.pi * eps))
            block = kappa[..., None, None] * np.outer(value, value)
            cross = np.outer(value, slope)
            block = block - 0.5 * a[..., None, None] * normal * (cross + cross.T)
            blocks.append((np.array([at]), np.array([at]), block))
    return blocks


class DiffusionSynthetic:
    """The factorised operator for one step size; `solve(s)` takes and gives coefficients (x, y, 9)."""

    def __init__(
        self,
        h1: Array,
        h2: Array,
        total: Array,
        absorption: Array,
        alpha: float,
        eps: float,
        kinds: tuple[str, str, str, str],
    ) -> None:
        nx, ny = total.shape
        D = 0.5 / (total + eps**2 * alpha)
        self.area = h1[:, None] * h2
        index = np.arange(nx * ny * 9).reshape(nx, ny, 3, 3)
        rows, columns, values = [], [], []

        def add(row: Array, column: Array, value: Array) -> None:
            shape = np.broadcast_shapes(row.shape, column.shape, value.shape)
            for store, array in ((rows, row), (columns, column), (values, value)):
                store.append(np.broadcast_to(array, shape).ravel())

        diagonal = (alpha + absorption) * self.area
        add(index, index, diagonal[..., None, None])
        for row, column, block in _faces(h1, D, eps, kinds[:2]):  # (row, y, 3, 3), modes j in y alike
            value = (block * h2[:, None, None])[:, :, :, :, None]
            add(index[row][:, :, :, None, :], index[column][:, :, None, :, :], value)
        for row, column, block in _faces(h2, D.T, eps, kinds[2:]):  # (row, x, 3, 3), modes i in x alike
            value = (block * h1[:, None, None])[:, :, None, :, :]
            left = index[:, row].swapaxes(0, 1)[:, :, :, :, None]
            right = index[:, column].swapaxes(0, 1)[:, :, :, None, :]
            add(left, right, value)
        size = nx * ny * 9
        triplets = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        matrix = sp.csc_array(sp.coo_array(triplets, shape=(size, size)))
        matrix.eliminate_zeros()
        self.matrix = matrix
        self.lu = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})

    def solve(self, s: Array) -> Array:
        return self.lu.solve((s * self.area[..., None]).ravel()).reshape(s.shape)
