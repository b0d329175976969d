"""Calls in threads: all run in the context of the caller; an error or an interrupt ends all."""

import contextvars
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from ray_defense.execution.side_by_side import run_side_by_side, slots_of_this_process

WAIT_S = 60.0
INTERRUPTED = """
import sys, time
from ray_defense.execution.side_by_side import run_side_by_side

def call():
    print("begun", flush=True)
    try:
        while True:
            time.sleep(0.01)
    finally:
        print("ended", flush=True)

try:
    run_side_by_side([call, call, call], 2)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_every_call_runs_once_and_as_many_at_a_time_as_are_wanted(num_threads):
    lock = threading.Lock()
    running = 0
    most = 0
    done = []

    def call(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
            done.append(number)

    run_side_by_side([partial(call, number) for number in range(7)], num_threads)
    assert sorted(done) == list(range(7))
    assert most <= num_threads


def test_calls_meet_each_other():
    barrier = threading.Barrier(2)
    run_side_by_side([partial(barrier.wait, WAIT_S)] * 2, 2)


def test_calls_see_the_context_of_the_caller():
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("of the caller")
    seen = []
    run_side_by_side([lambda: seen.append(variable.get())] * 3, 2)
    assert seen == ["of the caller"] * 3


def test_what_a_call_raises_ends_the_others():
    begun = threading.Event()
    ended = []

    def fail():
        assert begun.wait(WAIT_S)
        raise ValueError("one is wrong")

    def go_on():
        begun.set()
        try:
            while True:
                time.sleep(0.01)
        finally:
            ended.append("the other")

    with pytest.raises(ValueError, match="one is wrong"):
        run_side_by_side([fail, go_on, partial(ended.append, "a third")], 2)
    assert ended == ["the other"]


def test_an_interrupt_ends_all_calls_before_it_reaches_the_caller():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    begun = [process.stdout.readline() for _ in range(2)]
    assert begun == ["begun\n"] * 2
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=WAIT_S)
    assert out.splitlines() == ["ended", "ended", "interrupted"]
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("limit", "num_cpus", "cpus_of_each", "slots"),
    [
        (None, 8, 1, 4),
        (None, 8, 3, 2),
        ("1", 8, 1, 1),
        ("2", 8, 1, 2),
        ("x", 3, 1, 3),
        (None, 1, 2, 1),
    ],
)
def test_slots_are_what_cpus_and_omp_num_threads_leave(
    monkeypatch, limit, num_cpus, cpus_of_each, slots
):
    if limit is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
    module = "ray_defense.execution.side_by_side"
    monkeypatch.setattr(f"{module}.usable_cpus", lambda: num_cpus)
    monkeypatch.setattr(f"{module}._BYTES_OF_EACH", 1 << 20)
    assert slots_of_this_process(cpus_of_each) == slots


def test_a_machine_of_little_memory_runs_one_at_a_time(monkeypatch):
    monkeypatch.setattr("ray_defense.execution.side_by_side._BYTES_OF_EACH", 1 << 60)
    assert slots_of_this_process(1) == 1
