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
    c = v - u[..., None]
    T = (c**2 * f) @ weights / rho
    q = 0.5 * ((c**3 * f) @ weights)
    return rho, u, T, q
