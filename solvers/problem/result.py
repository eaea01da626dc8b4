"""A result is an answer: HDF5 that `xarray.open_dataset(path)` reads as it is.

    /                coordinates eps, t, x (y), v as dimension scales; fields such as rho(eps, t, x)
    /history         one row per logged iteration: losses, weights, cosines, seconds, over the dimension `iteration`, and
                     small arrays (iteration, task[, task_other]) or (iteration, residual[, residual_other])
    /limit           fields of the limit equation (t, x), written by `kinetic reference`
    /uncertainty     <field>(eps, t): the reference's estimate of its own relative L2 error
    /convergence     <field>(eps, level): distance of the grid of cells(eps, level) to the next coarser one at the last time;
                     <field>_order(eps)
    /network         parameters of a trained network and what is needed to evaluate it
    /errors          written by `kinetic compare`

Root attributes: format, format_version, kind ("reference" or "train"), case (resolved, JSON), case_sha256, problem_sha256,
case_name, run, method, seed, dtype, device, versions, git_revision, start, wall_seconds, status, message.
Every dataset has `units` and `long_name`.  A file is written to a temporary name and renamed: it is whole or it is the
last whole one.  RESULTS.md describes the format for other programs.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .case import Case
from .read import case_from_data
from .status import BadInput, KineticError, Status

FORMAT = "kinetic-result"
FORMAT_VERSION = 1
CHECKPOINT = ".checkpoint.h5"
AXES = ("eps", "t", "x", "y", "v", "v1", "v2")
HISTORY_AXES = ("task", "task_other", "residual", "residual_other")
LONG_NAMES = {
    "eps": "Knudsen number",
    "t": "time",
    "x": "position",
    "y": "position",
    "v": "velocity",
    "v1": "velocity",
    "v2": "velocity",
}
Array = NDArray[Any]


@dataclass
class Result:
    """What one engine answered to one case.

    coordinates  eps (n_eps,), t (n_t,), x (n_x,), ...; dimensionless
    fields       name -> array over (eps, t, x[, y][, v]); NaN where nothing was computed yet
    limit        name -> array over (t, x[, y])
    correction   name -> array over (eps, t, x[, y]), the limit equation's correction of second order; NaN where it has none
    uncertainty  name -> array over (eps, t), relative L2 discretisation error of a reference
    convergence  "cells" -> (eps, level), NaN where there is no grid; field -> (eps, level) distances to the next coarser grid;
                 <field>_order -> (eps,)
    history      column -> list over iterations of numbers, or of small arrays of one shape; NaN where a row has none
    network      nested plain data (numbers, strings, arrays) of a trained network
    attributes   numbers and strings of the run
    """

    case: Case
    kind: str
    run: str
    coordinates: dict[str, Array]
    fields: dict[str, Array]
    limit: dict[str, Array] = field(default_factory=dict)
    correction: dict[str, Array] = field(default_factory=dict)
    uncertainty: dict[str, Array] = field(default_factory=dict)
    convergence: dict[str, Array] = field(default_factory=dict)
    history: dict[str, list[Any]] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    status: Status = Status.RUNNING
    message: str = ""

    @classmethod
    def empty(
        cls, case: Case, kind: str, run: str, coordinates: Mapping[str, Array], eps: tuple[float, ...]
    ) -> "Result":
        """A result with its axes and no fields yet; `coordinates` are those of space and velocity."""
        times = np.array(case.domain.output_times)
        return cls(case, kind, run, {"eps": np.array(eps), "t": times, **coordinates}, {})

    def dimensions(self, name: str) -> tuple[str, ...]:
        """Axes of a field: all of eps, t and space, and the velocities for f."""
        axes = [axis for axis in AXES if axis in self.coordinates]
        return tuple(axis for axis in axes if name == "f" or not axis.startswith("v"))

    def index(self, axis: str, value: float) -> int | None:
        """Position of a number on an axis, up to round-off; None if it is not there."""
        close = np.flatnonzero(np.isclose(self.coordinates[axis], value, rtol=1e-9, atol=0.0))
        return int(close[0]) if len(close) else None

    def put(self, eps: float, t: float, fields: Mapping[str, Array]) -> None:
        """Store the fields of one Knudsen number and time."""
        i, j = self.index("eps", eps), self.index("t", t)
        if i is None or j is None:
            raise KeyError(f"eps = {eps:g}, t = {t:g} are not on the axes of this result")
        for name, value in fields.items():
            if name not in self.fields:
                shape = tuple(len(self.coordinates[axis]) for axis in self.dimensions(name))
                self.fields[name] = np.full(shape, np.nan)
            self.fields[name][i, j] = value

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to the history; columns of numbers and of small arrays (m,), (m, m); missing entries are NaN."""
        rows = len(self.history.get("iteration", []))
        for key in dict.fromkeys([*self.history, *row]):
            shape = np.shape(row[key] if key in row else self.history[key][0])
            nothing = np.full(shape, np.nan) if shape else float("nan")
            self.history.setdefault(key, [nothing] * rows).append(row.get(key, nothing))

    def put_uncertainty(self, eps: float, t: float, errors: Mapping[str, float]) -> None:
        """Store the estimated relative L2 errors of the fields of one Knudsen number and time."""
        i, j = self.index("eps", eps), self.index("t", t)
        shape = (len(self.coordinates["eps"]), len(self.coordinates["t"]))
        for name, error in errors.items():
            self.uncertainty.setdefault(name, np.full(shape, np.nan))[i, j] = error

    def complete(self, eps: float) -> bool:
        """True if every field is there at every time for this Knudsen number."""
        i = self.index("eps", eps)
        return (
            i is not None and bool(self.fields) and all(np.isfinite(value[i]).all() for value in self.fields.values())
        )

    def write(self, path: Path) -> None:
        """Write the whole file atomically; raises KineticError when the disk is full or the folder not writable."""

        def fill(file: h5py.File) -> None:
            file.attrs.update(self._root_attributes())
            for axis, values in self.coordinates.items():
                _dataset(file, axis, values, LONG_NAMES.get(axis, axis)).make_scale(axis)
            units = self.case.equation.fields
            for name, values in self.fields.items():
                data = _dataset(file, name, values, units.get(name, ("1", name))[1], units.get(name, ("1",))[0])
                _attach(file, data, self.dimensions(name))
            tables = {"limit": self.limit, "correction": self.correction, "uncertainty": self.uncertainty}
            for group, table in tables.items():
                for name, values in table.items():
                    data = _dataset(file.require_group(group), name, values, f"{name} ({group})")
                    space = self.dimensions("")
                    axes = {"limit": space[1:], "correction": space, "uncertainty": ("eps", "t")}[group]
                    _attach(file, data, axes)
            if self.convergence:
                group = file.create_group("convergence")
                levels = np.arange(self.convergence["cells"].shape[-1], dtype=float)
                _dataset(group, "level", levels, "grids, coarsest first").make_scale("level")
                for name, values in self.convergence.items():
                    data = _dataset(group, name, values, f"{name} (convergence)")
                    for k, scale in enumerate((file["eps"], group["level"])[: values.ndim]):
                        data.dims[k].attach_scale(scale)
            self._write_history(file)
            if self.network:
                write_tree(file.create_group("network"), self.network)

        atomic_hdf5(path, fill)

    def _write_history(self, file: h5py.File) -> None:
        if not self.history:
            return
        group = file.create_group("history")
        _dataset(group, "iteration", np.asarray(self.history["iteration"]), "iteration").make_scale("iteration")
        for column, rows in self.history.items():
            if column != "iteration":
                values = np.asarray(rows, dtype=float)
                data = _dataset(group, column.replace("/", "."), values, column)
                data.dims[0].attach_scale(group["iteration"])
                kind = "residual" if column.startswith("residual") else "task"
                for k, axis in enumerate((kind, f"{kind}_other")[: values.ndim - 1], start=1):
                    if axis not in group:
                        _dataset(group, axis, np.arange(values.shape[k], dtype=float), axis).make_scale(axis)
                    data.dims[k].attach_scale(group[axis])

    def _root_attributes(self) -> dict[str, Any]:
        return {
            **self.attributes,
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "kind": self.kind,
            "run": self.run,
            "case_name": self.case.name,
            "case": json.dumps(self.case.resolved(), sort_keys=True),
            "case_sha256": self.case.sha256,
            "problem_sha256": self.case.problem_sha256,
            "status": str(self.status),
            "message": self.message,
        }

    @classmethod
    def read(cls, path: Path) -> "Result":
        """Read a result file of ours or of another program in the same format; raises BadInput naming what is wrong."""
        with open_hdf5(path) as file:
            attributes = dict(file.attrs)
            if attributes.get("format") != FORMAT:
                raise BadInput(f"{path}: not a kinetic result (attribute format is not '{FORMAT}')")
            if attributes.get("format_version", 0) > FORMAT_VERSION:
                raise BadInput(f"{path}: written by a newer kinetic (format {attributes['format_version']}); update")
            try:
                case = case_from_data(json.loads(attributes["case"]), source=f"{path}: case")
                coordinates = {axis: file[axis][...] for axis in AXES if axis in file}
                reserved = {
                    *coordinates,
                    "limit",
                    "correction",
                    "uncertainty",
                    "convergence",
                    "history",
                    "network",
                    "errors",
                }
                order = [name for name in case.equation.fields if name in file]
                order += [name for name in file if name not in reserved and name not in order]
                fields = {name: file[name][...] for name in order}
                limit, correction = _arrays(file, "limit"), _arrays(file, "correction")
                uncertainty = _arrays(file, "uncertainty")
                convergence = _arrays(file, "convergence")
                convergence.pop("level", None)
                history = {
                    name.replace(".", "/"): list(column)
                    for name, column in _arrays(file, "history").items()
                    if name not in HISTORY_AXES
                }
                network = read_tree(file["network"]) if "network" in file else {}
                status = Status(attributes["status"])
            except (KeyError, ValueError, OSError, TypeError, AttributeError) as error:
                raise BadInput(f"{path}: damaged or incomplete result: {error}") from None
        result = cls(case, str(attributes["kind"]), str(attributes["run"]), coordinates, fields, limit)
        result.correction, result.uncertainty = correction, uncertainty
        result.history, result.network, result.attributes, result.status = history, network, attributes, status
        result.message, result.convergence = str(attributes.get("message", "")), convergence
        if not {"eps", "t"} <= coordinates.keys():
            raise BadInput(f"{path}: the coordinates eps and t are missing")
        for name, values in fields.items():
            shape = tuple(len(coordinates[axis]) for axis in result.dimensions(name))
            if values.shape != shape:
                raise BadInput(f"{path}: {name} has shape {values.shape}, its coordinates say {shape}")
        return result


