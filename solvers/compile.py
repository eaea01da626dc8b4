"""Where compiled kernels are kept: a folder that changes with the sources.

numba's on-disk cache looks only at the file of a jitted function, so it keeps returning old numbers when a helper in
another file changes.  The cache folder is therefore keyed by a hash of every source of this package.  Import `njit` and
`prange` from here, never from numba.
"""

import hashlib
import os
import tempfile
from pathlib import Path


def source_hash(folder: Path) -> str:
    """Hash of every Python file below `folder`, names and contents."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """A user's cache folder for the present sources; a temporary one where the home folder cannot be written."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = home / "kinetic-ap" / source_hash(Path(__file__).resolve().parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"kinetic-ap-{source_hash(Path(__file__).resolve().parent)}"
    return folder


os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")

from numba import njit, prange  # noqa: E402  the cache folder must be known before numba is imported

__all__ = ["njit", "prange"]
