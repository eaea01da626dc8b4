r"""The discrete equilibrium of BGK: a Gaussian on the nodes whose sums ARE the moments.

$$ M_k = A\,e^{a_1 c_k + a_2 c_k^2},\quad c_k = v_k-u, \qquad
   \sum_k w_k\,(1, c_k, c_k^2)\,M_k = (\rho,\ 0,\ \rho T) . $$

It exists and is unique if any f > 0 on the nodes has these moments (minimal entropy).  Newton, in $(\ln A, a_1, a_2)$, starts at
$(\ln(\rho/\sqrt{2\pi T}) , 0, -1/2T)$ plus the corrections of the last solve in the same cell (`memory`: dimensionless,
$\delta = (A\sqrt{2\pi T}/\rho-1,\ \delta a_1\sqrt T,\ \delta a_2T)$).  On nodes that resolve the Gaussian the start is right to
spectral accuracy.  A last correction e that is small enough is applied as the factor $1+e_0+e_1c+e_2c^2$ instead of another
round of exponentials: its error is $e^2/2$, below round-off.

A tile of cells is solved at once, until its last cell has converged: loops over cells are vector instructions without remainders,
and no sum runs across a vector.  What is known of the cells stands in one array `work` of QUANTITIES blocks of TILE: with
constant distances between them the compiler sees that they do not overlap.

The exponentials run in vector instructions: $e^y = 2^n e^r$, $n$ the integer nearest to $y/\ln2$, $|r|\le\ln2/2$, a Taylor
polynomial of degree 12 for $e^r$ (remainder 2e-16) and the exponent bits set directly.

References: Mieussens (2000), J. Comput. Phys. 162, 429, DOI 10.1006/jcph.2000.6548 (existence, Newton); Cody, Waite (1980),
Software Manual for the Elementary Functions, chapter 6 (range reduction in two parts).
"""

import math

import numpy as np
from numpy.typing import NDArray

from solvers.compile import njit, prange

NEWTON_STEPS = 30
LINEAR = 1e-8  # residual below which the last correction is applied as a polynomial factor
TILE = 128  # cells
QUANTITIES = 22
#: of a cell: moments, Gaussian, its sums with w v^j, last correction, residuals, corrections to start with; the rest is for `imex`
RHO, U, TEMPERATURE, A, A1, A2, S0, S1, S2, S3, S4 = range(0, 11 * TILE, TILE)
E0, E1, E2, SIZE, BEST, D0, D1, D2, SHARE, ONE, SCALE = range(11 * TILE, QUANTITIES * TILE, TILE)

LOG2_E = 1.0 / math.log(2.0)
LN2_HIGH = 6.93147180369123816490e-01  # ln 2 in two parts (Cody, Waite)
LN2_LOW = 1.90821492927058770002e-10
C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12 = (1.0 / math.factorial(n) for n in range(2, 13))


@njit(inline="always", fastmath={"contract"})
def exp_reduced(r):
    """exp(r) for |r| <= ln(2)/2."""
    p = C10 + r * (C11 + r * C12)
    p = C6 + r * (C7 + r * (C8 + r * (C9 + r * p)))
    return 1.0 + r * (1.0 + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * p)))))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def gaussian_row(v, work, out):
    """out = A exp(a1 c + a2 c^2) at the node v of all cells."""
    for j in range(out.size):
        c = v - work[U + j]
        y = max(c * (work[A1 + j] + c * work[A2 + j]), -700.0)  # smaller values have no exponent bits
        n = np.floor(y * LOG2_E + 0.5)
        power = np.int64((np.int64(n) + 1023) << 52).view(np.float64)
        out[j] = work[A + j] * exp_reduced((y - n * LN2_HIGH) - n * LN2_LOW) * power


@njit(cache=True, fastmath={"contract"})
def moment_rows(cells, rows, w, work):
    """Add the shares of four nodes to the sums S0..S4; w (4, 5) are the weights times powers of v."""
    for j in range(cells):
        a, b, c, d = rows[j], rows[TILE + j], rows[2 * TILE + j], rows[3 * TILE + j]
        work[S0 + j] += (w[0, 0] * a + w[1, 0] * b) + (w[2, 0] * c + w[3, 0] * d)
        work[S1 + j] += (w[0, 1] * a + w[1, 1] * b) + (w[2, 1] * c + w[3, 1] * d)
        work[S2 + j] += (w[0, 2] * a + w[1, 2] * b) + (w[2, 2] * c + w[3, 2] * d)
        work[S3 + j] += (w[0, 3] * a + w[1, 3] * b) + (w[2, 3] * c + w[3, 3] * d)
        work[S4 + j] += (w[0, 4] * a + w[1, 4] * b) + (w[2, 4] * c + w[3, 4] * d)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def start_newton(cells, work):
    """A, a1, a2 from the moments and the corrections D0..D2."""
    for j in range(cells):
        root = np.sqrt(work[TEMPERATURE + j])
        work[A + j] = work[RHO + j] / (math.sqrt(2.0 * math.pi) * root) * (1.0 + work[D0 + j])
        work[A1 + j] = work[D1 + j] / root
        work[A2 + j] = (work[D2 + j] - 0.5) / work[TEMPERATURE + j]
        work[BEST + j] = 1e300


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def newton(cells, work):
    """E0..E2 from the sums and the moments: the Jacobian is the matrix of S0..S4; A, a1, a2 with them, the residual before."""
    for j in range(cells):
        rho, T = work[RHO + j], work[TEMPERATURE + j]
        s0, s1, s2, s3, s4 = work[S0 + j], work[S1 + j], work[S2 + j], work[S3 + j], work[S4 + j]
        # about u instead of 0
        u = work[U + j]
        s4 -= u * (4.0 * s3 - u * (6.0 * s2 - u * (4.0 * s1 - u * s0)))
        s3 -= u * (3.0 * s2 - u * (3.0 * s1 - u * s0))
        s2 -= u * (2.0 * s1 - u * s0)
        s1 -= u * s0
        r0, r1, r2 = rho - s0, -s1, rho * T - s2
        root = np.sqrt(T)
        work[SIZE + j] = abs(r0) / rho + abs(r1) / (rho * root) + abs(r2) / (rho * T)
        m0, m1, m2 = s2 * s4 - s3 * s3, s1 * s4 - s2 * s3, s1 * s3 - s2 * s2
        d = 1.0 / (s0 * m0 - s1 * m1 + s2 * m2)
        e0 = d * (r0 * m0 - r1 * m1 + r2 * m2)
        e1 = d * (r1 * (s0 * s4 - s2 * s2) - r0 * m1 - r2 * (s0 * s3 - s1 * s2))
        e2 = d * (r0 * m2 - r1 * (s0 * s3 - s1 * s2) + r2 * (s0 * s2 - s1 * s1))
        work[E0 + j], work[E1 + j], work[E2 + j] = e0, e1, e2
        amplitude = work[A + j] * max(1.0 + e0, 0.5)
        a1, a2 = work[A1 + j] + e1, work[A2 + j] + e2
        work[A + j], work[A1 + j], work[A2 + j] = amplitude, a1, a2
        work[D0 + j] = amplitude / rho * (math.sqrt(2.0 * math.pi) * root) - 1.0
        work[D1 + j] = a1 * root
        work[D2 + j] = a2 * T + 0.5


