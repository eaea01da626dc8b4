r"""Fifth-order WENO-Z value at a face, written once for numbers and arrays.

$$ f_{i+1/2} = \frac{\sum_r \alpha_r p_r}{\sum_r \alpha_r}, \qquad
   \alpha_r = d_r\Big(1+\frac{\tau^2}{(\beta_r+10^{-14})^2}\Big), \quad \tau = |\beta_0-\beta_2|, \quad d = (0.1, 0.6, 0.3), $$

p_r the three quadratic reconstructions and beta_r their smoothness, all from the four differences of neighbours: equal values
are returned to the last bit.  The weights are multiplied by all denominators, which leaves one division.  Fifth order also at
extrema where only the first derivative vanishes; for data far below 1e-7 the weights are the linear ones.

References: Jiang, Shu (1996), J. Comput. Phys. 126, 202, (2.9)-(2.17), DOI 10.1006/jcph.1996.0130; Borges, Carmona, Costa, Don
(2008), J. Comput. Phys. 227, 3191, (25)-(28), DOI 10.1016/j.jcp.2007.11.038.
"""

from typing import Any

SMALL = 1e-14


def weno5(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """Value at the face between c and d from five upwind values a..e, numbers or arrays of one shape."""
    d1, d2, d3, d4 = b - a, c - b, d - c, e - d
    curve0, curve1, curve2 = d2 - d1, d3 - d2, d4 - d3
    slope0, slope1, slope2 = 2.0 * d2 + curve0, d2 + d3, 2.0 * d3 - curve2
    # four times the smoothness: the weights do not see the factor
    s0 = 13.0 / 3.0 * curve0 * curve0 + (slope0 * slope0 + 4.0 * SMALL)
    s1 = 13.0 / 3.0 * curve1 * curve1 + (slope1 * slope1 + 4.0 * SMALL)
    s2 = 13.0 / 3.0 * curve2 * curve2 + (slope2 * slope2 + 4.0 * SMALL)
    tau = (s0 - s2) * (s0 - s2)
    s0, s1, s2 = s0 * s0, s1 * s1, s2 * s2
    w0 = (s0 + tau) * (s1 * s2)
    w1 = 6.0 * (s1 + tau) * (s0 * s2)
    w2 = 3.0 * (s2 + tau) * (s0 * s1)
    # six times the quadratic reconstructions, less c
    q0, q1, q2 = 3.0 * d2 + 2.0 * curve0, d2 + 2.0 * d3, 3.0 * d3 - curve2
    return c + (w0 * q0 + w1 * q1 + w2 * q2) / (6.0 * (w0 + w1 + w2))
