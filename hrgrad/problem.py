r"""One step's gradients as a method sees them: J, or only Q = J J^T, with what follows from it in float64.

    n_i = |g_i|,  a_i = g_i / n_i,  C_ij = a_i . a_j

Everything m-dimensional is float64 on the host (one synchronisation per step on a GPU); J itself is never copied.
On a CPU the blocked Gramian is trusted while the gradients are safely independent; once a Cholesky pivot of C falls below
`PIVOT` (some gradient lies within 0.01 of the span of the others) it is renewed in full double precision, because the
wanted common direction is then the SMALLEST singular direction.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from .arrays import Array
from .gram import combine, gramian

PIVOT = 1e-4
#: a sum this much shorter than its terms is rounded to 6e-5 of itself in single precision, and taken in double below that
CANCELLATION = 1e-3


class Problem:
    """m gradients: give `J` (m, P), or `gramian` (m, m) alone, or only `m` for a method that needs the losses alone.

    `rows` names the tasks whose gradients J holds when only some of m are new (momentum methods with one task per step).
    """

    def __init__(
        self,
        J: Tensor | None = None,
        gramian: Tensor | Array | None = None,
        m: int | None = None,
        rows: tuple[int, ...] | None = None,
    ) -> None:
        if J is not None:
            if not isinstance(J, Tensor) or J.ndim != 2 or J.shape[0] == 0:
                found = tuple(J.shape) if isinstance(J, Tensor) else type(J).__name__
                raise ValueError(f"J must be a tensor of shape (m, P), one row per loss; found {found}")
            if not J.is_floating_point():
                raise TypeError(f"J must be a floating-point tensor, found {J.dtype}")
        given = None if J is None else J.shape[0]
        if gramian is not None:
            shape = tuple(gramian.shape)
            if len(shape) != 2 or shape[0] != shape[1] or (J is not None and shape[0] != given):
                raise ValueError(f"the Gramian must be square with one row per loss, found {shape}")
            given = shape[0]
        if rows is not None:
            known = m is not None and all(isinstance(row, Integral) and 0 <= row < m for row in rows)
            if not known or given != len(rows) or len(set(rows)) != len(rows):
                raise ValueError(f"rows={rows} must name {given} different tasks of m={m}")
        elif m is not None and given is not None and m != given:
            raise ValueError(f"m = {m}, but {given} gradients were given")
        if m is None and given is None:
            raise ValueError("a Problem needs J, a Gramian, or at least m")
        self.J, self.rows = J.detach() if J is not None and J.requires_grad else J, rows
        self.m: int = m if m is not None else int(given or 0)
        self.dtype = torch.float64 if J is None else J.dtype
        self._gramian: Array | None = None
        self._norms: Array | None = None
        self._cosines: Array | None = None
        if gramian is not None:
            Q = gramian.detach().to("cpu", torch.float64).numpy() if isinstance(gramian, Tensor) else gramian
            self._accept(np.asarray(Q, dtype=np.float64))

    @property
    def has_gradients(self) -> bool:
        """Whether the gradients or their Gramian are here, not m alone."""
        return self.J is not None or self._gramian is not None

    def jacobian(self, method: str) -> Tensor:
        """J itself, or an error that says which method wants it."""
        if self.J is None:
            raise ValueError(f"method {method!r} needs the gradients themselves: pass J of shape (m, P)")
        return self.J

    def finite(self, method: str) -> Tensor:
        """J after one check that all of it is finite; for rules that never form the Gramian."""
        J = self.jacobian(method)
        if self._gramian is None and not bool(torch.isfinite(J.sum())) and not bool(torch.isfinite(J).all()):
            self._complain(np.full((self.m, self.m), np.nan))
        return J

    def bring(self, values: Tensor) -> Tensor:
        """A vector, such as the losses, on the host. On a GPU the Gramian comes with it: one transfer per step, not two."""
        values = values.detach()
        if self.J is None or not self.J.is_cuda or self._gramian is not None:
            return values.cpu()
        Q = gramian(self.J, accurate=True).reshape(-1)
        both = torch.cat([Q, values.to(Q)]).cpu()
        self._accept(both[: -len(values)].reshape(self.m, self.m).numpy())
        return both[-len(values) :]

    def _accept(self, Q: Array, final: bool = True) -> None:
        """Take Q over; what is not finite is reported, or left aside where Q can be had more accurately."""
        if not np.isfinite(Q).all():
            if final:
                self._complain(Q)
            return
        norms = np.sqrt(Q.diagonal())
        positive = norms > 0.0
        scale = norms if positive.all() else np.where(positive, norms, 1.0)
        C = Q / scale
        C /= scale[:, None]
        C.reshape(-1)[:: len(Q) + 1] = positive
        self._gramian, self._norms, self._cosines = Q, norms, C

    def _complain(self, Q: Array) -> None:
        if self.J is not None:
            for i in range(self.J.shape[0]):
                if not bool(torch.isfinite(self.J[i]).all()):
                    task = i if self.rows is None else self.rows[i]
                    raise ValueError(f"the gradient of loss {task} is not finite (NaN or infinity)")
        bad = int(np.flatnonzero(~np.isfinite(Q).all(axis=1))[0])
        raise ValueError(
            f"the Gramian is not finite in row {bad}: the gradient of loss {bad} is too large or not finite"
        )

    def _compute(self) -> None:
        if self.J is None:
            raise ValueError("this method needs gradients: the Problem has neither J nor a Gramian")
        single = self.J.dtype != torch.float64 and not self.J.is_cuda
        # on a GPU double precision costs less than asking twice
        self._accept(gramian(self.J, accurate=self.J.is_cuda).cpu().numpy(), final=not single)
        if single and self._doubtful():
            self._accept(gramian(self.J, accurate=True).cpu().numpy())

    def _doubtful(self) -> bool:
        """Whether single-precision blocks may have lost what matters: squares out of its range, or near dependence."""
        C = self._cosines
        if C is None or self._norms is None or self._norms.min() < 1e-12:
            return True
        if len(C) <= 2:
            return len(C) == 2 and 1.0 - float(C[0, 1]) ** 2 < PIVOT
        try:
            return float(np.linalg.cholesky(C).diagonal().min()) ** 2 < PIVOT
        except np.linalg.LinAlgError:
            return True

    @property
    def gramian(self) -> Array:
        """Q = J J^T, float64."""
        if self._gramian is None:
            self._compute()
        assert self._gramian is not None
        return self._gramian

    @property
    def norms(self) -> Array:
        """n_i = |g_i|."""
        if self._norms is None:
            self._compute()
        assert self._norms is not None
        return self._norms

    @property
    def cosines(self) -> Array:
        """C_ij = a_i . a_j with an exact unit diagonal; zero rows and columns for zero gradients."""
        if self._cosines is None:
            self._compute()
        assert self._cosines is not None
        return self._cosines

    def combine(self, weights: Tensor) -> Tensor:
        """sum_i w_i g_i; in float64 where the sum cancels more than a factor 1 / CANCELLATION."""
        J = self.jacobian("combine")
        if J.is_cuda and weights.device.type == "cpu":  # from pinned memory, so that the host does not wait
            moved = weights.to(torch.float64).pin_memory().to(J.device, non_blocking=True)
        else:
            moved = weights
        if J.dtype == torch.float64 or self._gramian is None:
            return combine(moved, J)
        w = weights.detach().to("cpu", torch.float64).numpy()
        most = CANCELLATION * float(np.abs(w) @ self.norms)
        return combine(moved, J, accurate=float(w @ self._gramian @ w) < most * most)
