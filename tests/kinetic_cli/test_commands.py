"""The commands as a user calls them: outputs, exit codes, messages, kill and resume."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from solvers.problem.read import read_case
from solvers.problem.result import Result

ROOT = Path(__file__).parents[2]
CASES = ROOT / "cases"
SMALL = ["--set", "knudsen.evaluate=[1e-1, 1e-3]", "--set", "knudsen.unseen=[]", "--set", "reference.cells=32"]
SMALL += ["--set", "velocity.nodes=48"]
QUICK = ["--set", "train.points=16", "--set", "train.tasks=4", "--set", "train.width=8", "--set", "train.velocities=16"]


@pytest.fixture(scope="module")
def folder(kinetic, tmp_path_factory):
    """A folder with a small reference and two short trainings of one case."""
    cwd = tmp_path_factory.mktemp("results")
    out, err = kinetic("reference", CASES / "bgk_smooth.toml", "--set", "reference.scheme=imex", *SMALL, cwd=cwd)
    assert "results/bgk_smooth/reference.h5" in out
    assert "scheme imex" in err
    for method in ("ls", "hrgrad"):
        budget = ["--steps", "20", "--set", "train.second_steps=20", "--method", method]
        out, _ = kinetic("train", CASES / "bgk_smooth.toml", *SMALL, *QUICK, *budget, cwd=cwd)
        assert f"results/bgk_smooth/{method}-seed0.h5" in out
    return cwd


def test_compare_json(kinetic, folder):
    out, _ = kinetic("compare", "--json", "--no-figures", cwd=folder)
    found = json.loads(out)
    rows = [
        row for row in found["errors"] if row["run"] == "hrgrad-seed0" and row["field"] == "rho" and row["t"] is None
    ]
    assert {row["eps"] for row in rows} == {0.1, 0.001}
    reference = Result.read(folder / "results/bgk_smooth/reference.h5")
    trained = Result.read(folder / "results/bgk_smooth/hrgrad-seed0.h5")
    i = list(reference.coordinates["eps"]).index(0.001)
    a, b = trained.fields["rho"][i], reference.fields["rho"][i]
    mine = next(row["relative_l2"] for row in rows if row["eps"] == 0.001)
    assert mine == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(b), rel=1e-12)
    assert set(found["ranks"]["mean_rank"]) == {"ls", "hrgrad"}
    assert {"errors", "ranks", "cost"} <= set(found)
    with h5py.File(folder / "results/bgk_smooth/hrgrad-seed0.h5") as file:
        assert mine in file["errors/relative_l2"][...]


def test_compare_tables_figures_and_csv(kinetic, folder):
    out, _ = kinetic("compare", cwd=folder)
    assert "hrgrad-seed0, relative L2 error" in out
    for name in ("profiles-rho.png", "profiles-rho.pdf", "errors.png", "history.pdf"):
        path = folder / "results/bgk_smooth/figures" / name
        assert f"results/bgk_smooth/figures/{name}" in out
        assert path.stat().st_size > 5000
    out, _ = kinetic("compare", "--csv", "--no-figures", cwd=folder)
    assert out.splitlines()[0].startswith("case,run,method,seed,eps,seen,t,field,relative_l2")


def test_a_result_is_compared_with_the_reference_beside_it(kinetic, folder):
    out, _ = kinetic("compare", "results/bgk_smooth/hrgrad-seed0.h5", "--json", "--no-figures", cwd=folder)
    assert {row["run"] for row in json.loads(out)["errors"]} == {"hrgrad-seed0"}


def test_compare_names_what_it_skips(kinetic, folder, tmp_path):
    good = folder / "results/bgk_smooth"
    (tmp_path / "bad.h5").write_bytes((good / "reference.h5").read_bytes()[:3000])
    out, err = kinetic("compare", good, tmp_path, "--json", "--no-figures", cwd=folder)
    assert "bad.h5: not a readable HDF5 file" in err
    assert json.loads(out)["errors"]
    kinetic("compare", tmp_path, cwd=folder, expect=2)
    _, err = kinetic("compare", "nothing", cwd=folder, expect=2)
    assert "no such file or folder" in err


def test_compare_names_each_result_that_does_not_fit(kinetic, folder, tmp_path):
    """Another problem, NaN in a field, no field in common, other budgets: named, and the good ones still compared."""
    source = folder / "results/bgk_smooth"
    (tmp_path / "reference.h5").write_bytes((source / "reference.h5").read_bytes())
    good = Result.read(source / "hrgrad-seed0.h5")
    good.write(tmp_path / "good-seed0.h5")

    def changed(run, change):
        other = Result.read(source / "hrgrad-seed0.h5")
        other.run = run
        change(other)
        other.write(tmp_path / f"{run}.h5")

    def other_problem(result):
        result.case = read_case(CASES / "sod.toml", overrides=["knudsen.evaluate=[0.1, 1e-3]", "knudsen.unseen=[]"])

    changed("problem-seed0", other_problem)
    changed("nan-seed0", lambda result: result.fields["u"].__setitem__((0, -1, 3), np.nan))
    changed("bare-seed0", lambda result: setattr(result, "fields", {"colour": result.fields["rho"]}))
    longer = {**good.case.train, "steps": good.case.train["steps"] + 1}
    changed("longer-seed0", lambda result: setattr(result, "case", result.case.model_copy(update={"train": longer})))
    out, err = kinetic("compare", tmp_path, "--json", "--no-figures", cwd=folder)
    assert "problem-seed0.h5: no reference of this case" in err
    assert "nan-seed0.h5: u at eps = 0.1 is not finite" in err
    assert "bare-seed0.h5: has no fields in common" in err
    assert "budgets differ" in err
    rows = json.loads(out)["errors"]
    assert {row["run"] for row in rows} == {"hrgrad-seed0", "nan-seed0", "longer-seed0"}
    assert not [row for row in rows if row["run"] == "nan-seed0" and row["field"] == "u" and row["eps"] == 0.1]


def test_foreign_result_is_compared(kinetic, folder, tmp_path):
    """A file that another program wrote in the documented format, on its own grid."""
    reference = Result.read(folder / "results/bgk_smooth/reference.h5")
    path = folder / "results/bgk_smooth/foreign.h5"
    x = np.linspace(-0.5, 0.5, 301)
    with h5py.File(folder / "results/bgk_smooth/reference.h5") as source, h5py.File(path, "w") as file:
        for key in ("format", "format_version", "case", "status"):
            file.attrs[key] = source.attrs[key]
        file.attrs["kind"], file.attrs["run"] = "train", "foreign"
        for axis, values in (("eps", reference.coordinates["eps"]), ("t", reference.coordinates["t"]), ("x", x)):
            file[axis] = values
            file[axis].make_scale(axis)
        periodic = np.concatenate([reference.coordinates["x"], [reference.coordinates["x"][0] + 1]])
        wrapped = np.where(x < periodic[0], x + 1, x)
        rho = reference.fields["rho"]
        file["rho"] = [[np.interp(wrapped, periodic, np.append(row, row[0])) for row in block] for block in rho]
    out, _ = kinetic("check", path, cwd=folder)
    assert "a valid train result" in out
    out, _ = kinetic("compare", folder / "results/bgk_smooth", "--json", "--no-figures", cwd=folder)
    rows = [r for r in json.loads(out)["errors"] if r["run"] == "foreign"]
    path.unlink()
    assert rows
    assert all(row["relative_l2"] < 5e-3 for row in rows)


def test_predict_anywhere(kinetic, folder):
    trained = "results/bgk_smooth/hrgrad-seed0.h5"
    words = ("predict", trained, "--knudsen", "5e-2,2", "--times", "0.03", "--points", "50", "--out", "fine.h5")
    _, err = kinetic(*words, cwd=folder)
    assert "eps = 2 lies outside the trained range" in err
    found = Result.read(folder / "fine.h5")
    assert found.fields["rho"].shape == (2, 1, 50)
    assert np.isfinite(found.fields["rho"]).all()
    _, err = kinetic("predict", trained, "--knudsen", "1", "--points", 10**11, "--out", "no.h5", cwd=folder, expect=2)
    assert "GiB" in err
    for wrong in (["--knudsen", "a"], ["--knudsen", "-1"], ["--knudsen", "1", "--times", "5"]):
        kinetic("predict", trained, *wrong, "--out", "no.h5", cwd=folder, expect=2)
    kinetic("predict", "results/bgk_smooth/reference.h5", "--knudsen", "1", "--out", "no.h5", cwd=folder, expect=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reference", "nothing.toml"], "no such file"),
        (["reference", "sod", "--set", "reference.scheme=imx"], "did you mean 'imex'"),
        (["reference", "sod", "--set", "reference.cels=3"], "did you mean 'cells'"),
        (["reference", "sod", "--set", "reference.cells=3"], "greater than or equal to 8"),
        (["reference", "sod", "--set", "reference.scheme=fourier_legendre"], "does not solve 'bgk'"),
        (["train", "sod", "--method", "hrgrd"], "did you mean 'hrgrad'"),
        (["train", "sod", "--formulation", "transport_micro_macro"], "does not solve 'bgk'"),
        (["train", "sod", "--optimizer", "ssbroyden"], "needs a closure"),
        (["train", "sod", "--method", "mconfig", "--optimizer", "adam"], "would act twice"),
        (["train", "sod", "--set", "train.step=3"], "did you mean 'steps'"),
        (["train", "sod", "--device", "cuda"], "no CUDA device"),
        (["train", "sod", "--resume"], "there is no checkpoint results/sod/hrgrad-seed0.checkpoint.h5"),
        (["train", "sod", "--steps", "-3"], "sod.toml, command line: train.steps = -3: should be greater"),
        (["train", "sod", "--name", "a/b"], "without folder"),
        (["train", "sodd"], "neither a file nor a case that comes with the program: did you mean 'sod'"),
        (["train", "sod", "--set", "equation.kind=bgkk"], "did you mean 'bgk'"),
        (["train", "sod", "--steps", "0", "--set", "train.second_steps=0"], "nothing to train"),
        (["check", "sod", "--set", "train.method_options={anchr=1}"], "train.method_options"),
        (["check", "sod", "--set", "train.network_options={factorised=true}"], "train.network_options of mlp"),
        (["explain", "hrgrd"], "did you mean 'hrgrad'"),
        (["list", "schems"], "did you mean 'schemes'"),
        (["new", "tube", "--from", "sood"], "did you mean 'sod'"),
        (["check", "nothing.h5"], "no such file"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_input_is_named(kinetic, words, message, tmp_path):
    _, err = kinetic(*words, cwd=tmp_path, expect=2)
    assert message in re.sub(r"\s+", " ", err)


def test_unwritable_output_is_a_failed_run_before_it_begins(kinetic, folder, tmp_path):
    (tmp_path / "file").write_text("")
    _, err = kinetic("train", "sod", "--out", "file", cwd=tmp_path, expect=1)
    assert "cannot be written" in err
    reference = folder / "results/bgk_smooth/reference.h5"
    _, err = kinetic("plot", reference, "--out", "file/a.png", cwd=tmp_path, expect=1)
    assert "file/a.png: cannot be written" in err
    _, err = kinetic(
        "reference", "bgk_smooth", "--set", "reference.scheme=imex", *SMALL, "--out", "file", cwd=tmp_path, expect=1
    )
    assert "cannot be written" in err


def test_breakdown_exits_with_three(kinetic, tmp_path):
    jump = ["initial.rho='piecewise(x < 0, 1, 1e-9)'", "initial.u='piecewise(x < 0, -6, 6)'", "initial.T=0.3"]
    settings = [word for text in jump for word in ("--set", text)]
    small = ["--set", "knudsen.evaluate=[1e-6]", "--set", "knudsen.unseen=[]", "--set", "reference.cells=40"]
    _, err = kinetic("reference", "sod", *settings, *small, "--set", "velocity.nodes=65", cwd=tmp_path, expect=3)
    assert "not positive at x =" in err


def test_words_about_the_program(kinetic, tmp_path):
    out, _ = kinetic("--help", cwd=tmp_path)
    assert all(word in out for word in ("reference", "train", "compare", "predict", "explain"))
    out, _ = kinetic("list", "--json", cwd=tmp_path)
    found = json.loads(out)
    assert {"hrgrad", "config", "pcgrad", "ls"} <= set(found["methods"])
    assert all(text for kind in found.values() for text in kind.values())
    out, _ = kinetic("explain", "imex", cwd=tmp_path)
    assert "ARS(4,4,3)" in out
    out, _ = kinetic("explain", "sod", cwd=tmp_path)
    assert 'title = "Sod tube, BGK"' in out, "explain knows whatever list shows"
    out, _ = kinetic("list", "velocity_sets", cwd=tmp_path)
    assert "trapezoid" in out
    out, _ = kinetic("train", "--help", cwd=tmp_path)
    assert "a table of its variants" in re.sub(r"[\s│]+", " ", out)
    out, _ = kinetic("cite", "sod", cwd=tmp_path)
    assert out.count("@") == 9
    assert all(key in out for key in ("bhatnagar1954model", "li2024solving", "borges2008improved", "guo2013discrete"))
    out, _ = kinetic("info", cwd=tmp_path)
    assert "torch" in out
    out, _ = kinetic("check", "sod", cwd=tmp_path)
    assert "a valid case" in out


def test_plan_runs_nothing(kinetic, tmp_path):
    out, _ = kinetic("reference", "sod", "--plan", "--set", "reference.cells=100", cwd=tmp_path)
    assert "x 100" in out
    assert not (tmp_path / "results").exists()


def test_new_case_is_valid(kinetic, tmp_path):
    kinetic("new", "tube", "--from", "sod", cwd=tmp_path)
    assert "a valid case" in kinetic("check", "tube.toml", cwd=tmp_path)[0]
    kinetic("new", "tube", cwd=tmp_path, expect=2)


def test_schema_accepts_every_case(kinetic, tmp_path):
    import tomllib

    schema = json.loads(kinetic("schema", cwd=tmp_path)[0])
    for path in CASES.glob("*.toml"):
        data = tomllib.loads(path.read_text())
        assert set(data) <= set(schema["properties"])
        branches = [b for b in schema["anyOf"] if data["equation"]["kind"] in json.dumps(b)]
        assert len(branches) >= 1


def test_help_starts_without_torch_and_numba(tmp_path):
    code = (
        "import sys, kinetic_cli.app; print({'torch', 'numba', 'matplotlib', 'scipy.interpolate'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_killed_training_resumes_to_the_same_numbers(kinetic, tmp_path):
    """Interrupt a training, resume it: parameters equal those of an uninterrupted run, bit for bit."""
    budget = ["--steps", "30", "--set", "train.second_steps=170", "--method", "hrgrad"]
    words = ["train", CASES / "bgk_smooth.toml", *SMALL, *QUICK, *budget]
    kinetic(*words, "--name", "whole", cwd=tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    often = ["--name", "parts", "--set", "train.checkpoint_seconds=0"]
    command = [sys.executable, "-c", "from kinetic_cli.app import main; main()", *map(str, words), *often]
    checkpoint = tmp_path / "results/bgk_smooth/parts.checkpoint.h5"
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    begin = time.monotonic()
    while not checkpoint.exists() and run.poll() is None and time.monotonic() - begin < 100:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=100)
    assert run.returncode == 130, err
    half = Result.read(tmp_path / "results/bgk_smooth/parts.h5")
    assert str(half.status) == "interrupted"
    assert half.network["steps"] < 200
    kinetic(*words, "--name", "parts", "--resume", cwd=tmp_path)
    whole, parts = (Result.read(tmp_path / f"results/bgk_smooth/{name}.h5") for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole.network["theta"], parts.network["theta"])
    np.testing.assert_array_equal(whole.fields["rho"], parts.fields["rho"])
    assert whole.history["loss"] == parts.history["loss"]
    assert whole.history["iteration"] == parts.history["iteration"] == sorted(set(parts.history["iteration"]))
    _, err = kinetic(*words, "--name", "parts", "--resume", cwd=tmp_path)
    assert "done: 200 steps" in err, "a finished run has nothing left, which is no failure"
    again = Result.read(tmp_path / "results/bgk_smooth/parts.h5")
    np.testing.assert_array_equal(again.network["theta"], whole.network["theta"])
    other = [*words[:2], *words[2:], "--name", "parts", "--resume", "--seed", "1"]
    _, err = kinetic(*other, cwd=tmp_path, expect=2)
    assert "is of another run, train.seed = 0 there and 1 here" in re.sub(r"\s+", " ", err)


def test_finetune_names_its_parent_and_keeps_what_is_frozen(kinetic, folder):
    trained = folder / "results/bgk_smooth/hrgrad-seed0.h5"
    words = ("finetune", trained, "--knudsen", "3e-2", "--set", "train.second_steps=20")
    out, err = kinetic(*words, cwd=folder)
    assert "all weights" in err
    parent, found = Result.read(trained), Result.read(folder / out.splitlines()[-1])
    assert found.attributes["parent"] == parent.run
    assert list(found.coordinates["eps"]) == [3e-2]
    before, after = parent.network["theta"], found.network["theta"]
    assert (before != after).mean() > 0.9
    kinetic(*words, "--freeze", "--name", "frozen", cwd=folder)
    after = Result.read(folder / "results/bgk_smooth/frozen.h5").network["theta"]
    moved = np.flatnonzero(before != after)
    assert moved[0] > before.size // 3  # the output layer is the last block
    assert moved.size > 20
    kinetic("predict", folder / "results/bgk_smooth/frozen.h5", "--knudsen", "3e-2", "--out", "f.h5", cwd=folder)
    for wrong in (["--knudsen", "3"], ["--knudsen", "x"]):
        kinetic("finetune", trained, *wrong, cwd=folder, expect=2)
    kinetic("finetune", "results/bgk_smooth/reference.h5", "--knudsen", "1e-2", cwd=folder, expect=2)


def test_diode_whose_start_drives_carriers_too_fast_is_refused_in_words(kinetic, tmp_path):
    case = CASES / "diode.toml"
    _, said = kinetic("train", case, "--variant", "unit", cwd=tmp_path, expect=2)
    for words in ("thermal speeds at eps = 0.1", "Start from neutral data", "knudsen.train"):
        assert words in " ".join(said.split())
