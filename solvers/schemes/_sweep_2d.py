r"""Upwind DG(2) transport sweeps on a tensor mesh: T g = r for every direction, T = tau + eps omega . D.

In the orthonormal Legendre basis of a cell (mode i in x, j in y) and mirrored so that omega points up and right, one cell reads

$$ \tau G + a_x S G + a_y G S^T = R + a_x\,\ell\,t_x^T + a_y\,t_y\,\ell^T , \qquad a_x = \varepsilon|v_1|/h_x, $$

$S = \phi(1)\phi(1)^T - \int\phi'\phi^T$, $\ell = \phi(-1)$ and t the traces of the cells upwind.  S has one real eigenvalue and a
complex pair, the same in every cell: with $S = V\Lambda V^{-1}$ the system falls apart into 1x1 and 2x2 blocks, solved in
closed form (fast diagonalisation, Lynch, Rice, Thomas, 1964, Numer. Math. 6, 185, DOI 10.1007/BF01386067).  A cross-section
that varies inside a cell is split into its mean (in tau) and the rest, a contraction that is iterated in the cell.

Blocks of angles run in parallel, each through the four quadrants, so that what leaves at a specular side enters the quadrant
that follows as its mirror image; the innermost loops run over the angles of a block, which are contiguous.
"""

import numpy as np

from ..compile import njit, prange
from ..problem.scheme import Array

ROOT3, ROOT5 = 3.0**0.5, 5.0**0.5
RIGHT = np.array([1.0, ROOT3, ROOT5])
LEFT = np.array([1.0, -ROOT3, ROOT5])
STIFF = np.array([[0.0, 0.0, 0.0], [2.0 * ROOT3, 0.0, 0.0], [0.0, 2.0 * ROOT3 * ROOT5, 0.0]])  # int phi_i' phi_j
#: DG derivative times h of v > 0 and of v < 0: in the cell, and from the neighbour upwind
SAME = np.array([np.outer(RIGHT, RIGHT) - STIFF, -np.outer(LEFT, LEFT) - STIFF])
NEAR = np.array([-np.outer(LEFT, RIGHT), np.outer(RIGHT, LEFT)])


def _real_eigenvectors() -> tuple[Array, float, float, float]:
    """V with columns (v_0, Re v_1, Im v_1), and the eigenvalues lambda_0, a + ib of S."""
    values, vectors = np.linalg.eig(SAME[0])
    real = int(np.argmin(np.abs(values.imag)))
    pair = int(np.argmax(values.imag))
    v = vectors[:, pair] / np.linalg.norm(vectors[:, pair])
    V = np.column_stack([vectors[:, real].real, v.real, v.imag])
    return V, float(values[real].real), float(values[pair].real), float(values[pair].imag)


_V, REAL, PAIR_A, PAIR_B = _real_eigenvectors()
_W = np.linalg.inv(_V)
(V00, V01, V02), (V10, V11, V12), (V20, V21, V22) = _V.tolist()
(W00, W01, W02), (W10, W11, W12), (W20, W21, W22) = _W.tolist()


@njit(inline="always", error_model="numpy")
def _to_eigen(a, b, c):
    return W00 * a + W01 * b + W02 * c, W10 * a + W11 * b + W12 * c, W20 * a + W21 * b + W22 * c


@njit(inline="always", error_model="numpy")
def _from_eigen(a, b, c):
    return V00 * a + V01 * b + V02 * c, V10 * a + V11 * b + V12 * c, V20 * a + V21 * b + V22 * c


