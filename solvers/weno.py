r"""Fifth-order WENO-Z value at a face, written once for numbers and arrays.

$$ f_{i+1/2} = \frac{\sum_r \alpha_r p_r}{\sum_r \alpha_r}, \qquad
   \alpha_r = d_r\Big(1+\frac{\tau^2}{(\beta_r+10^{-14})^2}\Big), \quad \tau = |\beta_0-\beta_2|, \quad d = (0.1, 0.6, 0.3), $$

p_r the three quadratic reconstructions and beta_r their smoothness.  The weights are multiplied by all denominators, which
leaves one division.  Fifth order also at extrema where only the first derivative vanishes; for data far below 1e-7 the
weights are the linear ones.  References: Jiang, Shu (1996), J. Comput. Phys. 126, 202, (2.9)-(2.17), DOI
10.1006/jcph.1996.0130; Borges, Carmona, Costa, Don (2008), J. Comput. Phys. 227, 3191, (25)-(28), DOI
10.1016/j.jcp.2007.11.038.
"""

from typing import Any

SMALL = 1e-14


def weno5(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """Value at the face between c and d from five upwind values a..e, numbers or arrays of one shape."""
    # six times the quadratic reconstructions
    p0 = 2.0 * a - 7.0 * b + 11.0 * c
    p1 = 5.0 * c - b + 2.0 * d
    p2 = 2.0 * c + 5.0 * d - e
    curve0, slope0 = a - 2.0 * b + c, a - 4.0 * b + 3.0 * c
    curve1, slope1 = b - 2.0 * c + d, b - d
    curve2, slope2 = c - 2.0 * d + e, 3.0 * c - 4.0 * d + e
    s0 = 13.0 / 12.0 * curve0 * curve0 + 0.25 * slope0 * slope0 + SMALL
    s1 = 13.0 / 12.0 * curve1 * curve1 + 0.25 * slope1 * slope1 + SMALL
    s2 = 13.0 / 12.0 * curve2 * curve2 + 0.25 * slope2 * slope2 + SMALL
    tau = (s0 - s2) * (s0 - s2)
    s0, s1, s2 = s0 * s0, s1 * s1, s2 * s2
    w0 = (s0 + tau) * (s1 * s2)
    w1 = 6.0 * (s1 + tau) * (s0 * s2)
    w2 = 3.0 * (s2 + tau) * (s0 * s1)
    return (w0 * p0 + w1 * p1 + w2 * p2) / (6.0 * (w0 + w1 + w2))
