"""Reads mutants in forked processes with limits, so that hangs, crashes and memory are seen."""

import faulthandler
import os
import pickle
import resource
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

LIMIT_CPU_S = 10  # of processor time for one mutant, whatever else the machine does meanwhile
LIMIT_WAIT_S = 120  # for one mutant that waits for something that does not come
LIMIT_BYTES = 3 * 2**30  # of address space beyond what the process has when it starts
_CHUNK = 1000  # mutants of one process
_LENGTH = struct.Struct("<I")


@dataclass
class Outcome:
    """What became of one mutant."""

    kind: str  # "refused", "same", "different", "foreign", "hang" or "crash"
    text: str = ""  # the type and the message of an error


@dataclass
class ProcessUse:
    """What the processes used."""

    peak_bytes: int = 0  # of resident memory, of the largest process


@dataclass
class _Child:
    pid: int
    pipe: BinaryIO


def outcomes_of(
    numbers: Sequence[int], read: Callable[[int], Outcome], use: ProcessUse
) -> Iterator[tuple[int, Outcome]]:
    """Yields the outcome of each mutant.

    Args:
        numbers: Of the mutants.
        read: Makes and reads the mutant of a number.
        use: Where the use of memory is noted.
    """
    start = 0
    while start < len(numbers):
        chunk = numbers[start : start + _CHUNK]
        child = _start(chunk, read)
        num_read = 0
        for outcome in _received(child.pipe):
            yield chunk[num_read], outcome
            num_read += 1
        _, status, usage = os.wait4(child.pid, 0)
        use.peak_bytes = max(use.peak_bytes, usage.ru_maxrss * 1024)
        if num_read < len(chunk):
            yield chunk[num_read], _death(status)
            num_read += 1
        start += num_read


def _start(chunk: Sequence[int], read: Callable[[int], Outcome]) -> _Child:
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid:
        os.close(sending)
        return _Child(pid, os.fdopen(receiving, "rb"))
    code = 1
    try:
        os.close(receiving)
        faulthandler.disable()  # what a crash would print
        _limit_memory()
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)  # which ends the process, wherever it hangs
        with os.fdopen(sending, "wb") as pipe:
            for number in chunk:
                _limit_time(LIMIT_CPU_S, LIMIT_WAIT_S)
                outcome = pickle.dumps(read(number))
                _limit_time(0, 0)
                pipe.write(_LENGTH.pack(len(outcome)) + outcome)
                pipe.flush()
        code = 0
    finally:
        os._exit(code)


def _limit_time(cpu_s: float, wait_s: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, wait_s)


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:
        num_pages = int(file.read().split()[0])
    limit = num_pages * resource.getpagesize() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _received(pipe: BinaryIO) -> Iterator[Outcome]:
    with pipe:
        while header := pipe.read(_LENGTH.size):
            (length,) = _LENGTH.unpack(header)
            yield pickle.loads(pipe.read(length))


def _death(status: int) -> Outcome:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGPROF:
            return Outcome("hang", f"more than {LIMIT_CPU_S} s of processor time")
        if number == signal.SIGALRM:
            return Outcome("hang", f"more than {LIMIT_WAIT_S} s")
        return Outcome("crash", signal.Signals(number).name)
    return Outcome("crash", f"exit code {os.waitstatus_to_exitcode(status)}")
