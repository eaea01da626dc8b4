r"""The Gramian Q = J J^T and the combination w J, accurate at the price of bandwidth.

A float32 product J @ J.T over P = 1e6 columns loses up to 4e-4 of a cosine, and hides every angle to pi below 0.03.
Here J is cut into blocks of c columns (a view, no copy) that stay in the cache, `bmm` gives the P/c small Gramians, and these
are summed in float64:

    Q_ij = sum_b [ sum_{k in block b} J_ik J_jk ]_float32,   error of a cosine about 1e-8.

Q is symmetric: its rows are taken in bands, each multiplied with itself and the rows after it only. For m <= 12 bands of 4 rows
are the fastest (8 rows of 1e6 columns: 3.9 ms, 4.6 ms in one band, 8.7 ms for J @ J.T, one core), above that bands of 16
and 32, where the product runs at the full rate of the matrix units; short gradients are taken in one band.

`accurate=True` converts the blocks to float64 before the product: full double precision for float32 gradients.
The combination has the same cancellation when gradients nearly oppose each other; `combine(accurate=True)` works in
float64, chunk by chunk, so that no second m x P matrix ever exists.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

BLOCK = 1024
SHORT = 1 << 16
CHUNK = 1 << 15
#: columns whose products are summed in single precision; longer ones lose digits of a cosine (4e-8 here, 6e-5 over 1e6)
PIECE = 8192


def gramian(J: Tensor, accurate: bool = False) -> Tensor:
    """Q = J J^T of shape (m, m) in float64, on the device of J."""
    J = J.detach()
    m, size = J.shape
    if J.dtype == torch.float64 or size <= BLOCK:
        J = J.to(torch.float64)
        return J @ J.T
    if accurate or J.dtype != torch.float32:  # half precision: its products overflow
        Q = torch.zeros(m, m, dtype=torch.float64, device=J.device)
        for start in range(0, size, CHUNK):
            part = J[:, start : start + CHUNK].to(torch.float64)
            Q.addmm_(part, part.T)
        return Q
    block, group = _shape(m, size)
    whole = size // block * block
    body = J[:, :whole].reshape(m, -1, block).transpose(0, 1)
    if m <= group or J.is_cuda:
        Q = torch.bmm(body, body.transpose(1, 2)).sum(0, dtype=torch.float64)
    else:
        Q = torch.empty(m, m, dtype=torch.float64, device=J.device)
        for row in range(0, m, group):
            band = torch.bmm(body[:, row : row + group], body[:, row:].transpose(1, 2)).sum(0, dtype=torch.float64)
            Q[row : row + group, row:] = band
            Q[row:, row : row + group] = band.T
    if whole < size:
        tail = J[:, whole:]
        Q += tail @ tail.T
    return Q


@cache
def _shape(m: int, size: int) -> tuple[int, int]:
    """Columns in a block and rows in a band: what was measured to be the fastest; no columns are left over where that can be."""
    if m > 12:
        block, group = 4 * BLOCK, m if m <= 16 else 16 if m <= 32 else 32
    elif size < SHORT:
        block, group = BLOCK, m
    else:
        block, group = BLOCK if m <= 4 or size < 4 * SHORT else BLOCK // 2, 4
    return next((b for b in range(block, 3 * block // 4, -1) if size % b == 0), block), group


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
    J = J.detach()
    if not accurate or J.dtype == torch.float64:
        return weights.to(J.device, J.dtype) @ J
    weights = weights.to(J.device, torch.float64)
    update = torch.empty(J.shape[1], dtype=J.dtype, device=J.device)
    for start in range(0, J.shape[1], CHUNK):
        update[start : start + CHUNK] = weights @ J[:, start : start + CHUNK].to(torch.float64)
    return update
