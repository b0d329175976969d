"""Calls in threads of this process, side by side. Torch computes without Python's lock."""

import contextvars
import ctypes
import os
import queue
import threading
from collections.abc import Callable, Sequence

from ray_defense.core.usable_cpus import usable_cpus

_MOST = 4  # calls at a time: each may hold data of some gigabytes
_BYTES_OF_EACH = 4 << 30  # of the machine's memory, that a call may need
_LOOK_S = 0.2
_AGAIN_S = 5.0  # after which a thread that still runs is interrupted again


def slots_of_this_process(cpus_of_each: int) -> int:
    """Returns how many calls of so many CPUs may run at a time, at least 1.

    OMP_NUM_THREADS limits them, as it limits the threads of torch.
    """
    num_cpus = usable_cpus()
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdecimal():
        num_cpus = min(num_cpus, int(limit))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(_MOST, num_cpus // cpus_of_each, round(memory / _BYTES_OF_EACH)))


def run_side_by_side(calls: Sequence[Callable[[], None]], num_threads: int) -> None:
    """Runs all calls, so many at a time, each in the context of the caller.

    What a call raises, or what interrupts the caller, ends the calls under way, at their next step
    in Python, and begins no other. It returns when all have ended.

    Args:
        calls: The calls, in the order in which they begin.
        num_threads: How many run at a time, at least 1.
    """
    waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    for call in calls:
        waiting.put(call)
    errors: list[BaseException] = []

    def work(done: threading.Event) -> None:
        try:
            while not errors:
                waiting.get_nowait()()
        except queue.Empty:
            pass
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    workers = [_Worker(work) for _ in range(min(num_threads, len(calls)))]
    try:
        for worker in workers:
            worker.start()
        while not errors and not all(worker.has_ended(_LOOK_S) for worker in workers):
            pass
    finally:
        for worker in workers:
            worker.end()
    if errors:
        raise errors[0]


class _Worker:
    """A thread that says when it has ended.

    The caller never waits in `Thread.join`: of Python 3.11, an interrupt there makes a thread that
    runs look as if it had ended.
    """

    def __init__(self, work: Callable[[threading.Event], None]):
        self._done = threading.Event()
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(work, self._done), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def has_ended(self, timeout_s: float) -> bool:
        """Returns whether the thread has ended, after waiting so long at most."""
        return self._done.wait(timeout_s) or not self._thread.is_alive()

    def end(self) -> None:
        """Raises KeyboardInterrupt in the thread as long as it runs, and waits for its end."""
        while self._thread.ident is not None and not self.has_ended(0.0):
            interrupt = ctypes.py_object(KeyboardInterrupt)
            ident = ctypes.c_ulong(self._thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, interrupt)
            self.has_ended(_AGAIN_S)