def _dataset(group: h5py.Group, name: str, values: Array, long_name: str, units: str = "1") -> h5py.Dataset:
    values = np.asarray(values)
    packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if values.nbytes > 100_000 else {}
    data = group.create_dataset(name, data=values, **packed)
    data.attrs["long_name"] = long_name
    data.attrs["units"] = units
    return data


def _arrays(file: h5py.File, group: str) -> dict[str, Array]:
    return {name: data[...] for name, data in file[group].items()} if group in file else {}


def _attach(file: h5py.File, data: h5py.Dataset, axes: tuple[str, ...]) -> None:
    for k, axis in enumerate(axes):
        data.dims[k].attach_scale(file[axis])


def atomic_write(path: Path, content: bytes) -> None:
    """Put a file at `path` as a whole: written under a temporary name, renamed; raises KineticError if that fails."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
        with os.fdopen(handle, "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise KineticError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def probe(path: Path) -> None:
    """KineticError now rather than after hours if no file can be put at `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise KineticError(f"{path}: cannot be written: {error.strerror or error}") from None


def atomic_hdf5(path: Path, fill: Any, copy_of: Path | None = None) -> None:
    """Make an HDF5 file by `fill(file)`, empty or a copy of another, and put it at `path` as a whole.

    The file is built in memory and written by plain I/O: a full disk inside the HDF5 library would end the process.
    Raises KineticError if it cannot be written.
    """
    try:
        with h5py.File.in_memory(copy_of.read_bytes() if copy_of else None) as file:
            fill(file)
            file.flush()
            content = file.id.get_file_image()
    except OSError as error:
        raise KineticError(f"{path}: cannot be written: {error.strerror or error}") from None
    atomic_write(path, content)


def checkpoint_path(path: Path) -> Path:
    """Where the state that `--resume` needs lies: beside the result."""
    return path.with_name(f"{path.stem}{CHECKPOINT}")


def is_checkpoint(path: Path) -> bool:
    """True for the name of such a state."""
    return path.name.endswith(CHECKPOINT)


def open_hdf5(path: Path) -> h5py.File:
    """Open for reading; raises BadInput for a missing, truncated or foreign file."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise BadInput(f"{path}: not a readable HDF5 file (truncated or of another kind): {error}") from None


def write_tree(group: h5py.Group, tree: Mapping[str, Any]) -> None:
    """Nested plain data into HDF5: mappings as groups, arrays as datasets, numbers, booleans and strings as attributes."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            write_tree(group.create_group(key), value)
        elif isinstance(value, str | bool | int | float):
            group.attrs[key] = value
        else:
            group.create_dataset(key, data=np.asarray(value))


def read_tree(group: h5py.Group) -> dict[str, Any]:
    """What `write_tree` wrote."""
    tree: dict[str, Any] = {}
    for key, value in group.attrs.items():
        tree[key] = value.item() if isinstance(value, np.generic) else value
    for key, item in group.items():
        tree[key] = read_tree(item) if isinstance(item, h5py.Group) else item[()]
    return tree
