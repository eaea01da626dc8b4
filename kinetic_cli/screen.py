"""Everything that appears in a terminal: the only file that imports rich.

Answers go to stdout, progress and notes to stderr; no bars when stderr is not a terminal.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

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
    """Print a table of answers; the first column is left-aligned, the others right-aligned."""
    answers.print(Text(title, style="bold"))
    view = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for k, column in enumerate(columns):
        view.add_column(column, justify="right" if k and right else "left", overflow="fold")
    for row in rows:
        view.add_row(*(Text(cell) for cell in row))
    answers.print(view)


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

    def update(self, share: float, numbers: dict[str, str], eta: str) -> None:
        if self.live is None:
            return
        width = max(10, min(40, notes.width - 40))
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
        view.add_row(grid)
        self.live.update(view)


@contextmanager
def board(title: str) -> Iterator[Board]:
    """A live view on stderr; nothing when stderr is not a terminal."""
    if not notes.is_terminal or notes.quiet:
        yield Board(None, title)
        return
    with Live(console=notes, refresh_per_second=4, transient=True) as live:
        yield Board(live, title)


def duration(seconds: float) -> str:
    """Seconds for people: 4.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds != seconds or seconds == float("inf"):
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
