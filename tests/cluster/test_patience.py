"""When work that brings nothing is given up: decided without Ray.

Row 3 of the faults, a worker that is stopped or slow: the run ends with a message, after a time
that is stated and can be chosen.
"""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ray_defense.cluster.patience import NOTE_EVERY_S, PATIENCE_S, Patience, Watchdog
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.sealed import read_sealed_json
from ray_defense.execution.placement import Placement


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_policy_imports_no_ray() -> None:
    code = "import sys, ray_defense.cluster.patience; print('ray' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "False\n"


def test_work_that_brings_nothing_is_given_up_after_the_patience_and_not_before() -> None:
    clock = Clock()
    patience = Patience(600.0, clock)
    clock.now_s += 599.0
    patience.check("scoring", "an actor hangs")
    clock.now_s += 1.0
    message = "nothing of scoring was finished in 600 s: an actor hangs; run again to resume, or "
    with pytest.raises(RunError, match=message) as raised:
        patience.check("scoring", "an actor hangs")
    assert "--placement patience_s=SECONDS" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_news_give_the_whole_patience_again() -> None:
    clock = Clock()
    patience = Patience(600.0, clock)
    for _ in range(5):
        clock.now_s += 500.0
        patience.check("scoring", "an actor hangs")
        patience.news()
    assert patience.left_s == 600.0


def test_who_waits_is_told_every_five_minutes_of_silence() -> None:
    clock = Clock()
    patience = Patience(PATIENCE_S, clock)
    assert not patience.is_note_due()
    clock.now_s += NOTE_EVERY_S
    assert patience.is_note_due()
    assert patience.note() == "nothing new for 300 s, given up after 3600 s"
    assert not patience.is_note_due()
    clock.now_s += NOTE_EVERY_S
    assert patience.note() == "nothing new for 600 s, given up after 3600 s"


def test_the_next_look_is_never_later_than_the_end_of_the_patience() -> None:
    clock = Clock()
    patience = Patience(20.0, clock)
    assert patience.next_look_s == 20.0
    clock.now_s += 15.0
    assert patience.next_look_s == 5.0
    clock.now_s += 15.0
    assert patience.next_look_s == 0.0
    assert Patience(PATIENCE_S, clock).next_look_s == NOTE_EVERY_S


def test_row_fault_03_a_watchdog_ends_a_process_whose_thread_hangs_and_writes_why(
    tmp_path: Path,
) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end_process(code: int) -> None:
        codes.append(code)
        ended.set()

    with Watchdog("probe", Patience(0.05), tmp_path / "error.json", end_process):
        assert ended.wait(300)  # the body hangs
    assert codes == [1]
    error = read_sealed_json(tmp_path / "error.json")
    assert error["type"] == "RunError"
    assert error["message"].startswith("nothing of probe was finished in 0 s: a process hangs")


def test_a_watchdog_leaves_a_process_alone_that_brings_news(tmp_path: Path) -> None:
    patience = Patience(1000.0)
    codes: list[int] = []
    with Watchdog("probe", patience, tmp_path / "error.json", codes.append):
        patience.news()
    assert codes == []
    assert not (tmp_path / "error.json").exists()


def test_the_patience_is_at_least_a_second() -> None:
    assert Placement(patience_s=1.0).patience_s == 1.0
    with pytest.raises(InputError, match="placement.patience_s"):
        Placement(patience_s=0.5)
