"""`kinetic export RESULT`: fields of a result as CSV, VTK or NetCDF, for programs that do not read HDF5."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from solvers.problem.result import LONG_NAMES, Result, atomic_write
from solvers.problem.status import BadInput

from . import screen


def export(
    result_file: Annotated[Path, typer.Argument(metavar="RESULT", help="Result file.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="One row per eps, time and cell.")] = False,
    vtk: Annotated[bool, typer.Option("--vtk", help="One rectilinear grid per eps and time (legacy VTK).")] = False,
    netcdf: Annotated[bool, typer.Option("--netcdf", help="NetCDF-3 with all axes (64-bit offsets).")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="File to write, else beside the result.")] = None,
) -> None:
    """Write the fields of a result in another format.

    Example: kinetic export results/sod/reference.h5 --csv
    """
    chosen = [name for name, wanted in (("csv", as_csv), ("vtk", vtk), ("netcdf", netcdf)) if wanted]
    if len(chosen) != 1:
        raise BadInput("choose one of --csv, --vtk, --netcdf")
    result = Result.read(result_file)
    if not result.fields or "x" not in result.coordinates:
        raise BadInput(f"{result_file}: holds no fields yet (status '{result.status}')")
    suffix, write = FORMATS[chosen[0]]
    for path in write(result, out or result_file.with_suffix(suffix)):
        screen.answer(str(path))


def space(result: Result) -> list[str]:
    """The axes of space that the result has."""
    return [axis for axis in ("x", "y") if axis in result.coordinates]


def fields(result: Result) -> list[str]:
    """Macroscopic fields: everything but the distribution function."""
    return [name for name in result.fields if name != "f"]


def write_csv(result: Result, path: Path) -> list[Path]:
    """Columns eps, t, x[, y] and one per field."""
    axes, names = ["eps", "t", *space(result)], fields(result)
    grid = np.meshgrid(*(result.coordinates[axis] for axis in axes), indexing="ij")
    columns = [values.ravel() for values in (*grid, *(result.fields[name] for name in names))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*axes, *names])
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
    atomic_write(path, text.getvalue().encode())
    return [path]


def write_vtk(result: Result, path: Path) -> list[Path]:
    """Legacy VTK rectilinear grids with point data, one file per Knudsen number and time."""
    written = []
    x, y = result.coordinates["x"], result.coordinates.get("y", np.zeros(1))
    for i, eps in enumerate(result.coordinates["eps"]):
        for j, t in enumerate(result.coordinates["t"]):
            lines = ["# vtk DataFile Version 3.0", f"{result.case.title}, eps = {eps:g}, t = {t:g}"[:255], "ASCII"]
            lines += ["DATASET RECTILINEAR_GRID", f"DIMENSIONS {x.size} {y.size} 1"]
            for name, axis in (("X", x), ("Y", y), ("Z", np.zeros(1))):
                lines += [f"{name}_COORDINATES {axis.size} double", " ".join(map(repr, axis.tolist()))]
            lines.append(f"POINT_DATA {x.size * y.size}")
            for field in fields(result):
                values = result.fields[field][i, j].reshape(x.size, -1).T.ravel()  # VTK runs over x first
                lines += [f"SCALARS {field} double 1", "LOOKUP_TABLE default", "\n".join(map(repr, values.tolist()))]
            file = path.with_name(f"{path.stem}-eps{eps:g}-t{t:g}.vtk")
            atomic_write(file, ("\n".join(lines) + "\n").encode())
            written.append(file)
    return written


def write_netcdf(result: Result, path: Path) -> list[Path]:
    """NetCDF-3 with the axes as coordinate variables and the case as a global attribute."""
    from scipy.io import netcdf_file

    memory = io.BytesIO()
    file = netcdf_file(memory, "w", version=2)
    for axis in (name for name in result.coordinates if name in result.dimensions("f")):
        file.createDimension(axis, len(result.coordinates[axis]))
        variable = file.createVariable(axis, "d", (axis,))
        variable[:] = result.coordinates[axis]
        variable.units, variable.long_name = "1", LONG_NAMES[axis]
    for name, values in result.fields.items():
        variable = file.createVariable(name, "d", result.dimensions(name))
        variable[:] = values
        unit, long_name = result.case.equation.fields.get(name, ("1", name))
        variable.units, variable.long_name = unit, long_name
    file.title, file.run, file.case_sha256 = result.case.title, result.run, result.case.sha256
    file.flush()
    atomic_write(path, memory.getvalue())
    return [path]


FORMATS: dict[str, tuple[str, Callable[[Result, Path], list[Path]]]] = {
    "csv": (".csv", write_csv),
    "vtk": (".vtk", write_vtk),
    "netcdf": (".nc", write_netcdf),
}
