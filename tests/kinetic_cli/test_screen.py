"""What appears in a terminal: tables that fit, the live view of a training."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from kinetic_cli import screen
from kinetic_cli.train import FITTED, Training
from solvers.problem.read import read_case
from solvers.problem.result import Result
from solvers.problem.status import Snapshot


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal of 80 columns shows, answers and notes together."""
    shown = io.StringIO()
    for name in ("answers", "notes"):
        console = Console(file=shown, force_terminal=True, width=80, color_system=None, highlight=False)
        monkeypatch.setattr(screen, name, console)
    return shown


@pytest.mark.parametrize("count", [4, 6, 9])
def test_no_number_is_broken_over_two_lines(terminal, count):
    """The error table of ES-BGK has nine columns of numbers, 101 characters with the first two."""
    numbers = [f"~{k + 1}.3e-{k + 10}" for k in range(count)]
    screen.table("errors", ["eps", "", *map(str, range(count))], [["0.0001", "unseen", *numbers]])
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    words = terminal.getvalue().split()
    assert all(number in words for number in numbers)
    assert words.count("0.0001") == 1 + (count == 9), "the first column stands in every part"


def test_text_is_wrapped_between_words(terminal):
    screen.table("kinds", ["name", "what"], [["short", "a long sentence " * 8]], right=False)
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert terminal.getvalue().count("sentence") == 8


@pytest.fixture
def training(tmp_path):
    case = read_case("cases/sod.toml")
    result = Result.empty(case, "train", "ls-seed0", {}, case.knudsen.all)
    return Training(case, SimpleNamespace(time_limit=None), result, tmp_path / "a.h5", tmp_path)


def test_live_view_keeps_the_last_look(training):
    first = training._numbers(Snapshot(0.1, 10, scalars={"loss": 1.0, "seconds": 1.0, "estimate": 0.5, "fresh": 2.0}))
    later = training._numbers(Snapshot(0.2, 20, scalars={"loss": 0.1, "seconds": 2.0}))
    assert first["estimated error"] == later["estimated error"] == "5.00e-01"
    assert first["loss at other points"] == later["loss at other points"] == "2.00e+00"
    assert later["loss"] == "1.00e-01"


def test_time_left_stands_beside_the_longest_name(terminal):
    with screen.board("transport_variable_scattering alignedmtl") as board:
        board.update(0.25, {"step": "10"}, "12 min 04 s")
        board.live.refresh()
    assert " 25%  eta 12 min 04 s" in terminal.getvalue()


def test_live_view_warns_of_a_network_that_has_fitted_its_points(training, terminal):
    with screen.board("sod ls") as board:
        board.update(0.0, {}, "-", "preparing")
        board.live.refresh()
        assert "preparing" in terminal.getvalue()
        training.state = {"fitted": 0.9 * FITTED}
        board.update(0.5, {"step": "10"}, "1 s", training.warning)
        assert "fitted" not in terminal.getvalue()
        training.state = {"fitted": 2.0 * FITTED}
        board.update(0.6, {"step": "20"}, "1 s", training.warning)
        board.live.refresh()
    assert "has fitted its points" in terminal.getvalue()


def test_time_left_of_a_continued_training_counts_from_where_it_goes_on(training, monkeypatch):
    """Nine tenths were there; half of the rest took five seconds, the other half takes five more."""
    clock = iter([100.0, 105.0])
    monkeypatch.setattr("kinetic_cli.train.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert training._share(Snapshot(0.9, 900, scalars={"seconds": 90.0})) == (0.9, "-")
    assert training._share(Snapshot(0.95, 950, scalars={"seconds": 95.0}))[1] == "5.0 s"
