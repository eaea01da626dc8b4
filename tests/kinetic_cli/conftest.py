"""The command as a user calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words, cwd, expect=0, before=""):
    """Run the command, after the Python statements `before`; stdout and stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", f"{before}from kinetic_cli.app import main; main()", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="session")
def kinetic():
    """`kinetic(*words, cwd=..., expect=0)`: run the command; stdout and stderr."""
    return run
