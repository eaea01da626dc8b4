r"""The Gramian Q = J J^T and the combination w J, accurate at the price of bandwidth.

A float32 product J @ J.T over P = 1e6 columns loses up to 4e-4 of a cosine, and hides every angle to pi below 0.03.
Here J is cut into blocks of c columns (a view, no copy), whose P/c small Gramians are summed in float64:

    Q_ij = sum_b [ sum_{k in block b} J_ik J_jk ]_float32,   error of a cosine about 1e-8.

On a GPU, with more than TWO CPU threads, and below LARGE numbers all blocks are one `bmm`. Otherwise numpy multiplies them, on
one thread or, from SHARED numbers on, half of the columns on each of two: OpenBLAS, unlike a `bmm`, takes a product as small as
4 x 1000 x m without rearranging its factors first. Q is symmetric: bands of 4 rows are multiplied with themselves and the rows
after them only, CACHED numbers of J at a time, so that every band but the first reads them from the cache (8 rows of 1e6 columns:
1.5 ms, 3.7 ms by `bmm`, 8.6 ms for J @ J.T, one core; 16 rows: 7.2 ms, 4.8 ms on two).

`accurate=True` converts CONVERTED numbers at a time to float64 before the product: full double precision for float32 gradients
(8 rows of 1e6 columns: 6.4 ms), to the last bit what the same numbers in float64 give.
The combination has the same cancellation when gradients nearly oppose each other; `combine(accurate=True)` works in
float64, chunk by chunk, so that no second m x P matrix ever exists.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .arrays import Array

BLOCK = 1024
CHUNK = 1 << 15
LARGE = 1 << 16
SHARED = 3_000_000
CACHED = 1 << 20
CONVERTED = 1 << 16
TWO = 2
#: columns whose products are summed in single precision; longer ones lose digits of a cosine (4e-8 here, 6e-5 over 1e6)
PIECE = 8192


def gramian(J: Tensor, accurate: bool = False) -> Tensor:
    """Q = J J^T of shape (m, m) in float64, on the device of J."""
    J = J.detach()
    m, size = J.shape
    single = J.dtype == torch.float32 and not accurate and size > BLOCK
    if J.numel() >= LARGE and size > BLOCK and _numpy_multiplies(J):
        return torch.from_numpy(_shared(J.numpy(), np.float32 if single else np.float64))
    if not single:  # half precision too: its products overflow
        Q = torch.zeros(m, m, dtype=torch.float64, device=J.device)
        for start in range(0, size, CHUNK):
            part = J[:, start : start + CHUNK].to(torch.float64)
            Q.addmm_(part, part.T)
        return Q
    block = _block(size)
    whole = size // block * block
    body, tail = J[:, :whole].reshape(m, -1, block).transpose(0, 1), J[:, whole:]
    return torch.bmm(body, body.transpose(1, 2)).sum(0, dtype=torch.float64) + tail @ tail.T


def _numpy_multiplies(J: Tensor) -> bool:
    return J.is_cpu and torch.get_num_threads() <= TWO and J.dtype in (torch.float32, torch.float64)


@cache
def _block(size: int) -> int:
    """Columns in a block: none are left over where that can be."""
    return next((b for b in range(BLOCK, 3 * BLOCK // 4, -1) if size % b == 0), BLOCK)


def _shared(J: NDArray[Any], dtype: Any) -> Array:
    """`_banded` by as many threads as torch has; a thread of its own outlives no call, so that processes can fork."""
    if torch.get_num_threads() < TWO or J.size < SHARED:
        return _banded(J, dtype)
    half = J.shape[1] // 2 // BLOCK * BLOCK
    with ThreadPoolExecutor(1) as other:
        first = other.submit(_banded, J[:, :half], dtype)
        second = _banded(J[:, half:], dtype)
        return first.result() + second


def _banded(J: NDArray[Any], dtype: Any) -> Array:
    """The upper half of Q band by band, products of blocks in `dtype`, then its mirror image."""
    m, size = J.shape
    block = _block(size)
    whole = size // block * block
    band = min(4, (m + 1) // 2) if m <= 32 else 8
    step = max(8, (CACHED if dtype is np.float32 else CONVERTED) // (m * block)) * block
    with np.errstate(all="ignore"):  # what is not finite is reported by name later
        tail = J[:, whole:].astype(dtype)
        Q: Array = (tail @ tail.T).astype(np.float64)
        for start in range(0, whole, step):
            part = J[:, start : min(start + step, whole)].astype(dtype, copy=False).reshape(m, -1, block)
            left, right = part.transpose(1, 0, 2), part.transpose(1, 2, 0)
            if m <= 2:  # inner products, which need no matrix
                for row in range(m):
                    Q[row, row:] += np.vecdot(part[row], part[row:]).sum(1, dtype=np.float64)
                continue
            for row in range(0, m, band):
                # the last band begins a column early: of a matrix by its own transpose numpy makes a `syrk`, slow when small
                first = row if row + band < m else max(row - 1, 0)
                products = left[:, row : row + band] @ right[:, :, first:]
                Q[row : row + band, first:] += products.sum(0, dtype=np.float64)
    np.copyto(Q, Q.T, where=np.tri(m, k=-1, dtype=bool))
    return Q


def gramian_row(J: Tensor, row: int) -> Tensor:
    """J g_row of shape (m,) in float64, by products over PIECE columns: as accurate as the blocked Gramian, and less work."""
    J = J.detach()
    if J.dtype != torch.float32:
        J = J.to(torch.float64)
        return J @ J[row]
    pieces = zip(torch.split(J, PIECE, 1), torch.split(J[row], PIECE), strict=True)
    return torch.stack([torch.mv(part, g) for part, g in pieces]).sum(0, dtype=torch.float64)


def combine(weights: Tensor, J: Tensor, accurate: bool = False) -> Tensor:
    """sum_i w_i g_i of shape (P,), in the type of J; `accurate` sums in float64 and rounds once."""
    if (not accurate or J.dtype == torch.float64) and _numpy_multiplies(J):
        rows = J.numpy(force=True)
        return torch.from_numpy(np.dot(weights.numpy(force=True).astype(rows.dtype), rows))
    J, weights = J.detach(), weights.detach()
    if not accurate or J.dtype == torch.float64:
        return weights.to(J.device, J.dtype) @ J
    weights = weights.to(J.device, torch.float64)
    update = torch.empty(J.shape[1], dtype=J.dtype, device=J.device)
    for start in range(0, J.shape[1], CHUNK):
        update[start : start + CHUNK] = weights @ J[:, start : start + CHUNK].to(torch.float64)
    return update