@njit(inline="always", error_model="numpy")
def _solve_pair(c, d, p, q):
    """[[c, d], [-d, c]] x = (p, q)."""
    s = 1.0 / (c * c + d * d)
    return (c * p - d * q) * s, (d * p + c * q) * s


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def solve_cell(tau, ax, ay, R, G):
    """tau G + ax S G + ay G S^T = R for every angle; R and G of shape (9, angles), mode 3 i + j."""
    for m in range(ax.size):
        p, q = ax[m], ay[m]
        a0, b0, c0 = _to_eigen(R[0, m], R[3, m], R[6, m])
        a1, b1, c1 = _to_eigen(R[1, m], R[4, m], R[7, m])
        a2, b2, c2 = _to_eigen(R[2, m], R[5, m], R[8, m])
        a0, a1, a2 = _to_eigen(a0, a1, a2)
        b0, b1, b2 = _to_eigen(b0, b1, b2)
        c0, c1, c2 = _to_eigen(c0, c1, c2)
        a0 /= tau + (p + q) * REAL
        a1, a2 = _solve_pair(tau + p * REAL + q * PAIR_A, q * PAIR_B, a1, a2)
        b0, c0 = _solve_pair(tau + q * REAL + p * PAIR_A, p * PAIR_B, b0, c0)
        base = tau + (p + q) * PAIR_A
        s1, s2 = _solve_pair(base, (p + q) * PAIR_B, b1 - c2, b2 + c1)
        d1, d2 = _solve_pair(base, (q - p) * PAIR_B, b1 + c2, b2 - c1)
        b1, c2, b2, c1 = 0.5 * (d1 + s1), 0.5 * (d1 - s1), 0.5 * (s2 + d2), 0.5 * (s2 - d2)
        a0, a1, a2 = _from_eigen(a0, a1, a2)
        b0, b1, b2 = _from_eigen(b0, b1, b2)
        c0, c1, c2 = _from_eigen(c0, c1, c2)
        G[0, m], G[3, m], G[6, m] = _from_eigen(a0, b0, c0)
        G[1, m], G[4, m], G[7, m] = _from_eigen(a1, b1, c1)
        G[2, m], G[5, m], G[8, m] = _from_eigen(a2, b2, c2)


