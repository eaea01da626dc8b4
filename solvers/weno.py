r"""Fifth-order WENO value at a face, written once for numbers and arrays.

$$ f_{i+1/2} = \sum_r \omega_r\,p_r, \qquad \omega_r \propto \frac{d_r}{(10^{-6}+\beta_r)^2}, \quad d = (0.1, 0.6, 0.3), $$

p_r the three quadratic reconstructions and beta_r their smoothness.  Where the data are far below 1e-3 the weights are the
linear ones.  Reference: Jiang, Shu (1996), J. Comput. Phys. 126, 202, (2.9)-(2.17), DOI 10.1006/jcph.1996.0130.
"""

from typing import Any


def weno5(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """Value at the face between c and d from five upwind values a..e, numbers or arrays of one shape."""
    p0 = (2.0 * a - 7.0 * b + 11.0 * c) / 6.0
    p1 = (-b + 5.0 * c + 2.0 * d) / 6.0
    p2 = (2.0 * c + 5.0 * d - e) / 6.0
    s0 = 13.0 / 12.0 * (a - 2.0 * b + c) ** 2 + 0.25 * (a - 4.0 * b + 3.0 * c) ** 2
    s1 = 13.0 / 12.0 * (b - 2.0 * c + d) ** 2 + 0.25 * (b - d) ** 2
    s2 = 13.0 / 12.0 * (c - 2.0 * d + e) ** 2 + 0.25 * (3.0 * c - 4.0 * d + e) ** 2
    w0 = 0.1 / (1e-6 + s0) ** 2
    w1 = 0.6 / (1e-6 + s1) ** 2
    w2 = 0.3 / (1e-6 + s2) ** 2
    return (w0 * p0 + w1 * p1 + w2 * p2) / (w0 + w1 + w2)
