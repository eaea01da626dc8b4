"""`kinetic study`, `report` and `export`: the matrix of cells, what is skipped and resumed, the page, other formats."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.io import netcdf_file

from kinetic_cli.study import names, numbers
from solvers.problem.result import Result, checkpoint_path
from solvers.problem.status import BadInput

ROOT = Path(__file__).parents[2]
CASE = ROOT / "cases" / "bgk_smooth.toml"
SMALL = ["knudsen.evaluate=[1e-1, 1e-3]", "knudsen.unseen=[]", "reference.scheme=imex", "reference.cells=27"]
SMALL += ["velocity.nodes=48", "train.points=16", "train.width=8", "train.velocities=16", "train.second_steps=20"]
WORDS = ["study", CASE, "--methods", "ls,config", "--steps", "20", *(w for text in SMALL for w in ("--set", text))]


@pytest.fixture(scope="module")
def folder(kinetic, tmp_path_factory):
    """A finished study of two methods, one seed, and single training."""
    cwd = tmp_path_factory.mktemp("study")
    out, err = kinetic(*WORDS, "--single", "--workers", "2", cwd=cwd)
    assert "4 cells: 0 done" in err
    assert "contenders over" in out
    return cwd


def test_every_cell_is_a_result_and_is_skipped_the_second_time(kinetic, folder):
    files = {path.name for path in (folder / "results/bgk_smooth").glob("*.h5")} - {"reference.h5"}
    expected = {"ls-seed0.h5", "config-seed0.h5", "stl-eps0.1-seed0.h5", "stl-eps0.001-seed0.h5"}
    assert expected <= files
    result = Result.read(folder / "results/bgk_smooth/stl-eps0.001-seed0.h5")
    assert list(result.coordinates["eps"]) == [1e-3]
    assert result.case.knudsen.train[0] < 1e-3 < result.case.knudsen.train[1]
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("ls-seed0.h5")}
    out, err = kinetic(*WORDS, "--single", "--plan", cwd=folder)
    assert out.count("done") == 4
    _, err = kinetic(*WORDS, "--single", cwd=folder)
    assert "4 cells: 4 done" in err
    assert {path: path.stat().st_mtime_ns for path in before} == before != {}
    out, _ = kinetic(*WORDS, "--seeds", "0..1", "--plan", cwd=folder)
    assert out.count("to do") == 2
    out, _ = kinetic(*WORDS[:4], "--steps", "21", *WORDS[6:], "--plan", cwd=folder)
    assert "done" not in out.split("state")[1], "another budget is another cell"


def test_interrupted_study_leaves_valid_results_and_goes_on(kinetic, tmp_path):
    words = [*map(str, WORDS), "--set", "train.second_steps=100000", "--set", "train.checkpoint_seconds=0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # jobs in the background ignore it
    )
    command = [sys.executable, "-c", f"{heard}; from kinetic_cli.app import main; main()", *words]
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    path = tmp_path / "results/bgk_smooth/ls-seed0.h5"
    begin = time.monotonic()
    while not checkpoint_path(path).exists() and run.poll() is None and time.monotonic() - begin < 100:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=100)
    assert run.returncode == 130, err
    assert b"the same command goes on" in err
    assert str(Result.read(path).status) == "interrupted"
    out, _ = kinetic(*words, "--plan", cwd=tmp_path)
    assert "resume" in out


def test_a_failed_cell_costs_no_other(kinetic, tmp_path):
    bad = ["--set", "train.method_options={nonsense=1}"]
    _, err = kinetic(*WORDS, *bad, cwd=tmp_path, expect=1)
    assert "2 of 3 runs failed" in err
    assert (tmp_path / "results/bgk_smooth/reference.h5").exists()


def test_wrong_lists_are_named():
    assert numbers("0..2") == [0, 1, 2]
    assert numbers("0,3") == [0, 3]
    for text in ("", "a", "3..1", "0,0", "-1"):
        with pytest.raises(BadInput, match="--seeds"):
            numbers(text)
    with pytest.raises(BadInput, match="did you mean 'hrgrad'"):
        names("methods", "hrgrd")
    with pytest.raises(BadInput, match="once"):
        names("methods", "ls,ls")


def test_exported_numbers_are_the_result(kinetic, folder):
    reference = "results/bgk_smooth/reference.h5"
    result = Result.read(folder / reference)
    for form in ("--csv", "--vtk", "--netcdf"):
        kinetic("export", reference, form, cwd=folder)
    with open(folder / "results/bgk_smooth/reference.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 27
    assert float(rows[-1]["rho"]) == result.fields["rho"][-1, -1, -1]
    with netcdf_file(folder / "results/bgk_smooth/reference.nc", mmap=False) as file:
        np.testing.assert_array_equal(file.variables["T"][:], result.fields["T"])
        assert file.variables["rho"].dimensions == ("eps", "t", "x")
    text = (folder / "results/bgk_smooth/reference-eps0.1-t0.1.vtk").read_text()
    assert "DIMENSIONS 27 1 1" in text
    block = text.split("SCALARS u double 1\nLOOKUP_TABLE default\n")[1].split("\nSCALARS")[0]
    np.testing.assert_array_equal([float(word) for word in block.split()], result.fields["u"][0, -1])
    _, err = kinetic("export", reference, cwd=folder, expect=2)
    assert "choose one" in err


def test_report_is_one_page_with_the_numbers_of_the_results(kinetic, folder):
    out, _ = kinetic("report", "results", "--out", "page.html", cwd=folder)
    assert out.strip() == "page.html"
    page = (folder / "page.html").read_text()
    assert not re.findall(r"(?:src|href)=|@import|url\(http", page), "it needs no network"
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    reference = Result.read(folder / "results/bgk_smooth/reference.h5")
    chart = next(chart for chart in data["profiles0"] if chart["title"] == "rho, eps = 0.1")
    np.testing.assert_allclose(chart["curves"][0]["y"], reference.fields["rho"][0, -1], rtol=1e-5)
    assert {curve["name"] for curve in chart["curves"]} >= {"reference", "ls-seed0", "config-seed0", "limit"}
    orders = {
        (c["name"], c["order"])
        for part in data.values()
        for chart in part
        for c in chart["curves"]
        if c["role"] == "run"
    }
    names = [name for name, _ in orders]
    assert len(set(names)) == len(names) > 1, "a run has one colour in all charts of a case"
    found = json.loads(kinetic("compare", "--json", "--no-figures", cwd=folder)[0])
    row = next(r for r in found["errors"] if r["run"] == "ls-seed0" and r["field"] == "rho" and r["t"] is None)
    assert f"{row['relative_l2']:.1e}" in page
    for word in ("config", "stl", "git_revision", "To reproduce", "kinetic"):
        assert word in page
    kinetic("report", "nowhere", cwd=folder, expect=2)


def test_plot_draws_a_field_and_names_what_is_not_there(kinetic, folder):
    files = ["results/bgk_smooth/reference.h5", "results/bgk_smooth/ls-seed0.h5"]
    kinetic("plot", *files, "--field", "T", "--eps", "1e-3", "--out", "T.pdf", cwd=folder)
    assert (folder / "T.pdf").read_bytes().startswith(b"%PDF")
    kinetic("plot", *files, "--figure", "conflict", "--dark", "--out", "dark.png", cwd=folder)
    assert (folder / "dark.png").stat().st_size > 10_000
    assert (folder / "results/bgk_smooth/ls-seed0.checkpoint.h5").exists()
    every = sorted((folder / "results/bgk_smooth").glob("ls-*.h5"))  # what ls-*.h5 is to a shell
    kinetic("plot", *every, "--terminal", "--eps", "1e-3", cwd=folder)
    out, _ = kinetic("plot", files[0], "--terminal", "--eps", "0.1", cwd=folder)
    reference = Result.read(folder / files[0])
    assert f"{reference.fields['rho'][0, -1].max():.3g}"[:4] in out
    assert max(map(len, out.splitlines())) <= 80
    for wrong, message in (
        (["--field", "tho"], "did you mean"),
        (["--eps", "5"], "no eps = 5"),
        (["--out", "a.b"], "ending"),
        (["--figure", "conflicts"], "did you mean 'conflict'"),
        (["--figure", "maps"], "nothing for it"),
    ):
        _, err = kinetic("plot", *files, *wrong, cwd=folder, expect=2)
        assert message in err
