"""`kinetic study CASE...`: the whole matrix case x method x seed, every cell a result file; interrupted and resumed at will.

A cell is one `kinetic train` in a process of its own with its threads pinned, so a crash or a kill costs one cell.  What is
done is recognised by the hash of its resolved case and skipped; what was interrupted goes on from its checkpoint.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from solvers.problem.case import Case
from solvers.problem.registry import nearest
from solvers.problem.result import Result, checkpoint_path
from solvers.problem.status import BadInput, KineticError, Status

from . import screen
from .cases import Results, Settings, load_case
from .comparison import comparison
from .kinds import KINDS
from .metrics import SINGLE
from .sheets import summary_sheet

#: seconds between looks at the running cells
POLL = 0.2
#: half width in log10 of the interval that single-Knudsen training draws from
SINGLE_WIDTH = 1e-3
FINISHED = (Status.DONE, Status.TIME_LIMIT)


@dataclass
class Cell:
    """One run: `words` of its command, the file it writes, the case it resolves to; what became of it."""

    label: str
    words: list[str]
    path: Path
    case: Case
    process: subprocess.Popen[str] | None = None
    start: float = 0.0
    seconds: float = 0.0
    problem: str = ""

    @property
    def resumable(self) -> bool:
        """True if an interrupted result of this very case lies there with its checkpoint."""
        return self._status() not in (None, *FINISHED, Status.DIVERGED) and checkpoint_path(self.path).exists()

    @property
    def done(self) -> bool:
        """True if a finished result of this very case is there."""
        return self._status() in FINISHED

    def _status(self) -> Status | None:
        try:
            result = Result.read(self.path)
        except BadInput:
            return None
        return result.status if result.case.sha256 == self.case.sha256 else None


def study(
    case_files: Annotated[list[Path], typer.Argument(metavar="CASE", help="Case files.")],
    methods: Annotated[str, typer.Option(metavar="A,B,...", help="Multi-task methods.")] = "ls,config,hrgrad",
    seeds: Annotated[str, typer.Option(metavar="0..4", help="Seeds: a range 0..4 or a list 0,3,7.")] = "0",
    formulations: Annotated[str | None, typer.Option(metavar="A,B,...", help="AP formulations, crossed.")] = None,
    networks: Annotated[str | None, typer.Option(metavar="A,B,...", help="Networks, crossed.")] = None,
    optimizers: Annotated[str | None, typer.Option(metavar="A,B,...", help="First-order optimizers, crossed.")] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Equal budget: first-order steps of every cell.")] = None,
    second_steps: Annotated[int | None, typer.Option(min=0, help="Equal budget: second-order steps.")] = None,
    time_limit: Annotated[float | None, typer.Option(min=0.0, help="Equal budget: seconds of every cell.")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Count processor seconds: fair on a busy machine.")] = False,
    single: Annotated[bool, typer.Option("--single", help="Train for each Knudsen number alone, too (STL).")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Cells at a time; each has its own thread.")] = 1,
    settings: Settings = [],  # noqa: B006 typer copies it
    out: Results = Path("results"),
    plan: Annotated[bool, typer.Option("--plan", help="List the cells and what is done; run nothing.")] = False,
) -> None:
    """Train every case with every method and seed, skipping what is done, and rank them.

    Example: kinetic study cases/sod.toml --methods ls,config,hrgrad --seeds 0..2 --time-limit 60 --workers 2
    """
    choices = {"formulation": formulations, "network": networks, "optimizer": optimizers}
    chosen = {"method": names("methods", methods)}
    chosen |= {key: names(f"{key}s", text) for key, text in choices.items() if text}
    if cpu and not time_limit:
        raise BadInput("--cpu: counts the seconds of --time-limit; give one")
    limits = {"steps": steps, "second_steps": second_steps, "time_limit": time_limit or None}
    budget = [f"train.{key}={value}" for key, value in limits.items() if value is not None]
    budget += ['train.clock="cpu"'] * cpu
    cells: list[Cell] = []
    references: list[Cell] = []
    for file in case_files:
        base = load_case(file, None, settings)
        path = out / base.name / "reference.h5"
        references.append(Cell(f"{base.name} reference", ["reference", str(file)], path, base))
        cells += train_cells(file, base, chosen, numbers(seeds), [*settings, *budget], out, single)
    for cell in references:
        cell.words += [word for text in settings for word in ("--set", text)] + ["--out", str(out)]
    if plan:
        rows = [[cell.label, "done" if cell.done else "resume" if cell.resumable else "to do"] for cell in cells]
        screen.table(f"{len(cells)} cells", ["cell", "state"], rows, right=False)
        return
    todo = [cell for cell in [*references, *cells] if not cell.done]
    screen.say(f"{len(cells)} cells: {len(cells) - sum(cell in todo for cell in cells)} done")
    Pool(todo, workers).run()
    failed = [cell for cell in todo if cell.problem]
    for cell in failed:
        screen.say(f"{cell.label}: {cell.problem}")
    found = comparison(sorted({cell.path.parent for cell in cells}))
    if found["summary"]:
        summary_sheet(found["summary"], found["ranks"].get("tasks", 0)).show()
    screen.answer("\n".join(str(cell.path) for cell in cells if cell.path.exists()))
    if failed:
        raise KineticError(f"{len(failed)} of {len(todo)} runs failed; the same command tries them again")


def names(kind: str, text: str) -> list[str]:
    """Names of one registry from a comma-separated text."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    for name in found:
        if name not in KINDS[kind] and not (kind == "optimizers" and name == "auto"):
            raise BadInput(f"--{kind} {name}: {nearest(name, KINDS[kind].names())}")
    if not found or len(set(found)) < len(found):
        raise BadInput(f"--{kind} {text}: name each once, separated by commas")
    return found


