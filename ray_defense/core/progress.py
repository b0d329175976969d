"""Progress of long work as events, so that nothing below the command line prints."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """One piece of news about a task under way."""

    task: str
    num_done: int  # units of the task
    num_total: int
    note: str = ""  # what the task waits for, where it does


Listener = Callable[[ProgressEvent], None]

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar(
    "progress_listener", default=None
)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hands the events of the body, and of threads that copy its context, to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report_progress(task: str, num_done: int, num_total: int, note: str = "") -> None:
    """Tells the listener of this context, if it has one, how far a task is."""
    listener = _listener.get()
    if listener is not None:
        listener(ProgressEvent(task, num_done, num_total, note))
