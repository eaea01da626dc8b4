"""The command `kinetic`: one file per command, errors for people, exit codes.

0 done, 1 failed run, 2 wrong input, 3 numerical failure, 4 tolerance exceeded, 130 interrupted.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from solvers.problem.status import KineticError

from . import (
    check,
    cite,
    comparison,
    draw,
    explain,
    export,
    finetune,
    info,
    listing,
    new,
    predict,
    reference,
    report,
    schema,
    study,
    train,
    verification,
)
from .screen import answer, be_quiet, complain

app = typer.Typer(
    name="kinetic",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("reference")(reference.reference)
app.command("train")(train.train)
app.command("compare")(comparison.compare)
app.command("plot")(draw.plot)
app.command("study")(study.study)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("finetune")(finetune.finetune)
app.command("predict")(predict.predict)
app.command("verify")(verification.verify)
app.command("check")(check.check)
app.command("list")(listing.list_)
app.command("explain")(explain.explain)
app.command("cite")(cite.cite)
app.command("info")(info.info)
app.command("schema")(schema.schema)
app.command("new")(new.new)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            answer(f"kinetic {version('kinetic-ap')}")
        except PackageNotFoundError:
            answer("kinetic (not installed)")
        raise typer.Exit


@app.callback()
def options(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no notes, only answers and errors.")
    ] = False,
    shown: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Multiscale kinetic equations: reference solvers, asymptotic-preserving networks, comparison.

    From a case file to a reference, a trained network and an error table:

    kinetic reference cases/sod.toml

    kinetic train cases/sod.toml --method hrgrad

    kinetic compare
    """
    if quiet:
        be_quiet()
    guard_package_names()


def guard_package_names() -> None:
    """Another distribution may own a package that is called `solvers`: say so instead of failing strangely."""
    import solvers.problem

    ours = Path(__file__).resolve().parent.parent
    theirs = Path(solvers.problem.__file__ or "").resolve()
    if ours not in theirs.parents:
        raise KineticError(
            f"another package called 'solvers' shadows ours: {theirs.parent.parent}; use a clean environment"
        )


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except KineticError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
