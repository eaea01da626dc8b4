"""What this machine can do, measured in the run that needs it: copy bandwidth, fused multiply-adds, divisions, by threads.

Every probe returns the best of REPEATS turns, in CPU time with one thread and in wall time with more, so that other work on the
machine matters as little as it can.  Compilation is excluded.
"""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from solvers.compile import njit, prange, set_num_threads

REPEATS = 20
ROW = 256  # doubles that stay in the first cache
DEGREE = 24


@njit(cache=True, parallel=True)
def copy(a, b):
    for i in prange(a.shape[0]):
        for k in range(a.shape[1]):
            b[i, k] = a[i, k]


@njit(cache=True, parallel=True, fastmath={"contract"})
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
                y[i, k] = p * q  # their sum could be had from one polynomial


@njit(cache=True, parallel=True, error_model="numpy")
def reciprocals(x, y, turns):
    for i in prange(x.shape[0]):
        for turn in range(turns):
            for k in range(x.shape[1]):
                y[i, k] = 1.0 / (x[i, k] + turn)


def clock(threads: int) -> Callable[[], float]:
    """CPU time of the process for one thread, wall time for more."""
    return time.process_time if threads == 1 else time.perf_counter


def best(call: Callable[[], object], threads: int) -> float:
    """Least seconds of `call`."""
    set_num_threads(threads)
    call()
    now, found = clock(threads), []
    for _ in range(REPEATS):
        begin = now()
        call()
        found.append(now() - begin)
    return min(found)


def copy_bandwidth(size: int, threads: int = 1) -> float:
    """Bytes read and written per second when `size` bytes, half of them source, are copied."""
    a = np.ones((64, max(size // (2 * 8 * 64), 1)))
    b = np.zeros_like(a)
    turns = max(int(1e8 / size), 1)

    def call() -> None:
        for _ in range(turns):
            copy(a, b)

    return 2.0 * a.nbytes * turns / best(call, threads)


def flop_rate(threads: int = 1) -> float:
    """Multiplications and additions per second, fused, of doubles in the first cache."""
    x = np.full((2 * threads, ROW), 0.5)
    y = np.zeros_like(x)
    turns = 1000
    return 4.0 * DEGREE * x.size * turns / best(lambda: horner(x, y, turns), threads)


def division_rate(threads: int = 1) -> float:
    """Divisions per second of doubles in the first cache."""
    x = np.full((2 * threads, ROW), 0.5)
    y = np.zeros_like(x)
    turns = 4000
    return x.size * turns / best(lambda: reciprocals(x, y, turns), threads)


def describe() -> dict[str, object]:
    """Processor, cores and how busy they are with other work."""
    busy = os.getloadavg()[0]
    return {"machine": platform.machine(), "cores": os.cpu_count(), "load_average": busy, "numba": version("numba")}


if __name__ == "__main__":
    print(describe())
    for threads in range(1, (os.cpu_count() or 1) + 1):
        rates = flop_rate(threads), division_rate(threads), copy_bandwidth(10**8, threads)
        print("{} threads: {:.2e} operations/s, {:.2e} divisions/s, {:.2e} bytes/s".format(threads, *rates))