@njit(cache=True, fastmath={"contract"})
def correct_row(v, work, out):
    """out <- out (1 + E0 + E1 c + E2 c^2) at the node v of all cells."""
    for j in range(out.size):
        c = v - work[U + j]
        out[j] *= (1.0 + work[E0 + j]) + c * (work[E1 + j] + c * work[E2 + j])


@njit(cache=True)
def converged(cells, work):
    """Whether every cell has; a residual that no longer falls is round-off (nodes that hardly resolve the Gaussian)."""
    done = True
    for j in range(cells):
        size = work[SIZE + j]
        done &= size < LINEAR or (size < 1e-6 and size >= 0.5 * work[BEST + j])
        work[BEST + j] = size
    return done


@njit(cache=True)
def equilibrium_tile(cells, work, v, measures, out):
    """Discrete equilibria with the moments RHO, U, TEMPERATURE into out (v, TILE); False if Newton fails in a cell.

    D0..D2 hold the corrections to start with, and then those that were found.  `measures` as from `powers`, out with as many rows.
    """
    start_newton(cells, work)
    flat = out.reshape(out.size)
    for _ in range(NEWTON_STEPS):
        work[S0 : S0 + 5 * TILE] = 0.0
        for k in range(v.size):
            gaussian_row(v[k], work, out[k, :cells])
        for k in range(0, out.shape[0], 4):
            moment_rows(cells, flat[k * TILE : (k + 4) * TILE], measures[k : k + 4], work)
        newton(cells, work)
        if converged(cells, work):
            for k in range(v.size):
                correct_row(v[k], work, out[k, :cells])
            return True
    return False


@njit(cache=True)
def powers(v, w):
    """w v^j, j = 0..4, shape (v, 5), with rows of zeros up to a multiple of four nodes."""
    measures = np.zeros((-(-v.size // 4) * 4, 5))
    for k in range(v.size):
        for j in range(5):
            measures[k, j] = w[k] * v[k] ** j
    return measures


def aligned(*shape: int) -> NDArray[np.float64]:
    """Zeros that start with a line of the cache: vectors that straddle two lines cost twice."""
    size = math.prod(shape)
    memory = np.zeros(size + 8)
    first = -memory.ctypes.data // 8 % 8
    return memory[first : first + size].reshape(shape)


@njit(cache=True)
def fails(j, work):
    """Whether cell j of a tile that has no equilibrium is one of those to blame."""
    return not (work[RHO + j] > 0.0 and work[TEMPERATURE + j] > 0.0 and work[SIZE + j] < 1e-6)


@njit(cache=True, parallel=True)
def equilibria(rho, u, T, v, w, out):
    """Rows of discrete equilibria into out (component, x, v), the second one with factor 2 T; 1 where there is none."""
    failures = np.zeros(rho.size, np.int64)
    measures = powers(v, w)
    for tile in prange((rho.size + TILE - 1) // TILE):
        first = tile * TILE
        cells = min(TILE, rho.size - first)
        work, M = np.zeros(QUANTITIES * TILE), np.zeros((measures.shape[0], TILE))
        for j in range(cells):
            work[RHO + j], work[U + j], work[TEMPERATURE + j] = rho[first + j], u[first + j], T[first + j]
        found = equilibrium_tile(cells, work, v, measures, M)
        for j in range(cells):
            if not found and fails(j, work):
                failures[first + j] = 1
            for k in range(v.size):
                out[0, first + j, k] = M[k, j]
                if out.shape[0] == 2:
                    out[1, first + j, k] = 2.0 * T[first + j] * M[k, j]
    return failures


def equilibrium(rho, u, T, v, w, out):
    """Discrete equilibrium with the moments (rho, u, T) into `out`, shape of v; False if there is none."""
    row = np.zeros((1, 1, v.size))
    bad = equilibria(np.array([rho]), np.array([u]), np.array([T]), v, w, row)
    out[:] = row[0, 0]
    return not bad[0]
