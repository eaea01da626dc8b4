"""`kinetic train CASE`: one network for all Knudsen numbers of a case."""

import signal
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import numpy as np
import typer

from solvers.problem.case import Case
from solvers.problem.distance import cell_weights, relative_l2
from solvers.problem.result import Result, atomic_hdf5, checkpoint_path, open_hdf5, probe, read_tree, write_tree
from solvers.problem.status import BadInput, NumericalError, Snapshot, Status

from . import screen
from .cases import CaseFile, Results, Settings, Variant, load_case, result_path, train_options
from .comparison import error_rows
from .provenance import peak_memory_mib, provenance
from .sheets import errors_sheet

#: looks at the error against the reference: the first after so many seconds of training, the next at so many times that
FIRST_LOOK, NEXT_LOOK = 1.0, 1.25
SPACE = ("x", "y")
#: scalars of a look that come now and then, as the live view calls them
LOOKS = {"estimate": "estimated error", "fresh": "loss at other points"}
#: so many times the training loss at other points says that a network has fitted its own
FITTED = 30.0
#: options that may change between a checkpoint and its continuation
BUDGET = ("time_limit", "target", "checkpoint_seconds", "diagnose", "learning_rate")


class Interrupt:
    """Ctrl-C asks the run to stop after the step at hand, so that the state on disk is one state; a second one insists."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "Interrupt":
        self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        screen.say("stopping after this step (Ctrl-C again to stop at once)")

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, self.before)


class Device(StrEnum):
    """Where tensors live."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


TimeLimit = Annotated[float | None, typer.Option(help="Stop after so many seconds of training with a valid result.")]
Target = Annotated[
    float | None,
    typer.Option(help="Stop as soon as the estimated error of rho is below this for every Knudsen number."),
]


def train(
    case_file: CaseFile,
    method: Annotated[str | None, typer.Option(help="Multi-task method: ls, pcgrad, config, hrgrad, ...")] = None,
    optimizer: Annotated[str | None, typer.Option(help="First-order optimizer.")] = None,
    formulation: Annotated[str | None, typer.Option(help="AP formulation of the equation.")] = None,
    network: Annotated[str | None, typer.Option(help="Network architecture.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Learnt code of eps: none, p2inn, mad.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the first-order phase.")] = None,
    second_steps: Annotated[int | None, typer.Option(help="Steps of the second-order phase.")] = None,
    time_limit: TimeLimit = None,
    target: Target = None,
    seed: Annotated[int | None, typer.Option(help="Seed; fixes a run on one device.")] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, exactly.")] = False,
    variant: Variant = None,
    settings: Settings = [],  # noqa: B006 typer copies it
    out: Results = Path("results"),
    name: Annotated[str | None, typer.Option(help="Name of the result file, else <method>-seed<N>.")] = None,
) -> None:
    """Train one network on CASE and write results/<case>/<method>-seed<N>.h5.

    Example: kinetic train cases/sod.toml --method hrgrad --time-limit 60
    """
    chosen = {"method": method, "optimizer": optimizer, "formulation": formulation, "network": network}
    chosen["encoder"] = encoder
    numbers = {"steps": steps, "second_steps": second_steps, "seed": seed, "time_limit": time_limit, "target": target}
    flags = {key: value for key, value in {**chosen, **numbers}.items() if value is not None}
    settings = [*settings, *(f"train.{key}={_toml(value)}" for key, value in flags.items())]
    case = load_case(case_file, variant, settings)
    options = train_options(case)
    run = name or f"{options.method}-seed{options.seed}"
    path = result_path(out, case, run)
    place = place_of(device)
    result, state = start_result(case, run, path, resume)
    result.attributes |= {"method": options.method, "seed": options.seed, "dtype": options.precision, "device": place}
    screen.say(f"{case.name}: {options.formulation}, {options.network}, {options.method} on {place}")
    Training(case, options, result, path, out).run(place, state)


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def place_of(device: Device) -> str:
    """cuda where it is there and wanted."""
    import torch

    available = torch.cuda.is_available()
    if device is Device.cuda and not available:
        raise BadInput("--device cuda: no CUDA device is available here; use --device cpu")
    return "cuda" if device is not Device.cpu and available else "cpu"


def start_result(case: Case, run: str, path: Path, resume: bool) -> tuple[Result, Mapping[str, Any] | None]:
    """A fresh result, or the one at `path` with the state of its checkpoint."""
    probe(path)
    if not resume:
        result = Result.empty(case, "train", run, {}, case.knudsen.all)
        result.attributes |= {**provenance(), "wall_seconds": 0.0}
        return result, None
    checkpoint = checkpoint_path(path)
    if not checkpoint.exists():
        raise BadInput(f"--resume: there is no checkpoint {checkpoint} to go on from; run without --resume")
    result = Result.read(path)
    with open_hdf5(checkpoint) as file:
        if file.attrs.get("problem_sha256") != case.problem_sha256 or file.attrs.get("train") != _train_key(case):
            raise BadInput(
                f"--resume: {checkpoint} is of another run{_changes(result.case, case)}; run without --resume"
            )
        state = read_tree(file["state"])
    result.case, result.status = case, Status.RUNNING
    # a run that was killed or diverged may have logged more than its last checkpoint knows
    kept = sum(iteration <= state["step"] for iteration in result.history.get("iteration", []))
    result.history = {column: values[:kept] for column, values in result.history.items()}
    return result, state


