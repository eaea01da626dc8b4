"""The kernel cache: keyed by the sources, below the user's own folder, never a shared temporary one."""

import os
import subprocess
import sys
from pathlib import Path

from solvers.compile import source_hash

ROOT = Path(__file__).parents[2]
CODE = "import os, solvers.compile; print(os.environ['NUMBA_CACHE_DIR'])"


def folder_of(**environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def test_a_changed_source_changes_the_folder(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    first = source_hash(tmp_path)
    (tmp_path / "a.py").write_text("x = 2")
    second = source_hash(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({first, second, source_hash(tmp_path)}) == 3


def test_a_folder_of_the_user_is_keyed_too(tmp_path):
    folder = folder_of(NUMBA_CACHE_DIR=str(tmp_path))
    assert folder == tmp_path / "kinetic-ap" / source_hash(ROOT / "solvers")
    assert folder.is_dir()
    assert folder_of(NUMBA_CACHE_DIR=str(folder)) == folder, "a child of ours shares the folder"


def test_a_folder_that_cannot_be_made_is_replaced_by_a_private_one(tmp_path):
    (tmp_path / "file").write_text("")
    folder = folder_of(NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert "kinetic-ap-" in folder.name
    assert folder.stat().st_mode & 0o077 == 0
