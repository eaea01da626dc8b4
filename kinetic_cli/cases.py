"""Where cases are, and how the engines' own tables are validated."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from solvers.problem.case import Case
from solvers.problem.equation import Table
from solvers.problem.read import read_case
from solvers.problem.registry import equations, nearest, schemes
from solvers.problem.status import BadInput

CaseFile = Annotated[
    Path, typer.Argument(metavar="CASE", help="Case file, or the name of a case that comes with the program.")
]
Variant = Annotated[str | None, typer.Option("--variant", help="Variant of the case, a table of its variants.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key: knudsen.evaluate=[1e-3].")
]
Results = Annotated[Path, typer.Option("--out", help="Folder for results.")]


def cases_folder() -> Path:
    """The folder of the cases that come with the program: in an installed wheel, or in the repository."""
    here = Path(__file__).resolve().parent
    return here / "cases" if (here / "cases").is_dir() else here.parent / "cases"


def shipped_cases() -> dict[str, Path]:
    """Name -> file of every case that comes with the program."""
    return {path.stem: path for path in sorted(cases_folder().glob("*.toml"))}


def reference_model(raw: dict[str, Any], kind: str) -> type[BaseModel]:
    """The model of `[reference]`: the Options of the scheme it names."""
    name = raw.get("scheme")
    if not isinstance(name, str):
        raise BadInput(f"the key 'scheme' is missing: {nearest('', schemes.names())}")
    if name not in schemes:
        raise BadInput(f"scheme = '{name}': {nearest(name, schemes.names())}")
    scheme = schemes.load(name)
    if kind in equations and kind not in scheme.equations:
        fitting = [other for other in schemes.names() if kind in schemes.load(other).equations]
        raise BadInput(f"scheme = '{name}' does not solve '{kind}': {nearest(name, fitting)}")
    model: type[BaseModel] = scheme.Options
    return model


def train_model(raw: dict[str, Any], kind: str) -> type[BaseModel]:
    """The model of `[train]`; a case without that table is one for references only."""
    from apnn.options import train_options_model

    if not raw:
        return Table
    model: type[BaseModel] = train_options_model(kind)
    return model


#: how the engines' own tables are validated
ENGINES = {"reference": reference_model, "train": train_model}


def train_options(case: Case) -> Any:
    """The validated `[train]` table of a case."""
    if not case.train:
        raise BadInput(f"{case.name}: the case has no [train] table: it is for `kinetic reference` only")
    return train_model(case.train, case.equation.kind).model_validate(case.train)


def load_case(path: Path, variant: str | None = None, settings: list[str] | None = None) -> Case:
    """Read and validate a case with both engines' tables; a bare name means a case that comes with the program."""
    if not path.exists() and str(path) == path.stem:
        cases = shipped_cases()
        if path.name not in cases:
            raise BadInput(
                f"{path}: neither a file nor a case that comes with the program: {nearest(path.name, cases)}"
            )
        path = cases[path.name]
    return read_case(path, variant, settings or [], ENGINES)


def result_path(out: Path, case: Case, run: str) -> Path:
    """results/<case>/<run>.h5; BadInput for a name that is no file's."""
    if not run or Path(run).name != run:
        raise BadInput(f"--name {run}: write the name of a file, without folder; --out says the folder")
    return out / case.name / f"{run}.h5"


def command_line() -> str:
    """The command as the user typed it, for provenance."""
    return " ".join(["kinetic", *sys.argv[1:]])
