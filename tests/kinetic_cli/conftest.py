"""The command as a user calls it: a process that has loaded the libraries is forked for every call, seconds sooner."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

import pytest

ROOT = Path(__file__).parents[2]
#: a call per line of standard input, a line with its exit code for each; the call sees no more of the server than its imports
SERVER = """
import json, os, signal, sys
import h5py, matplotlib.figure, numba, scipy.interpolate, scipy.sparse.linalg, torch
import apnn.train, hrgrad, kinetic_cli.app

for line in sys.stdin:
    call = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    signal.alarm(280)
    for target, source in enumerate((os.open(os.devnull, os.O_RDONLY), *call["files"])):
        os.dup2(source, target)
    os.chdir(call["cwd"])
    sys.argv = ["kinetic", *call["words"]]
    exec(call["before"])
    kinetic_cli.app.main()
    break
"""


@pytest.fixture(scope="session")
def kinetic():
    """`kinetic(*words, cwd=..., expect=0, before="")`: run the command, after the Python statements `before`; its output."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        files = [out.fileno(), err.fileno()]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER], env=environment, pass_fds=files, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

        def run(*words, cwd, expect=0, before=""):
            call = {"words": [*map(str, words)], "cwd": str(cwd), "before": before, "files": files}
            for file in (out, err):
                file.seek(0)
                file.truncate()
            server.stdin.write(json.dumps(call) + "\n")
            code = int(server.stdout.readline())
            answers = []
            for file in (out, err):
                file.seek(0)
                answers.append(file.read())
            assert code == expect, "".join(answers)
            assert "Traceback" not in answers[1]
            return tuple(answers)

        with server:
            yield run
            server.stdin.close()
