"""Arrays that are dear to make, kept for the next process beside the compiled kernels."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from solvers.compile import source_hash

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
        _write(path, found)
    return found


def _write(path: Path, array: Array) -> None:
    """Atomically; then the oldest of the same name go."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, array, allow_pickle=False)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        others = path.parent.glob(f"{path.stem.split('-')[0]}-*.npy")
        for old in sorted(others, key=lambda file: file.stat().st_mtime, reverse=True)[KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:
        return
