"""Result files: xarray reads them, damage is named, writing is atomic."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from solvers.problem.read import read_case
from solvers.problem.result import Result, atomic_hdf5
from solvers.problem.status import BadInput, KineticError, Status

SOD = Path(__file__).parents[3] / "cases" / "sod.toml"


@pytest.fixture
def result():
    case = read_case(SOD)
    made = Result.empty(case, "reference", "reference", {"x": np.linspace(-0.4, 0.4, 9)}, case.knudsen.all)
    for i, eps in enumerate(case.knudsen.all):
        for j, t in enumerate(case.domain.output_times):
            made.put(eps, t, {"rho": np.full(9, 1.0 + i + 0.1 * j)})
    made.history = {"iteration": [0.0, 1.0], "loss/task0": [2.0, 1.0]}
    made.limit = {"rho": np.ones((3, 9))}
    made.uncertainty = {"rho": np.full((9, 3), 1e-4)}
    made.network = {"theta": np.arange(4.0), "steps": 3, "nested": {"name": "mlp"}}
    made.status = Status.DONE
    return made


@pytest.mark.filterwarnings("default")
def test_xarray_opens_it(result, tmp_path):
    path = tmp_path / "reference.h5"
    result.write(path)
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert data.rho.dims == ("eps", "t", "x")
        assert float(data.rho.sel(eps=1e-2, method="nearest").isel(t=0, x=0)) == 5.0
        assert data.rho.attrs["long_name"] == "density"
    with xarray.open_dataset(path, engine="h5netcdf", group="history") as history:
        assert history["loss.task0"].dims == ("iteration",)


@pytest.mark.filterwarnings("default")
def test_history_of_arrays_with_gaps(result, tmp_path):
    result.history = {}
    result.log({"iteration": 10.0, "loss": 1.0, "cosines": np.eye(3), "residual_norms": np.ones(2)})
    result.log({"iteration": 20.0, "loss": 0.5, "weights": np.arange(3.0)})
    path = tmp_path / "run.h5"
    result.write(path)
    again = Result.read(path).history
    assert again.keys() == result.history.keys()
    for column, rows in result.history.items():
        np.testing.assert_array_equal(again[column], rows, err_msg=column)
    assert np.isnan(again["cosines"][1]).all()
    assert np.isnan(again["weights"][0]).all()
    with xarray.open_dataset(path, engine="h5netcdf", group="history") as history:
        assert history.cosines.dims == ("iteration", "task", "task_other")
        assert history.residual_norms.dims == ("iteration", "residual")


def test_reads_back(result, tmp_path):
    path = tmp_path / "reference.h5"
    result.write(path)
    again = Result.read(path)
    np.testing.assert_array_equal(again.fields["rho"], result.fields["rho"])
    assert again.status is Status.DONE
    assert again.case.sha256 == result.case.sha256
    assert again.history == result.history
    assert again.network["nested"] == {"name": "mlp"}
    np.testing.assert_array_equal(again.uncertainty["rho"], result.uncertainty["rho"])
    assert all(again.complete(eps) for eps in again.coordinates["eps"])


@pytest.mark.parametrize("keep", [0, 100, 4000])
def test_truncated_file_is_named(result, tmp_path, keep):
    path = tmp_path / "reference.h5"
    result.write(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="truncated"):
        Result.read(path)


def test_foreign_hdf5_is_named(tmp_path):
    path = tmp_path / "other.h5"
    atomic_hdf5(path, lambda file: file.create_dataset("a", data=1))
    with pytest.raises(BadInput, match="not a kinetic result"):
        Result.read(path)
    with pytest.raises(BadInput, match="no such file"):
        Result.read(tmp_path / "nothing.h5")


def test_failed_write_keeps_the_old_file(result, tmp_path):
    path = tmp_path / "reference.h5"
    result.write(path)
    before = path.read_bytes()

    def fail(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(KineticError, match="No space left"):
        atomic_hdf5(path, fail)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["reference.h5"]


def test_unwritable_folder_is_named(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KineticError, match="cannot be written"):
        result.write(tmp_path / "file" / "reference.h5")
