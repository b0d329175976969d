"""Progress is a bar for each task on a terminal, and a line now and then without one."""

import io
import time

import pytest

from ray_defense.cli.progress_display import showing_progress
from ray_defense.core.progress import report_progress


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_a_terminal_shows_a_bar_for_each_task(terminal: Terminal):
    with showing_progress(quiet=False, stream=terminal):
        report_progress("probe\x1b[31m", 3, 35)
        report_progress("d_br", 1, 20)
        report_progress("ingest", 0, 1, note="waiting for another run of it")
    shown = terminal.getvalue()
    assert "3/35" in shown
    assert "1/20" in shown
    assert r"probe\x1b[31m" in shown
    assert "probe\x1b[31m" not in shown
    assert "ingest: waiting for another run of it" in shown


@pytest.mark.parametrize("stream_type", [Terminal, io.StringIO])
def test_nothing_is_shown_quietly(stream_type: type[io.StringIO]):
    stream = stream_type()
    with showing_progress(quiet=True, stream=stream):
        report_progress("probe", 3, 35)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream_type", [Terminal, io.StringIO])
def test_what_is_reported_later_is_not_shown(
    stream_type: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "xterm")
    stream = stream_type()
    with showing_progress(quiet=False, stream=stream):
        report_progress("probe", 3, 35)
    shown = stream.getvalue()
    report_progress("probe", 4, 35)
    assert stream.getvalue() == shown


def test_without_a_terminal_a_line_is_shown_at_the_begin_at_the_end_and_every_30_s(clock: Clock):
    stream = io.StringIO()
    with showing_progress(quiet=False, stream=stream):
        for num_done in range(1, 101):
            report_progress("probe", num_done, 100)
            clock.now += 1
    assert stream.getvalue().splitlines() == [
        "probe: 1 of 100 (0 s)",
        "probe: 31 of 100 (30 s)",
        "probe: 61 of 100 (60 s)",
        "probe: 91 of 100 (90 s)",
        "probe: 100 of 100 (99 s)",
    ]


def test_without_a_terminal_each_task_has_its_own_time(clock: Clock):
    stream = io.StringIO()
    with showing_progress(quiet=False, stream=stream):
        report_progress("probe", 0, 2)
        clock.now += 20
        report_progress("evidence", 0, 9)
        clock.now += 15
        report_progress("probe", 1, 2)
        report_progress("evidence", 1, 9)
        report_progress("probe", 2, 2)
        clock.now += 1
        report_progress("probe", 0, 2)
    assert stream.getvalue().splitlines() == [
        "probe: 0 of 2 (0 s)",
        "evidence: 0 of 9 (0 s)",
        "probe: 1 of 2 (35 s)",
        "probe: 2 of 2 (35 s)",
        "probe: 0 of 2 (0 s)",
    ]


def test_without_a_terminal_a_note_is_shown_at_once_and_nothing_but_text(clock: Clock):
    stream = io.StringIO()
    with showing_progress(quiet=False, stream=stream):
        report_progress("probe\x1b[31m", 0, 2)
        clock.now += 1
        report_progress("probe\x1b[31m", 0, 2, note="waiting\nfor another run of it")
    assert stream.getvalue().splitlines() == [
        r"probe\x1b[31m: 0 of 2 (0 s)",
        r"probe\x1b[31m: 0 of 2, waiting\nfor another run of it (1 s)",
    ]


def test_without_a_terminal_a_wait_is_told_as_it_begins_and_then_every_30_s(clock: Clock):
    stream = io.StringIO()
    with showing_progress(quiet=False, stream=stream):
        for _ in range(130):
            report_progress("probe", 0, 1, note="waiting for process 7")
            clock.now += 0.5
        report_progress("probe", 0, 1, note="waiting for process 8")
    assert stream.getvalue().splitlines() == [
        "probe: 0 of 1, waiting for process 7 (0 s)",
        "probe: 0 of 1, waiting for process 7 (30 s)",
        "probe: 0 of 1, waiting for process 7 (60 s)",
        "probe: 0 of 1, waiting for process 8 (65 s)",
    ]
