r"""The discrete equilibrium of BGK: a Gaussian on the nodes whose sums ARE the moments.

$$ M_k = e^{a_0 + a_1 c_k + a_2 c_k^2},\quad c_k = v_k-u, \qquad
   \sum_k w_k\,(1, c_k, c_k^2)\,M_k = (\rho,\ 0,\ \rho T) . $$

It exists and is unique if any f > 0 on the nodes has these moments (minimal entropy).  Newton starts at
$a = (\ln(\rho/\sqrt{2\pi T}) , 0, -1/2T)$ plus the corrections of the last solve in the same cell (`memory`: dimensionless,
$\delta = (\delta a_0,\ \delta a_1\sqrt T,\ \delta a_2T)$).  On nodes that resolve the Gaussian the start is right to
spectral accuracy.  A last correction e that is small enough is applied as the factor $1+e_0+e_1c+e_2c^2$ instead of another
round of exponentials: its error is $e^2/2$, below round-off.

The exponentials run in vector instructions: $e^y = 2^n e^r$, $n$ the integer nearest to $y/\ln2$, $|r|\le\ln2/2$, a Taylor
polynomial of degree 12 for $e^r$ (remainder 2e-16) and the exponent bits set directly.

References: Mieussens (2000), J. Comput. Phys. 162, 429, DOI 10.1006/jcph.2000.6548 (existence, Newton); Cody, Waite (1980),
Software Manual for the Elementary Functions, chapter 6 (range reduction in two parts).
"""

import math

import numpy as np

from solvers.compile import njit, prange

NEWTON_STEPS = 30
LINEAR = 1e-8  # residual below which the last correction is applied as a polynomial factor

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


@njit(cache=True, fastmath={"contract"})
def gaussian(a0, a1, a2, u, v, out, bits, power):
    """out = exp(a0 + a1 c + a2 c^2) into a row; `power` is `bits` seen as float64."""
    for k in range(v.size):
        c = v[k] - u
        y = max(a0 + c * (a1 + c * a2), -700.0)  # smaller values have no exponent bits
        n = np.floor(y * LOG2_E + 0.5)
        bits[k] = (np.int64(n) + 1023) << 52
        out[k] = exp_reduced((y - n * LN2_HIGH) - n * LN2_LOW)
    for k in range(v.size):
        out[k] *= power[k]


@njit(cache=True, fastmath={"contract", "reassoc", "nsz"})
def gaussian_moments(m, u, v, w):
    """Sums of w c^j m over a row, j = 0..4."""
    s0 = s1 = s2 = s3 = s4 = 0.0
    for k in range(v.size):
        c = v[k] - u
        p = w[k] * m[k]
        s0 += p
        s1 += p * c
        s2 += p * (c * c)
        s3 += p * (c * c * c)
        s4 += p * (c * c * (c * c))
    return s0, s1, s2, s3, s4


@njit(cache=True, fastmath={"contract"})
def factor(m, e0, e1, e2, u, v):
    """m <- m (1 + e0 + e1 c + e2 c^2)."""
    for k in range(v.size):
        c = v[k] - u
        m[k] *= (1.0 + e0) + c * (e1 + c * e2)


@njit(cache=True)
def equilibrium_row(rho, u, T, v, w, out, bits, power, memory):
    """Discrete equilibrium with the moments (rho, u, T) into `out`; False if Newton does not reach round-off."""
    root = np.sqrt(T)
    plain = np.log(rho / (np.sqrt(2.0 * np.pi) * root))
    a0 = plain + memory[0]
    a1, a2 = memory[1] / root, (memory[2] - 0.5) / T
    best = 1e300
    for _ in range(NEWTON_STEPS):
        gaussian(a0, a1, a2, u, v, out, bits, power)
        s0, s1, s2, s3, s4 = gaussian_moments(out, u, v, w)
        r0, r1, r2 = rho - s0, -s1, rho * T - s2
        size = abs(r0) / rho + abs(r1) / (rho * root) + abs(r2) / (rho * T)
        # Newton: the Jacobian is the matrix of moments s0..s4
        d = s0 * (s2 * s4 - s3 * s3) - s1 * (s1 * s4 - s2 * s3) + s2 * (s1 * s3 - s2 * s2)
        if not (d > 0.0 and size < 1e300):
            break
        e0 = (r0 * (s2 * s4 - s3 * s3) - s1 * (r1 * s4 - s3 * r2) + s2 * (r1 * s3 - s2 * r2)) / d
        e1 = (s0 * (r1 * s4 - r2 * s3) - r0 * (s1 * s4 - s2 * s3) + s2 * (s1 * r2 - s2 * r1)) / d
        e2 = (s0 * (s2 * r2 - s3 * r1) - s1 * (s1 * r2 - s2 * r1) + r0 * (s1 * s3 - s2 * s2)) / d
        a0, a1, a2 = a0 + e0, a1 + e1, a2 + e2
        # a residual that no longer falls is round-off (nodes that hardly resolve the Gaussian)
        if size < LINEAR or (size < 1e-6 and size >= 0.5 * best):
            factor(out, e0, e1, e2, u, v)
            memory[0] = a0 - plain
            memory[1] = a1 * root
            memory[2] = a2 * T + 0.5
            return True
        best = size
    memory[:] = 0.0
    return False


@njit(cache=True)
def equilibrium(rho, u, T, v, w, out):
    """Discrete equilibrium with the moments (rho, u, T) into `out`, shape of v; False if there is none."""
    bits = np.empty(v.size, np.int64)
    return equilibrium_row(rho, u, T, v, w, out, bits, bits.view(np.float64), np.zeros(3))


@njit(cache=True, parallel=True)
def equilibria(rho, u, T, v, w, out):
    """Rows of discrete equilibria into out (component, x, v), the second one with factor 2 T; 1 where there is none."""
    failures = np.zeros(rho.size, np.int64)
    for i in prange(rho.size):
        if not (rho[i] > 0.0 and T[i] > 0.0) or not equilibrium(rho[i], u[i], T[i], v, w, out[0, i]):
            failures[i] = 1
        elif out.shape[0] == 2:
            for k in range(v.size):
                out[1, i, k] = 2.0 * T[i] * out[0, i, k]
    return failures
