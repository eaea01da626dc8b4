"""Compiled kernels of `hermite_parity`: right-hand side, block factors, solve, one Rosenbrock step.

Arrays: e (cells, K) even modes at the centres, o (cells + 1, K) odd modes over eps at the faces, phi (cells,); h (cells,) widths,
d (cells + 1,) distances of the points on both sides of a face (half a cell at a contact); relax (2 K,) collision rates times eps^2;
doping, generation (cells,) c and what is generated of M per unit time; ends (2, K) what enters at the contacts as even modes;
B (cells + 1, 4) the Bernoulli function at (delta, -delta) and its slopes there; R (K, K) takes odd to even half-range modes.
"""

import numpy as np

from solvers.compile import njit
from solvers.gauss_jordan import invert
from solvers.scharfetter_gummel import bernoulli

#: RODAS4: six stages, order 4, L-stable, stiffly accurate
GAMMA = 0.25
STAGES = 6
A = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.544, 0.0, 0.0, 0.0, 0.0],
        [0.9466785280815826, 0.2557011698983284, 0.0, 0.0, 0.0],
        [3.314825187068521, 2.896124015972201, 0.9986419139977817, 0.0, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0],
    ]
)
C = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-5.6688, 0.0, 0.0, 0.0, 0.0],
        [-2.430093356833875, -0.2063599157091915, 0.0, 0.0, 0.0],
        [-0.1073529058151375, -9.594562251023355, -20.47028614809616, 0.0, 0.0],
        [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160, 0.0],
        [8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054],
    ]
)


@njit(cache=True, error_model="numpy")
def fit_faces(phi, potentials, theta, B):
    """B of every face."""
    cells = phi.size
    for f in range(cells + 1):
        left = potentials[0] if f == 0 else phi[f - 1]
        right = potentials[1] if f == cells else phi[f]
        delta = (right - left) / theta
        B[f, 0], B[f, 2] = bernoulli(delta)
        B[f, 1], B[f, 3] = bernoulli(-delta)


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def make_trace(o, R, eps, entering, sign, trace):
    """Even modes at a contact: e = entering + sign eps R o, sign -1 (left) or 1 (right)."""
    K = o.size
    for m in range(K):
        s = 0.0
        for l in range(K):
            s += R[m, l] * o[l]
        trace[m] = entering[m] + sign * eps * s


