"""What this machine can do, measured in the run that needs it: copy bandwidth and rate of fused multiply-adds, by threads.

Every probe returns the best of REPEATS turns, each of about a tenth of a second, so that other work on the machine is met by as
few of them as possible.  Compilation is excluded.
"""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from solvers.compile import njit, prange, set_num_threads

REPEATS = 7
ROW = 256  # doubles that stay in the first cache
DEGREE = 24


@njit(cache=True, parallel=True)
def copy(a, b):
    for i in prange(a.shape[0]):
        for k in range(a.shape[1]):
            b[i, k] = a[i, k]


@njit(cache=True, parallel=True, fastmath=True)
def horner(x, y, turns):
    """Two polynomials of DEGREE per element, in registers."""
    for i in prange(x.shape[0]):
        for _ in range(turns):
            for k in range(x.shape[1]):
                z = x[i, k]
                p = q = z
                for _j in range(DEGREE):
                    p = p * z + 0.25
                    q = q * z + 0.75
                y[i, k] = p + q


def best(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least wall seconds of `call`."""
    call()
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return min(found)


def copy_bandwidth(size: int, threads: int = 1) -> float:
    """Bytes read and written per second when `size` bytes, half of them source, are copied."""
    set_num_threads(threads)
    a = np.ones((64, max(size // (2 * 8 * 64), 1)))
    b = np.zeros_like(a)
    turns = max(int(4e8 / size), 1)

    def call() -> None:
        for _ in range(turns):
            copy(a, b)

    return 2.0 * a.nbytes * turns / best(call)


def flop_rate(threads: int = 1) -> float:
    """Multiplications and additions per second, fused, of doubles in the first cache."""
    set_num_threads(threads)
    x = np.full((2 * threads, ROW), 0.5)
    y = np.zeros_like(x)
    turns = 4000
    return 4.0 * DEGREE * x.size * turns / best(lambda: horner(x, y, turns))


def describe() -> dict[str, object]:
    """Processor, cores and how busy they are with other work."""
    busy = os.getloadavg()[0]
    return {"machine": platform.machine(), "cores": os.cpu_count(), "load_average": busy, "numba": version("numba")}


if __name__ == "__main__":
    print(describe())
    for threads in range(1, (os.cpu_count() or 1) + 1):
        print(f"{threads} threads: {flop_rate(threads):.2e} operations/s, {copy_bandwidth(10**8, threads):.2e} bytes/s")
