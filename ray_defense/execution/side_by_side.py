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
_WAIT_S = 0.2


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

    def work() -> None:
        try:
            while not errors:
                waiting.get_nowait()()
        except queue.Empty:
            return
        except BaseException as error:
            errors.append(error)

    threads = []
    for _ in range(min(num_threads, len(calls))):
        run = contextvars.copy_context().run
        threads.append(threading.Thread(target=run, args=(work,), daemon=True))
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not errors:
            for thread in threads:
                thread.join(_WAIT_S)
    finally:
        for thread in threads:
            _end(thread)
    if errors:
        raise errors[0]


def _end(thread: threading.Thread) -> None:
    """Raises KeyboardInterrupt in a thread that runs, and waits for its end."""
    if thread.ident is not None and thread.is_alive():
        interrupt = ctypes.py_object(KeyboardInterrupt)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), interrupt)
        thread.join()