@njit(cache=True, error_model="numpy")
def ladder(K):
    """sqrt(2 m + 1) and sqrt(2 m + 2), m < K: the recursion of the Hermite functions from and to odd modes."""
    m = 2.0 * np.arange(K)
    return np.sqrt(m + 1.0), np.sqrt(m + 2.0)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def diverge(o, B, h, root, eps, out):
    """out (cells, >= K) -= the terms of the odd modes in the even rows."""
    K = o.shape[1]
    cells = h.size
    lower, upper = ladder(K)
    lower *= root
    upper *= root * eps * eps
    lower[1:] *= eps * eps
    for f in range(cells + 1):
        odd = o[f]
        if f > 0:
            row, width = out[f - 1], h[f - 1]
            for m in range(K):
                row[m] -= lower[m] * odd[m] / width
            width *= B[f, 1]
            for m in range(K - 1):
                row[m + 1] -= upper[m] * odd[m] / width
        if f < cells:
            row, width = out[f], h[f]
            for m in range(K):
                row[m] += lower[m] * odd[m] / width
            width *= B[f, 0]
            for m in range(K - 1):
                row[m + 1] += upper[m] * odd[m] / width


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def rate(e, o, phi, Fe, Fo, Fp, B, h, d, doping, generation, ends, potentials, theta, beta, eps, relax, R):
    """Right-hand side; the mass matrix is 1 for e_0, eps^2 for the other modes, 0 for phi."""
    cells, K = e.shape
    root = np.sqrt(theta)
    fit_faces(phi, potentials, theta, B)
    trace = np.empty(K)
    lower, upper = ladder(K)
    for i in range(cells):
        Fe[i, 0] = generation[i]
        for m in range(1, K):
            Fe[i, m] = -relax[2 * m] * e[i, m]
    diverge(o, B, h, root, eps, Fe)
    for f in range(cells + 1):
        if f == 0:
            make_trace(o[f], R, eps, ends[0], -1.0, trace)
        elif f == cells:
            make_trace(o[f], R, eps, ends[1], 1.0, trace)
        left = trace if f == 0 else e[f - 1]
        right = trace if f == cells else e[f]
        odd, row = o[f], Fo[f]
        ahead, behind, slope = B[f, 0], B[f, 1], root / d[f]
        for m in range(K):
            row[m] = -relax[2 * m + 1] * odd[m] - slope * lower[m] * (ahead * right[m] - behind * left[m])
        for m in range(K - 1):
            row[m] -= slope * upper[m] * (right[m + 1] - left[m + 1])
    for i in range(cells):
        left = potentials[0] if i == 0 else phi[i - 1]
        right = potentials[1] if i == cells - 1 else phi[i + 1]
        bend = (right - phi[i]) / d[i + 1] - (phi[i] - left) / d[i]
        Fp[i] = beta * bend / h[i] - (e[i, 0] - doping[i])


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def factorise(e, o, phi, tau, B, h, d, ends, potentials, theta, beta, eps, relax, R, D, L, U, W, G):
    """Factors of mass/tau - Jacobian, block tridiagonal over the cells once o is eliminated face by face.

    D (cells, K+1, K+1)  inverse pivot blocks over (e, phi)
    L, U (cells, K+1, 4) couplings to the left and right cell: columns m-1, m, m+1 and phi
    W (2, K, K)          inverses of the blocks of o at the contacts
    G (cells+1, K, 6)    o = rhs - G (e_m^L, e_m^R, e_{m+1}^L, e_{m+1}^R, phi^L, phi^R) inside; at a contact both times W
    """
    cells, K = e.shape
    root = np.sqrt(theta)
    square = eps * eps
    inertia = square / tau
    fit_faces(phi, potentials, theta, B)
    D[:], L[:], U[:] = 0.0, 0.0, 0.0
    for i in range(cells):
        D[i, 0, 0] = 1.0 / tau
        for m in range(1, K):
            D[i, m, m] = inertia + relax[2 * m]
        D[i, K, 0] = 1.0
        D[i, K, K] = beta / h[i] * (1.0 / d[i] + 1.0 / d[i + 1])
        L[i, K, 3] = -beta / (h[i] * d[i])
        U[i, K, 3] = -beta / (h[i] * d[i + 1])
    trace = np.empty(K)
    for f in range(cells + 1):
        contact = f == 0 or f == cells
        side, sign = (0, -1.0) if f == 0 else (1, 1.0)
        if contact:
            make_trace(o[f], R, eps, ends[side], sign, trace)
        left = trace if f == 0 else e[f - 1]
        right = trace if f == cells else e[f]
        for m in range(K):
            scale = 1.0 if contact else 1.0 / (inertia + relax[2 * m + 1])
            a = scale * root * np.sqrt(2.0 * m + 1.0) / d[f]
            c = scale * root * np.sqrt(2.0 * m + 2.0) / d[f] if m + 1 < K else 0.0
            s = a / theta * (B[f, 2] * right[m] + B[f, 3] * left[m])
            G[f, m, 0], G[f, m, 1] = -a * B[f, 1], a * B[f, 0]
            G[f, m, 2], G[f, m, 3] = -c, c
            G[f, m, 4], G[f, m, 5] = -s, s
        if contact:
            w = W[side]
            for m in range(K):
                for l in range(K):
                    w[m, l] = G[f, m, side] * R[m, l]
                    if m + 1 < K:
                        w[m, l] += G[f, m, side + 2] * R[m + 1, l]
                    w[m, l] *= sign * eps
                w[m, m] += inertia + relax[2 * m + 1]
            invert(w)
        for near in range(2):  # the cell left of the face, then the one right of it
            i = f - 1 + near
            if i < 0 or i >= cells:
                continue
            direction = 1.0 if near == 0 else -1.0
            far = 1 - near
            other = U if near == 0 else L
            for m in range(K):
                lower = direction * root * np.sqrt(2.0 * m + 1.0) / h[i] * (square if m > 0 else 1.0)
                upper = 0.0
                if m + 1 < K:
                    g = direction * root * np.sqrt(2.0 * m + 2.0) / h[i] * square
                    fit, slope = B[f, 1 - near], B[f, 3 - near]
                    upper = g / fit
                    bend = g * slope / (fit * fit) * o[f, m] / theta  # by phi^R - phi^L, or its negative for near = 1
                    D[i, m + 1, K] -= bend
                    if not contact:
                        other[i, m + 1, 3] += bend
                for row in range(m, min(m + 2, K)):
                    factor = lower if row == m else upper
                    if contact:
                        for l in range(K):
                            t = factor * W[side, m, l]
                            D[i, row, l] -= t * G[f, l, near]
                            if l + 1 < K:
                                D[i, row, l + 1] -= t * G[f, l, near + 2]
                            D[i, row, K] -= t * G[f, l, near + 4]
                        continue
                    at = m - row + 1
                    D[i, row, m] -= factor * G[f, m, near]
                    other[i, row, at] -= factor * G[f, m, far]
                    if m + 1 < K:
                        D[i, row, m + 1] -= factor * G[f, m, near + 2]
                        other[i, row, at + 1] -= factor * G[f, m, far + 2]
                    D[i, row, K] -= factor * G[f, m, near + 4]
                    other[i, row, 3] -= factor * G[f, m, far + 4]
    X, u = np.empty((K + 1, K + 1)), np.empty((4, K + 1))
    for i in range(cells):
        if i > 0:
            low = L[i]
            for q in range(4):
                u[q] = U[i - 1, :, q]
            for r in range(
                K + 1
            ):  # X = D^{-1} U of the cell before; couplings beyond the first and the last mode are zero
                before, x = D[i - 1, r], X[r]
                x[0] = before[0] * u[1, 0] + before[1] * u[0, 1]
                for c in range(1, K):
                    x[c] = before[c - 1] * u[2, c - 1] + before[c] * u[1, c] + before[c + 1] * u[0, c + 1]
                s = 0.0
                for c in range(K + 1):
                    s += before[c] * u[3, c]
                x[K] = s
            for m in range(K):
                row = D[i, m]
                x0, x1, x2, x3 = X[max(m - 1, 0)], X[m], X[m + 1], X[K]
                for c in range(K + 1):
                    row[c] -= low[m, 0] * x0[c] + low[m, 1] * x1[c] + low[m, 2] * x2[c] + low[m, 3] * x3[c]
            for c in range(K + 1):
                D[i, K, c] -= low[K, 3] * X[K, c]
        invert(D[i])


