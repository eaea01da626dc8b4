r"""Moments of a distribution on velocity nodes, written once for every array library.

$$ \rho = \langle f\rangle,\quad \rho u = \langle vf\rangle,\quad \rho T = \langle (v-u)^2 f\rangle,\quad
   q = \tfrac12\langle (v-u)^3 f\rangle, \qquad \langle h\rangle = \sum_k w_k h(v_k) . $$

`f @ weights` is the only array operation, so numpy and torch share the text.  problems.md section 2.
"""

from typing import Any


def moments(f: Any, v: Any, weights: Any) -> tuple[Any, Any, Any, Any]:
    """(rho, u, T, q) of f, shape (..., v), on nodes `v` with `weights`, shapes (v,); dimensionless."""
    rho = f @ weights
    u = f @ (weights * v) / rho
    second = f @ (weights * v**2) / rho
    third = f @ (weights * v**3) / rho
    T = second - u**2
    q = 0.5 * rho * (third - 3.0 * u * second + 2.0 * u**3)
    return rho, u, T, q
