"""Where compiled kernels are kept: a folder that changes with the sources.

numba's on-disk cache looks only at the file of a jitted function, so it keeps returning old numbers when a helper in
another file changes.  The cache folder is therefore keyed by a hash of every source of this package.  Import `njit`,
`prange`, `get_num_threads` and `set_num_threads` from here, never from numba.
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
    """The folder for the present sources below NUMBA_CACHE_DIR or the user's cache.

    Where that cannot be written, a private folder of this process: the cache holds pickles, so it is never one that others
    could have filled.
    """
    home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    base = Path(home)
    if base.parent.name == "kinetic-ap":  # inherited from a process of ours
        base = base.parent.parent
    folder = base / "kinetic-ap" / source_hash(Path(__file__).resolve().parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="kinetic-ap-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="kinetic-ap-"))


os.environ["NUMBA_CACHE_DIR"] = str(cache_folder())
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")

from numba import get_num_threads, njit, prange, set_num_threads  # noqa: E402  the cache folder must be known before numba is imported

__all__ = ["get_num_threads", "njit", "prange", "set_num_threads"]
