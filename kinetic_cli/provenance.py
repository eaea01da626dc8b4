"""What a result must carry to be reproduced: versions, git revision, machine, start, command."""

import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .cases import command_line

PACKAGES = ("kinetic-ap", "numpy", "scipy", "numba", "torch", "h5py")


def versions() -> dict[str, str]:
    """Versions of this program, of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_revision() -> str:
    """Revision of the source this program runs from, with -dirty if it was changed; empty for an installed wheel."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return ""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def provenance() -> dict[str, str]:
    """Attributes of a result that say where it comes from."""
    return {
        "versions": " ".join(f"{name}={number}" for name, number in versions().items()),
        "git_revision": git_revision(),
        "machine": f"{platform.system()} {platform.machine()}",
        "start": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
    }


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