def numbers(text: str) -> list[int]:
    """Seeds from `0..4` (both ends included) or `0,3,7`."""
    low, dots, high = text.partition("..")
    try:
        found = list(range(int(low), int(high) + 1)) if dots else [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise BadInput(f"--seeds {text}: write a range 0..4 or a list 0,3,7")
    return found


def train_cells(
    file: Path, base: Case, chosen: dict[str, list[str]], seeds: list[int], settings: list[str], out: Path, single: bool
) -> list[Cell]:
    """The cells of one case; a run's name says its method and whatever else was chosen, then its seed."""
    cells = []
    for values, seed in product(product(*chosen.values()), seeds):
        pairs = dict(zip(chosen, values, strict=True))
        own = [*settings, *(f'train.{key}="{value}"' for key, value in pairs.items()), f"train.seed={seed}"]
        cells.append(train_cell(file, f"{'.'.join(values)}-seed{seed}", own, base, out))
    for eps, seed in product(base.knudsen.all if single else (), seeds):
        low, high = eps * 10.0**-SINGLE_WIDTH, eps * 10.0**SINGLE_WIDTH
        own = [*settings, f"knudsen.evaluate=[{eps!r}]", "knudsen.unseen=[]", f"knudsen.train=[{low!r}, {high!r}]"]
        own += ["train.tasks=1", 'train.method="ls"', f"train.seed={seed}"]
        cells.append(train_cell(file, f"{SINGLE}-eps{eps:g}-seed{seed}", own, base, out))
    return cells


def train_cell(file: Path, run: str, settings: list[str], base: Case, out: Path) -> Cell:
    words = ["train", str(file), "--name", run, "--out", str(out)]
    words += [word for text in settings for word in ("--set", text)]
    return Cell(f"{base.name} {run}", words, out / base.name / f"{run}.h5", load_case(file, None, settings))


@dataclass
class Pool:
    """Runs cells side by side, references first, each in a process of its own."""

    cells: list[Cell]
    workers: int
    running: list[Cell] = field(default_factory=list)
    finished: list[Cell] = field(default_factory=list)

    def run(self) -> None:
        """Run all cells; Ctrl-C stops them with valid results and is passed on."""
        waiting = list(self.cells)
        begin = time.perf_counter()
        with screen.board("study") as board:
            try:
                while waiting or self.running:
                    while waiting and len(self.running) < self.workers and self._ready(waiting[0]):
                        self._start(waiting.pop(0))
                    time.sleep(POLL)
                    self._collect()
                    self._show(board, begin)
            except KeyboardInterrupt:
                self._stop()
                raise

    def _ready(self, cell: Cell) -> bool:
        """Trainings wait until the references are there: they are evaluated on the reference's grid."""
        return cell.words[0] == "reference" or not any(other.words[0] == "reference" for other in self.running)

    def _start(self, cell: Cell) -> None:
        code = "from kinetic_cli.app import main; main()"
        command = [sys.executable, "-c", code, "--quiet", *cell.words, *(["--resume"] if cell.resumable else [])]
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
        )
        environment = {**os.environ, **(threads if cell.words[0] == "train" else {})}
        cell.start = time.perf_counter()
        cell.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.running.append(cell)

    def _collect(self) -> None:
        for cell in list(self.running):
            assert cell.process is not None
            if cell.process.poll() is None:
                continue
            self.running.remove(cell)
            self.finished.append(cell)
            cell.seconds = time.perf_counter() - cell.start
            assert cell.process.stderr is not None
            text = cell.process.stderr.read().strip()
            if cell.process.returncode:
                cell.problem = f"exit {cell.process.returncode}: {text.splitlines()[-1] if text else 'no message'}"
            screen.say(f"{cell.label}: {cell.problem or 'done'} in {screen.duration(cell.seconds)}")

    def _show(self, board: screen.Board, begin: float) -> None:
        done, total = len(self.finished), len(self.cells)
        elapsed = time.perf_counter() - begin
        eta = screen.duration(elapsed * (total - done) / done) if done else "-"
        shown = {"done": f"{done}/{total}", "failed": str(sum(bool(cell.problem) for cell in self.finished))}
        for cell in self.running:
            shown[cell.label] = screen.duration(time.perf_counter() - cell.start)
        board.update(done / total if total else 1.0, shown, eta)

    def _stop(self) -> None:
        """Ask every running cell to end with a valid result, and wait for it."""
        screen.say("stopping: every running cell ends after its step")
        for cell in self.running:
            if cell.process is not None:
                cell.process.send_signal(signal.SIGINT)
        for cell in self.running:
            if cell.process is not None:
                cell.process.communicate()
        screen.say("stopped; the same command goes on")