@njit(cache=True, error_model="numpy", fastmath={"contract"}, parallel=True)
def sweep(
    v1,
    v2,
    w,
    mirror1,
    mirror2,
    turn1,
    turn2,
    eps_h1,
    eps_h2,
    tau,
    rest,
    repeats,
    iso,
    d1,
    d2,
    memory,
    factor,
    in1,
    in2,
    out1,
    out2,
    g,
    keep,
    mean,
    work,
):
    """One sweep of every direction.

    v1, v2, w       directions, sorted by the angle in (-pi, pi), and weights
    mirror1, 2      numbers of the directions (-v1, v2) and (v1, -v2)
    turn1, turn2    side whose leaving traces enter mirrored: 0 left (bottom), 1 right (top), -1 none; it is swept to first
    eps_h1, eps_h2  eps / cell width
    tau             mean total cross-section of the cells (x, y); `rest` (x, y, 9, 9) what varies inside, `repeats` times
    iso             isotropic right-hand side (x, y, 9); minus v1 d1 minus v2 d2, each (2, x, y, 9) by sign of v
    memory, factor  right-hand side factor * memory (x, y, 9, angles), unless factor is zero
    in1, in2        entering traces (2, y, 3, angles) at left and right, (2, x, 3, angles) at bottom and top; filled at a
                    side `turn`
    out1, out2      leaving traces at right, left and top, bottom in the places of those that would enter there mirrored:
                    out1[0] what leaves at the left, out1[1] at the right
    g, keep         the solution (x, y, 9, angles), written if keep
    mean            (blocks, x, y, 9), the parts of <g>
    work            (blocks, 33 + 3 y, angles / 4 / blocks)
    """
    nx, ny = tau.shape
    blocks, _, n = work.shape
    for block in prange(blocks):
        mine = work[block]
        R, G, ty, ax, ay, wq = mine[0:9], mine[9:18], mine[18:21], mine[21], mine[22], mine[23]
        tx = mine[24:]
        for leg in range(4):
            up = (leg % 2 == 0) == (turn1 != 0)
            over = (leg // 2 == 0) == (turn2 != 0)
            s1 = 1.0 if up else -1.0
            s2 = 1.0 if over else -1.0
            k1 = 0 if up else 1
            k2 = 0 if over else 1
            # quadrants 0 to 3 are (-,-), (+,-), (+,+), (-,+); in every other one the images of a block lie in reverse
            quadrant = (2 if up else 3) if over else (1 if up else 0)
            there = blocks - 1 - np.int64(block) if quadrant % 2 else np.int64(block)
            first = n * (quadrant * blocks + there)
            if k1 == turn1:
                for j in range(ny):
                    for l in range(3):
                        for m in range(first, first + n):
                            in1[k1, j, l, m] = out1[k1, j, l, mirror1[m]]
            if k2 == turn2:
                for i in range(nx):
                    for l in range(3):
                        for m in range(first, first + n):
                            in2[k2, i, l, m] = out2[k2, i, l, mirror2[m]]
            for m in range(n):
                wq[m] = w[first + m]
            for j in range(ny):
                for l in range(3):
                    sign = s2 if l == 1 else 1.0
                    for m in range(n):
                        tx[3 * j + l, m] = sign * in1[k1, j, l, first + m]
            for step1 in range(nx):
                i = step1 if up else nx - 1 - step1
                for m in range(n):
                    ax[m] = eps_h1[i] * abs(v1[first + m])
                for l in range(3):
                    sign = s1 if l == 1 else 1.0
                    for m in range(n):
                        ty[l, m] = sign * in2[k2, i, l, first + m]
                for step2 in range(ny):
                    j = step2 if over else ny - 1 - step2
                    for m in range(n):
                        ay[m] = eps_h2[j] * abs(v2[first + m])
                    for p in range(3):
                        for q in range(3):
                            k = 3 * p + q
                            sign = (s1 if p == 1 else 1.0) * (s2 if q == 1 else 1.0)
                            a, b, c = sign * iso[i, j, k], sign * d1[k1, i, j, k], sign * d2[k2, i, j, k]
                            lp, lq = LEFT[p], LEFT[q]
                            t = 3 * j + q
                            for m in range(n):
                                R[k, m] = (
                                    a
                                    - v1[first + m] * b
                                    - v2[first + m] * c
                                    + ax[m] * lp * tx[t, m]
                                    + ay[m] * lq * ty[p, m]
                                )
                            if factor != 0.0:
                                scale = factor * sign
                                for m in range(n):
                                    R[k, m] += scale * memory[i, j, k, first + m]
                    solve_cell(tau[i, j], ax, ay, R, G)
                    for _ in range(repeats):
                        # R keeps the source of the fixed point: what the rest of the cross-section removes is taken off anew
                        for k in range(9):
                            for m in range(n):
                                mine[24 + 3 * ny + k, m] = R[k, m]
                            sign_k = (s1 if k // 3 == 1 else 1.0) * (s2 if k % 3 == 1 else 1.0)
                            for l in range(9):
                                sign_l = (s1 if l // 3 == 1 else 1.0) * (s2 if l % 3 == 1 else 1.0)
                                c = sign_k * sign_l * rest[i, j, k, l]
                                for m in range(n):
                                    mine[24 + 3 * ny + k, m] -= c * G[l, m]
                        solve_cell(tau[i, j], ax, ay, mine[24 + 3 * ny : 33 + 3 * ny], G)
                    for p in range(3):
                        for m in range(n):
                            tx[3 * j + p, m] = G[p, m] + ROOT3 * G[3 + p, m] + ROOT5 * G[6 + p, m]
                            ty[p, m] = G[3 * p, m] + ROOT3 * G[3 * p + 1, m] + ROOT5 * G[3 * p + 2, m]
                    for k in range(9):
                        sign = (s1 if k // 3 == 1 else 1.0) * (s2 if k % 3 == 1 else 1.0)
                        total = 0.0
                        for m in range(n):
                            total += wq[m] * G[k, m]
                        if leg == 0:
                            mean[block, i, j, k] = sign * total
                        else:
                            mean[block, i, j, k] += sign * total
                        if keep:
                            for m in range(n):
                                g[i, j, k, first + m] = sign * G[k, m]
                for l in range(3):
                    sign = s1 if l == 1 else 1.0
                    for m in range(n):
                        out2[1 - k2, i, l, first + m] = sign * ty[l, m]
            for j in range(ny):
                for l in range(3):
                    sign = s2 if l == 1 else 1.0
                    for m in range(n):
                        out1[1 - k1, j, l, first + m] = sign * tx[3 * j + l, m]


@njit(cache=True, error_model="numpy", parallel=True)
def combine(out, a, x, b, y, c, z):
    """out = a x + b y + c z, shapes (x, y, 9, angles)."""
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for m in range(out.shape[3]):
                    out[i, j, k, m] = a * x[i, j, k, m] + b * y[i, j, k, m] + c * z[i, j, k, m]


@njit(cache=True, error_model="numpy", parallel=True)
def subtract_mean(g, mean):
    """g - <g>, in place."""
    for i in prange(g.shape[0]):
        for j in range(g.shape[1]):
            for k in range(g.shape[2]):
                for m in range(g.shape[3]):
                    g[i, j, k, m] -= mean[i, j, k]