def _changes(old: Case, new: Case) -> str:
    """What keeps a checkpoint from being continued, for people."""
    if old.problem_sha256 != new.problem_sha256:
        return f": another problem, {old.name}" * (old.name != new.name) or ": the problem has changed"
    keys = sorted(key for key in old.train.keys() | new.train.keys() if key not in BUDGET)
    pairs = [(key, old.train.get(key, "default"), new.train.get(key, "default")) for key in keys]
    return "".join(f", train.{key} = {there} there and {here} here" for key, there, here in pairs if there != here)


def _train_key(case: Case) -> str:
    """What must not change between a checkpoint and its continuation: everything but the budget."""
    return repr(sorted((k, v) for k, v in case.train.items() if k not in BUDGET))


class Training:
    """One run: the engine's stream to the screen, to the checkpoint and to the result file."""

    def __init__(self, case: Case, options: Any, result: Result, path: Path, out: Path) -> None:
        self.case, self.options, self.result, self.path = case, options, result, path
        self.earlier = float(result.attributes.get("wall_seconds", 0.0))
        self.begin = self.saved = time.perf_counter()
        self.look = max([FIRST_LOOK, *(NEXT_LOOK * s for s in result.history.get("seconds", [])[-1:])])
        self.state: Mapping[str, Any] | None = None
        self.error: float | None = None
        self.looks: dict[str, float] = {}
        self.first: tuple[float, float] | None = None
        self.model: Any = None
        self.reference = self._reference(out / case.name / "reference.h5")

    def _reference(self, path: Path) -> Result | None:
        """The reference of the same problem, for the live error and for the grid."""
        if not path.exists():
            return None
        try:
            found = Result.read(path)
        except BadInput:
            return None
        return found if found.case.problem_sha256 == self.case.problem_sha256 and "rho" in found.fields else None

    def run(self, device: str, state: Mapping[str, Any] | None, start: Any = None) -> None:
        from apnn.train import train as train_network

        status, message = Status.DONE, ""
        self.state = state
        last: Snapshot | None = None
        try:
            with Interrupt() as interrupt, screen.board(f"{self.case.name} {self.options.method}") as board:
                board.update(0.0, {}, "-", "preparing the points and what is known of the solution")
                for snapshot in train_network(self.case, self.options, device, state, start):
                    last = snapshot
                    self.take(snapshot)
                    share, eta = self._share(snapshot)
                    board.update(share, self._numbers(snapshot), eta, self.warning)
                    if interrupt.asked:
                        status = Status.INTERRUPTED
                        break
            if status is Status.DONE and last is not None and last.progress < 1.0:
                status = Status.TIME_LIMIT
        except NumericalError as error:
            status, message = Status.DIVERGED, str(error)
        self.close(status, message)

    def _share(self, snapshot: Snapshot) -> tuple[float, str]:
        """How far the run is, and the time left at its pace since its first snapshot."""
        limit, share, now = self.options.time_limit, snapshot.progress, time.perf_counter()
        if limit:
            share = max(share, min(1.0, snapshot.scalars["seconds"] / limit))
        self.first = self.first or (now, share)
        elapsed, gained = now - self.first[0], share - self.first[1]
        return share, screen.duration(elapsed * (1.0 - share) / gained) if gained > 0.0 else "-"

    def _numbers(self, snapshot: Snapshot) -> dict[str, str]:
        """What the live view shows: the last looks at the error stay until the next."""
        found = {key: value for key, value in snapshot.scalars.items() if key != "seconds"}
        self.looks |= {LOOKS[key]: found.pop(key) for key in LOOKS if key in found}
        seen = self.looks if self.error is None else {"error rho": self.error, **self.looks}
        return {"step": str(snapshot.step), **{key: screen.number(value) for key, value in {**seen, **found}.items()}}

    @property
    def warning(self) -> str:
        """What to say of a network that has fitted its points, else nothing."""
        fitted = float((self.state or {}).get("fitted", 1.0))
        if fitted <= FITTED:
            return ""
        return (
            f"the network has fitted its points: at others the loss is {fitted:.0e} times as high; draw them anew more often "
            "(train.refresh) or more of them (train.points)"
        )

    def take(self, snapshot: Snapshot) -> None:
        """Log one snapshot, with the error against the reference now and then; write a checkpoint now and then."""
        if snapshot.state is not None:
            self.state = snapshot.state
        row = {"iteration": float(snapshot.step), **snapshot.scalars, **snapshot.arrays}
        seconds = snapshot.scalars.get("seconds", 0.0)
        if self.reference is not None and (seconds > self.look or snapshot.progress == 1.0):
            self.error = row["error_rho"] = self._live_error()
            self.look = NEXT_LOOK * seconds
        self.result.log(row)
        if snapshot.state is not None and time.perf_counter() - self.saved >= self.options.checkpoint_seconds:
            self.save()
            self.saved = time.perf_counter()

    def _live_error(self) -> float:
        """Largest relative L2 error of the network's own rho over the reference's Knudsen numbers, at the output times."""
        assert self.reference is not None
        axes = self.reference.coordinates
        fields = self.predict(list(axes["eps"]), axes["t"], *(axes[axis] for axis in SPACE if axis in axes), fly=False)
        weights = cell_weights(axes)
        pairs = zip(fields["rho"], self.reference.fields["rho"], strict=True)
        return max(relative_l2(ours, theirs, weights) for ours, theirs in pairs)

    def predict(self, eps: list[float], times: Any, *space: Any, fly: bool = True) -> dict[str, Any]:
        from apnn.model import Model, evaluate

        assert self.state is not None
        if self.model is None:  # a formulation may have much to prepare: once for all looks
            self.model = Model(self.case, self.options, "cpu")
        found: dict[str, Any] = evaluate(self.model, self.state, eps, times, *space, fly=fly)
        return found

    def save(self) -> None:
        """Checkpoint first, then the result without fields: each is replaced whole."""
        attributes = {"problem_sha256": self.case.problem_sha256, "train": _train_key(self.case)}

        def fill(file: Any) -> None:
            file.attrs.update(attributes)
            write_tree(file.create_group("state"), self.state or {})

        atomic_hdf5(checkpoint_path(self.path), fill)
        self._write()

    def _write(self) -> None:
        self.result.attributes["wall_seconds"] = self.earlier + time.perf_counter() - self.begin
        self.result.attributes["peak_memory_mib"] = peak_memory_mib()
        self.result.write(self.path)

    def close(self, status: Status, message: str) -> None:
        """Evaluate the network on the reference's grid, write everything, print the closing table."""
        result = self.result
        result.status, result.message = status, message
        if self.state is None:
            raise NumericalError(
                message
            )  # nothing but a loss that was not finite from the start ends a run without a step
        steps = int(self.state["step"])
        known = self.reference.coordinates if self.reference else default_grid(self.case)
        space = {axis: np.asarray(known[axis]) for axis in SPACE if axis in known}
        result.coordinates |= space
        eps = list(result.coordinates["eps"])
        with screen.busy("evaluating the fields"):
            result.fields = self.predict(eps, result.coordinates["t"], *space.values())
        result.network = {"theta": np.asarray(self.state["theta"]), "steps": steps}
        estimate = np.asarray(self.state.get("estimate", np.full(len(eps), np.nan)))
        if np.isfinite(estimate).any():  # one number for all times
            result.uncertainty["rho"] = np.repeat(estimate[:, None], len(result.coordinates["t"]), axis=1)
        if status is Status.DIVERGED:
            # the optimizer's arrays have moved on since the last good step: a restart begins with fresh ones
            self.state = {key: value for key, value in self.state.items() if key != "inner"}
        self.save()
        if self.reference is not None:
            rows, reason = error_rows(result, self.reference)
            errors_sheet(result, rows).show()
            if reason:
                screen.say(f"not compared: {reason}")
        else:
            lines = [[f"{e:g}", screen.number(value)] for e, value in zip(eps, estimate, strict=True)]
            screen.table(f"{self.case.name}: {result.run}, estimated without a reference", ["eps", "rho"], lines)
            screen.say(f"no reference of this problem yet: run `kinetic reference` for {self.case.name} to see errors")
        if np.isfinite(estimate).any():
            unknown = ", ".join(f"{e:g}" for e, value in zip(eps, estimate, strict=True) if not np.isfinite(value))
            rest = f"; not known at eps = {unknown}, where a residual has not halved yet" if unknown else ""
            screen.say(f"estimated without a reference: relative L2 error of rho up to {np.nanmax(estimate):.1e}{rest}")
        if self.warning:
            screen.say(self.warning)
        spent = screen.duration(result.attributes["wall_seconds"])
        goes_on = "; the same command with --resume goes on" if status is Status.INTERRUPTED else ""
        screen.say(f"{status}: {steps} steps in {spent}{goes_on}")
        screen.answer(str(self.path))
        if status is Status.DIVERGED:
            smaller = f"--resume --set train.learning_rate={self.options.learning_rate / 10:g}"
            raise NumericalError(
                f"{message}; the last good state, step {steps}, is in {self.path}: the same command with {smaller} goes on from it"
            )
        if status is Status.INTERRUPTED:
            raise KeyboardInterrupt


def default_grid(case: Case, cells: int = 200) -> dict[str, Any]:
    """Cell centres of a uniform grid on the case's domain, by axis."""
    intervals = [(axis, getattr(case.domain, axis)) for axis in SPACE]
    ranges = {axis: interval for axis, interval in intervals if interval is not None}
    return {axis: low + (high - low) * (np.arange(cells) + 0.5) / cells for axis, (low, high) in ranges.items()}
