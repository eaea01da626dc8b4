"""Arrays that are dear to make, kept for the next process beside the compiled kernels."""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from solvers.compile import source_hash
from solvers.problem.result import atomic_write
from solvers.problem.status import KineticError

#: the newest that are kept
KEPT = 6

Array = NDArray[np.float64]


def stored(name: str, key: object, make: Callable[[], Array]) -> Array:
    """`make()`, or what an earlier process made for the same key with the same sources, to the bit.

    A plain .npy without pickles, written whole or not at all; where nothing can be written, the array is made.
    """
    # the folder of the kernels is named by the sources of the solvers
    folder, version = Path(os.environ["NUMBA_CACHE_DIR"]), (np.__version__, scipy.__version__)
    words = repr((key, version, source_hash(Path(__file__).parent)))
    path = folder / f"{name}-{hashlib.sha256(words.encode()).hexdigest()[:16]}.npy"
    try:
        found: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        found = make()
        content = io.BytesIO()
        np.save(content, found, allow_pickle=False)
        with contextlib.suppress(KineticError, OSError):
            atomic_write(path, content.getvalue())
            others = folder.glob(f"{name}-*.npy")
            for old in sorted(others, key=lambda file: file.stat().st_mtime, reverse=True)[KEPT:]:
                old.unlink(missing_ok=True)
    return found