@njit(cache=True, error_model="numpy")
def couple(block, v, out):
    """out -= (sparse block) v."""
    K = v.size - 1
    for m in range(K):
        s = block[m, 1] * v[m] + block[m, 3] * v[K]
        if m > 0:
            s += block[m, 0] * v[m - 1]
        if m + 1 < K:
            s += block[m, 2] * v[m + 1]
        out[m] -= s
    out[K] -= block[K, 3] * v[K]


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def multiply(matrix, v, out):
    """out = matrix v."""
    for r in range(v.size):
        s = 0.0
        for c in range(v.size):
            s += matrix[r, c] * v[c]
        out[r] = s


@njit(cache=True, error_model="numpy")
def solve(e, o, phi, y, tau, B, h, theta, eps, relax, D, L, U, W, G):
    """Solve with the factors, right-hand sides in e, o, phi, the solution in their place; y (cells, K+1) is work space."""
    cells, K = e.shape
    root = np.sqrt(theta)
    inertia = eps * eps / tau
    t = np.empty(K + 1)
    for f in range(cells + 1):
        if f == 0 or f == cells:
            multiply(W[0 if f == 0 else 1], o[f], t[:K])
            o[f] = t[:K]
        else:
            for m in range(K):
                o[f, m] /= inertia + relax[2 * m + 1]
    y[:, :K] = e
    y[:, K] = phi
    diverge(o, B, h, root, eps, y)
    for i in range(cells):
        if i > 0:
            couple(L[i], y[i - 1], y[i])
        multiply(D[i], y[i], t)
        y[i] = t
    s = np.empty(K + 1)
    for i in range(cells - 2, -1, -1):
        t[:] = 0.0
        couple(U[i], y[i + 1], t)
        multiply(D[i], t, s)
        y[i] += s
    for f in range(cells + 1):
        for m in range(K):
            z = 0.0
            if f > 0:
                z += G[f, m, 0] * y[f - 1, m] + G[f, m, 4] * y[f - 1, K]
                if m + 1 < K:
                    z += G[f, m, 2] * y[f - 1, m + 1]
            if f < cells:
                z += G[f, m, 1] * y[f, m] + G[f, m, 5] * y[f, K]
                if m + 1 < K:
                    z += G[f, m, 3] * y[f, m + 1]
            t[m] = z
        if f == 0 or f == cells:
            multiply(W[0 if f == 0 else 1], t[:K], s[:K])
            o[f] -= s[:K]
        else:
            o[f] -= t[:K]
    # the density from the differences of the flux itself: mass is kept to round-off however exact the solve is
    for i in range(cells):
        e[i, 0] = tau * (e[i, 0] - root * (o[i + 1, 0] - o[i, 0]) / h[i])
        e[i, 1:] = y[i, 1:K]
        phi[i] = y[i, K]


