"""Everything that appears in a terminal: the only file that imports rich.

Answers go to stdout, progress and notes to stderr; no bars when stderr is not a terminal.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

answers = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 120)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """A note for people, on stderr."""
    notes.print(message, markup=False)


def answer(text: str) -> None:
    """An answer, on stdout, exactly as it is."""
    sys.stdout.write(text + "\n")


def be_quiet() -> None:
    """Silence notes and progress (errors are printed all the same)."""
    notes.quiet = True


def complain(message: str) -> None:
    """An error for people, on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text("error: ", style="bold red") + Text(message))


def number(value: float | None, digits: int = 2) -> str:
    """Short scientific form; a dash where there is no number."""
    if value is None or value != value:
        return "-"
    return f"{value:.{digits}e}" if value != 0 else "0"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: bool = True) -> None:
    """Print a table of answers; the first column is left-aligned, the others right-aligned.

    No number is broken over two lines: a table that is too wide stands closer, or goes on below with its first column again.
    """
    answers.print(Text(title, style="bold"))
    rows = [list(row) for row in rows]
    cells = [[column, *(row[k] for row in rows)] for k, column in enumerate(columns)]
    needed = [max((cell_len(word) for cell in column for word in cell.split()), default=0) for column in cells]
    close = sum(needed) + 2 * (len(needed) - 1) > answers.width
    for chosen in fitting(needed, answers.width):
        view = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=close, header_style="dim")
        for k in chosen:
            rigid = max(map(cell_len, cells[k])) <= needed[k] <= answers.width // 2
            justify: Literal["left", "right"] = "right" if k and right else "left"
            view.add_column(columns[k], justify=justify, overflow="fold", no_wrap=rigid)
        for row in rows:
            view.add_row(*(Text(row[k]) for k in chosen))
        answers.print(view)


def fitting(needed: Sequence[int], width: int) -> list[list[int]]:
    """Columns that stand side by side, by their least widths and one blank: the first in every part."""
    parts: list[list[int]] = [[0]]
    for k in range(1, len(needed)):
        part = [*parts[-1], k]
        if sum(needed[n] + 1 for n in part) - 1 > width and len(part) > 2:
            part = [0, k]
            parts.append(part)
        else:
            parts[-1] = part
    return parts


class Meter(Protocol):
    """Shows how far a run is."""

    def update(self, share: float, text: str = "") -> None: ...


class _Bar:
    def __init__(self, progress: Progress, label: str) -> None:
        self.progress = progress
        self.task = progress.add_task(label, total=1.0, info="")

    def update(self, share: float, text: str = "") -> None:
        self.progress.update(self.task, completed=share, info=text)


class _Silent:
    def update(self, share: float, text: str = "") -> None:
        return


@contextmanager
def meter(label: str) -> Iterator[Meter]:
    """A bar with elapsed and remaining time; silent when stderr is not a terminal."""
    if not notes.is_terminal or notes.quiet:
        yield _Silent()
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"))
    times = (TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(), TextColumn("{task.fields[info]}"))
    with Progress(*columns, *times, console=notes, transient=True) as progress:
        yield _Bar(progress, label)


class Board:
    """The live view of a training: a bar and a table of named numbers."""

    def __init__(self, live: Live | None, title: str) -> None:
        self.live = live
        self.title = title

    def update(self, share: float, numbers: dict[str, str], eta: str, note: str = "") -> None:
        """Show how far the run is, named numbers, the time left, and what else there is to say."""
        if self.live is None:
            return
        width = max(10, min(40, notes.width - cell_len(self.title) - 30))
        done = round(share * width)
        head = f"{self.title}  [{'=' * done}{' ' * (width - done)}] {share:4.0%}  eta {eta}"
        grid = Table.grid(padding=(0, 2))
        per_row = max(1, notes.width // 30)
        cells = [f"{name} {value}" for name, value in numbers.items()]
        for start in range(0, len(cells), per_row):
            row = cells[start : start + per_row]
            grid.add_row(*(Text(cell, no_wrap=True) for cell in row))
        view = Table.grid()
        view.add_row(Text(head, no_wrap=True))
        if cells:
            view.add_row(grid)
        if note:
            view.add_row(Text(note, style="yellow"))
        self.live.update(view)


@contextmanager
def board(title: str) -> Iterator[Board]:
    """A live view on stderr; nothing when stderr is not a terminal."""
    if not notes.is_terminal or notes.quiet:
        yield Board(None, title)
        return
    with Live(console=notes, refresh_per_second=4, transient=True) as live:
        yield Board(live, title)


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Say on stderr what takes a while; nothing when stderr is not a terminal."""
    if not notes.is_terminal or notes.quiet:
        yield
        return
    with notes.status(text):
        yield


def duration(seconds: float) -> str:
    """Seconds for people: 4.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds != seconds or seconds == float("inf"):
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
