"""A training that turned to NaN keeps its last good state and goes on from it with a smaller step."""

from pathlib import Path

import numpy as np

from solvers.problem.result import Result
from solvers.problem.status import Status

CASE = Path(__file__).parents[2] / "cases" / "transport_periodic.toml"
SMALL = ["train.points=8", "train.width=4", "train.velocities=4", "train.diagnose=0", 'train.second_order="none"']
#: losses turn to NaN at the 25th evaluation
BROKEN = """
import apnn.model
losses, calls = apnn.model.Model.losses, []
def broken(self, theta, refresh, weights=None):
    calls.append(1)
    return {name: loss * (float("nan") if len(calls) > 24 else 1.0) for name, loss in losses(self, theta, refresh).items()}
apnn.model.Model.losses = broken
"""


def test_a_diverged_run_is_restarted_from_its_last_good_state(kinetic, tmp_path):
    words = ["train", CASE, "--method", "ls", "--steps", "60", *(w for text in SMALL for w in ("--set", text))]
    _, err = kinetic(*words, cwd=tmp_path, expect=3, before=BROKEN)
    err = " ".join(err.split())
    assert "not finite at step 30: tasks 0 (eps" in err
    assert "last good state, step 20" in err
    assert "--resume --set train.learning_rate=0.0003" in err
    path = tmp_path / "results/transport_periodic/ls-seed0.h5"
    broken = Result.read(path)
    assert broken.status is Status.DIVERGED
    assert np.isfinite(broken.network["theta"]).all()
    kinetic(*words, "--resume", "--set", "train.learning_rate=0.0003", cwd=tmp_path)
    healed = Result.read(path)
    assert healed.status is Status.DONE
    assert healed.history["iteration"] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert np.isfinite(healed.history["loss"]).all()