@njit(cache=True, error_model="numpy")
def advance(e, o, phi, z, dt, work, factors, B, h, d, doping, generation, ends, potentials, theta, beta, eps, relax, R):
    """One RODAS4 step in place; z (2,) are the fluxes through the contacts, integrated in time by the same formula.

    work     (Ue, Uo, Up, Uz, y): increments of the stages, work space;  factors  (D, L, U, W, G)
    """
    Ue, Uo, Up, Uz, y = work
    D, L, U, W, G = factors
    cells = e.shape[0]
    tau = GAMMA * dt
    square = eps * eps
    factorise(e, o, phi, tau, B, h, d, ends, potentials, theta, beta, eps, relax, R, D, L, U, W, G)
    frozen = B.copy()
    root = np.sqrt(theta)
    e1, o1, p1 = np.empty_like(e), np.empty_like(o), np.empty_like(phi)
    for k in range(STAGES):
        e1[:], o1[:], p1[:] = e, o, phi
        for j in range(k):
            e1 += A[k, j] * Ue[j]
            o1 += A[k, j] * Uo[j]
            p1 += A[k, j] * Up[j]
        rate(e1, o1, p1, Ue[k], Uo[k], Up[k], B, h, d, doping, generation, ends, potentials, theta, beta, eps, relax, R)
        Uz[k, 0], Uz[k, 1] = root * o1[0, 0], root * o1[cells, 0]
        for j in range(k):
            c = C[k, j] / dt
            Ue[k, :, 0] += c * Ue[j, :, 0]
            Ue[k, :, 1:] += c * square * Ue[j, :, 1:]
            Uo[k] += c * square * Uo[j]
            Uz[k] += c * Uz[j]
        solve(Ue[k], Uo[k], Up[k], y, tau, frozen, h, theta, eps, relax, D, L, U, W, G)
        Uz[k, 0] = tau * (Uz[k, 0] + root * Uo[k, 0, 0])
        Uz[k, 1] = tau * (Uz[k, 1] + root * Uo[k, cells, 0])
    last = STAGES - 1
    e[:], o[:], phi[:] = e1 + Ue[last], o1 + Uo[last], p1 + Up[last]
    for j in range(STAGES - 1):
        z += A[last, j] * Uz[j]
    z += Uz[last]
