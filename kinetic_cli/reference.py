"""`kinetic reference CASE`: solve a case with its reference scheme at every Knudsen number it names."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import typer

from solvers.estimate import GRIDS, Estimate, Estimator
from solvers.problem.case import Case
from solvers.problem.distance import on_grid
from solvers.problem.read import case_from_data
from solvers.problem.registry import limits, schemes
from solvers.problem.result import Result, atomic_hdf5, checkpoint_path, open_hdf5, probe, read_tree, write_tree
from solvers.problem.scheme import Scheme
from solvers.problem.status import BadInput, NumericalError, Snapshot, Status, ToleranceExceeded

from . import screen
from .cases import ENGINES, CaseFile, Results, Settings, Variant, load_case, result_path
from .comparison import limit_rows
from .provenance import peak_memory_mib, provenance

#: seconds between checkpoints inside one Knudsen number
CHECKPOINT_SECONDS = 20.0
#: `--tolerance` refines at most so often, and no run may need more memory than this
MAX_REFINEMENTS = 4
MAX_BYTES = 4e9


def reference(
    case_file: CaseFile,
    variant: Variant = None,
    settings: Settings = [],  # noqa: B006 typer copies it
    out: Results = Path("results"),
    name: Annotated[str, typer.Option(help="Name of the result file.")] = "reference",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    tolerance: Annotated[
        float | None, typer.Option(min=0.0, help="Refine x, t and v until the estimated error of rho is below.")
    ] = None,
    order: Annotated[bool, typer.Option("--order", help="Print the convergence table.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate/--no-estimate", help="Estimate the error by two coarser runs.")
    ] = True,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print grid, unknowns, steps, memory, time; run nothing.")
    ] = False,
) -> None:
    """Solve CASE with its reference scheme and write results/<case>/reference.h5, its own error bar included.

    Example: kinetic reference cases/sod.toml --set knudsen.evaluate=[1e-2] --set knudsen.unseen=[]
    """
    case = load_case(case_file, variant, settings)
    if plan:
        print_plan(case)
        return
    if not estimate and (tolerance is not None or order):
        raise BadInput("--no-estimate goes with neither --tolerance nor --order: both need the coarser runs")
    path = result_path(out, case, name)
    screen.say(f"{case.name}: {case.title}; scheme {case.reference['scheme']} (first use compiles its kernels, once)")
    run = ReferenceRun(case, path, resume, estimate, tolerance)
    run.solve()
    for _ in range(MAX_REFINEMENTS):
        if not run.missed:
            break
        screen.say(run.missed)
        better, why = refined(run)
        if better is None:
            raise ToleranceExceeded(f"{run.missed}; not refined: {why}")
        run = ReferenceRun(better, path, False, estimate, tolerance)
        run.solve()
    if run.missed:
        raise ToleranceExceeded(f"{run.missed}; not refined further: {MAX_REFINEMENTS} refinements are the limit")
    run.close(order)


def refined(run: "ReferenceRun") -> tuple[Case | None, str]:
    """The case on a finer grid or with more velocities, whichever part of the error is larger; or why there is none."""
    case, estimate = run.case, run.worst
    data = case.resolved()
    if estimate.velocity > estimate.grid:
        velocity = case.velocity.finer()
        if velocity is None:
            return None, f"the velocity set '{case.velocity.kind}' has no number of nodes to raise"
        data["velocity"] = velocity.model_dump(mode="json")
    else:
        finer = run.scheme.finer(run.options)
        if finer is None:
            return (
                None,
                f"{run.scheme.resolution(run.options)} cells cannot be divided by {run.scheme.ratio}, so there is no estimate",
            )
        changed = {key: value for key, value in finer if value != getattr(run.options, key)}
        data["reference"] = {**case.reference, **changed}
    better = case_from_data(data, ENGINES, case.name)
    options = run.scheme.Options.model_validate(better.reference)
    largest, finest = options.at(better, min(better.knudsen.all))
    cost = run.scheme.plan(largest, min(better.knudsen.all), finest)
    if cost["bytes"] > MAX_BYTES:
        return None, f"the next grid needs {cost['bytes'] / 1e9:.1f} GB (at most {MAX_BYTES / 1e9:g} GB)"
    nodes = better.velocity.model_dump().get("nodes", "-")
    screen.say(f"refined to {run.scheme.resolution(options)} cells, {nodes} velocity nodes")
    return better, ""


class ReferenceRun:
    """One reference: the scheme's stream to the screen, the checkpoint and the result file.

    worst    the largest estimate of the error of rho so far;  missed   why `tolerance` is not met, or empty
    """

    def __init__(
        self, case: Case, path: Path, resume: bool = False, estimate: bool = True, tolerance: float | None = None
    ) -> None:
        self.case, self.path, self.wanted, self.tolerance = case, path, estimate, tolerance
        self.scheme: Scheme = schemes.load(case.reference["scheme"])()
        self.options = self.scheme.Options.model_validate(case.reference)
        self.checkpoint = checkpoint_path(path)
        self.state: dict[str, Any] = {}
        probe(path)
        self.result = self._start(resume)
        self.begin = time.perf_counter() - float(self.result.attributes.get("wall_seconds", 0.0))
        self.rows: list[list[float]] = []
        self.worst = Estimate()
        self.missed = ""

    def _start(self, resume: bool) -> Result:
        """An empty result, or the unfinished one at `path` when resuming."""
        case = self.case
        if resume and self.path.exists():
            old = Result.read(self.path)
            if old.case.sha256 != case.sha256:
                raise BadInput(f"{self.path}: belongs to another case (its case_sha256 differs); run without --resume")
            old.status = Status.RUNNING
            if self.checkpoint.exists():
                with open_hdf5(self.checkpoint) as file:
                    if file.attrs.get("case_sha256") == case.sha256:
                        self.state = read_tree(file)
            return old
        coordinates = self.scheme.coordinates(case, self.options)
        result = Result.empty(case, "reference", self.path.stem, coordinates, case.knudsen.all)
        result.attributes |= {
            **provenance(),
            "method": case.reference["scheme"],
            "seed": 0,
            "dtype": "float64",
            "device": "cpu",
        }
        return result

    def solve(self) -> None:
        """March every Knudsen number that is not there yet; what is finished is kept whatever happens."""
        result = self.result
        try:
            for number, eps in enumerate(self.case.knudsen.all, start=1):
                if result.complete(eps):
                    screen.say(f"eps = {eps:g}: kept")
                    continue
                self.march(eps, f"eps = {eps:<8g} {number} of {len(self.case.knudsen.all)}")
                if self.missed:
                    return
                self.state = {}
                self.write()
                self.checkpoint.unlink(missing_ok=True)
            solve_limit(self.case, result)
            result.status = Status.DONE
        except KeyboardInterrupt:
            result.status = Status.INTERRUPTED
            screen.say(f"interrupted; {self.path} holds what is finished, go on with --resume")
            self.save_state()
            raise
        except NumericalError as error:
            result.status, result.message = Status.DIVERGED, str(error)
            raise
        finally:
            if result.fields:
                self.write()

    def write(self) -> None:
        self.result.attributes["wall_seconds"] = time.perf_counter() - self.begin
        self.result.attributes["peak_memory_mib"] = peak_memory_mib()
        self.result.write(self.path)

    def save_state(self) -> None:
        """The state at the last output time of the Knudsen number at hand, beside the result."""
        if not self.state:
            return

        def fill(file: h5py.File) -> None:
            write_tree(file, self.state)
            file.attrs["case_sha256"] = self.case.sha256

        atomic_hdf5(self.checkpoint, fill)

    def march(self, eps: float, label: str) -> None:
        """One Knudsen number into the result; `label` stands beside its bar."""
        begin = saved = time.perf_counter()
        steps, drift = 0, float("nan")
        case, options = self.options.at(self.case, eps)
        axes = self.scheme.coordinates(case, options)
        estimator = Estimator(self.scheme, case, eps, options) if self.wanted else None
        share = estimator.share if estimator else 0.0
        state = self.state.get("scheme") if self.state.get("eps") == eps else None
        with screen.meter(label) as meter:
            for snapshot in estimator.march() if estimator else ():
                meter.update(snapshot.progress, f"estimate, step {snapshot.step}")
            for snapshot in self.scheme.march(case, eps, options, resume=state):
                meter.update(share + (1.0 - share) * snapshot.progress, f"step {snapshot.step}")
                steps = snapshot.step
                if not snapshot.fields:
                    continue
                check_finite(snapshot)
                there = self.result.coordinates
                sampled = {field: on_grid(value[None], axes, there)[0] for field, value in snapshot.fields.items()}
                self.result.put(eps, snapshot.t, sampled)
                if estimator is not None:
                    self.judge(eps, snapshot, estimator)
                drifts = [abs(v) for key, v in snapshot.scalars.items() if key.startswith("drift_")]
                drift = float(np.nanmax([drift, *drifts])) if drifts else drift
                if snapshot.state is not None:
                    self.state = {"eps": eps, "scheme": dict(snapshot.state)}
                    if time.perf_counter() - saved > CHECKPOINT_SECONDS:
                        self.write()
                        self.save_state()
                        saved = time.perf_counter()
        self.rows.append([eps, steps, time.perf_counter() - begin, drift])

    def judge(self, eps: float, snapshot: Snapshot, estimator: Estimator) -> None:
        """The estimated errors of one output time into the result; is the tolerance met?"""
        found = {
            field: estimator.estimate(snapshot.t, field, value)
            for field, value in snapshot.fields.items()
            if field != "f"
        }
        self.result.put_uncertainty(eps, snapshot.t, {field: e.error for field, e in found.items()})
        if np.isclose(snapshot.t, self.case.domain.output_times[-1], rtol=1e-9, atol=0.0):
            grids = [*(run.options for run in estimator.grids), estimator.options]
            self._put_convergence(eps, found, [self.scheme.resolution(options) for options in grids][1:])
        rho = found["rho"]
        if not rho.error <= self.worst.error:
            self.worst = rho
        if self.tolerance is not None and not rho.error <= self.tolerance:
            self.missed = (
                f"estimated error of rho {rho.error:.2e} > {self.tolerance:g} at eps = {eps:g}, t = {snapshot.t:g} "
                f"(grid {rho.grid:.1e}, velocities {rho.velocity:.1e})"
            )

    def _put_convergence(self, eps: float, found: Mapping[str, Estimate], cells: list[int]) -> None:
        table = self.result.convergence
        i, n = self.result.index("eps", eps), len(self.result.coordinates["eps"])
        for field, estimate in found.items():
            if len(estimate.distances) == len(cells) > 0:
                for name, values in (("cells", cells), (field, estimate.distances)):
                    rows = table.setdefault(name, np.full((n, GRIDS), np.nan))
                    rows[i, GRIDS - len(cells) :] = values
                table.setdefault(f"{field}_order", np.full(n, np.nan))[i] = estimate.order

    def close(self, order: bool) -> None:
        """The closing tables."""
        shown = []
        case, uncertainty = self.case, self.result.uncertainty.get("rho")
        distances = {row["eps"]: row for row in limit_rows(self.result)}
        for eps, steps, seconds, drift in self.rows:
            error = None if uncertainty is None else float(np.max(uncertainty[self.result.index("eps", eps)]))
            away = distances.get(eps, {})
            values = [drift, error, away.get("ap_error")] + [away.get("correction_error")] * bool(
                self.result.correction
            )
            numbers = [screen.number(value, 1) for value in values]
            shown.append([f"{eps:g}", f"{int(steps)}", f"{seconds:.2f}", *numbers])
        if shown:
            columns = ["eps", "steps", "seconds", "drift", "own error of rho", "distance to limit"]
            columns += [f"to {case.equation.correction}"] * bool(self.result.correction)
            screen.table(f"{case.name}: {case.reference['scheme']}", columns, shown)
        if order:
            print_convergence(self.result, self.scheme.ratio)
        screen.answer(str(self.path))


def check_finite(snapshot: Snapshot) -> None:
    """Raise NumericalError naming field, cell, time and Knudsen number of the first value that is not finite."""
    for field, value in snapshot.fields.items():
        if not np.isfinite(value).all():
            at = tuple(int(k) for k in np.unravel_index(np.argmin(np.isfinite(value)), value.shape))
            raise NumericalError(
                f"{field} is not finite at cell {at}, t = {snapshot.t:g}, eps = {snapshot.eps:g}; "
                "a smaller reference.cfl or more cells may help"
            )


def print_convergence(result: Result, ratio: int) -> None:
    """Distances between grids of N cells and `ratio` times fewer, observed orders and the estimate, per field and eps."""
    table = result.convergence
    if not table:
        screen.say("no convergence table: the cells cannot be divided by 3 into at least 8")
        return
    levels = [level for level in range(GRIDS) if np.isfinite(table["cells"][:, level]).any()]
    to = [f"to N/{ratio ** (GRIDS - 1 - level)}" for level in levels]
    columns = ["field", "eps", "N", *(name.removesuffix("/1") for name in to), "order", "estimate"]
    rows = []
    for field in (name for name in table if name in result.fields):
        for i, eps in enumerate(result.coordinates["eps"]):
            p = table[f"{field}_order"][i]
            numbers = [f"{table['cells'][i, -1]:.0f}", *(screen.number(d, 1) for d in table[field][i, levels])]
            own = screen.number(float(result.uncertainty[field][i, -1]), 1)
            rows.append([field, f"{eps:g}", *numbers, f"{p:.2f}" if np.isfinite(p) else "-", own])
    screen.table(f"{result.case.name}: distance from the next coarser grid at the last time", columns, rows)


def print_plan(case: Case) -> None:
    """What the scheme would do, per Knudsen number; nothing is run."""
    scheme: Scheme = schemes.load(case.reference["scheme"])()
    options = scheme.Options.model_validate(case.reference)
    axes = scheme.coordinates(case, options)
    rows, total = [], 0.0
    for eps in case.knudsen.all:
        own, chosen = options.at(case, eps)
        cost = scheme.plan(own, eps, chosen)
        share = Estimator(scheme, own, eps, chosen).share
        seconds = cost["unknowns"] * cost["steps"] / scheme.rate / (1.0 - share)
        time_needed, total = screen.duration(seconds), total + seconds
        rows.append(
            [f"{eps:g}", f"{cost['unknowns']:.0f}", f"{cost['steps']:.0f}", f"{cost['bytes'] / 1e6:.1f}", time_needed]
        )
    grid = ", ".join(f"{axis} {len(values)}" for axis, values in axes.items())
    title = f"{case.name}: {case.reference['scheme']}, grid {grid}; about {screen.duration(total)} in all"
    title += " on one core of a 2-core x86-64 machine"
    screen.table(title, ["eps", "unknowns", "steps", "MB", "time"], rows)


def solve_limit(case: Case, result: Result) -> None:
    """The limit equation, and its correction at every Knudsen number, on the same coordinates, where there is a solver."""
    if case.equation.limit in limits:
        limit = limits.load(case.equation.limit)()
        if case.equation.kind in limit.equations:
            result.limit = limit.solve(case, result.coordinates, result.coordinates["t"])
    if case.equation.correction in limits:
        correction = limits.load(case.equation.correction)
        eps, times = result.coordinates["eps"], result.coordinates["t"]
        for i, number in enumerate(eps):
            try:
                fields = correction(float(number)).solve(case, result.coordinates, times)
            except (NumericalError, BadInput) as error:
                screen.say(f"{case.equation.correction} left out at eps = {number:g}: {error}")
                continue
            for name, value in fields.items():
                result.correction.setdefault(name, np.full((len(eps), *value.shape), np.nan))[i] = value
