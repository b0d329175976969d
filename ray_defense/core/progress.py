"""Progress of long work as events, so that nothing below the command line prints."""

import contextlib
import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

_logger = logging.getLogger("ray_defense")
_one_at_a_time = threading.RLock()  # events of several threads


@dataclass(frozen=True)
class ProgressEvent:
    """One piece of news about a task under way."""

    task: str
    num_done: int  # units of the task
    num_total: int
    note: str = ""  # what the task waits for, where it does
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the epoch that just ended


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


@contextlib.contextmanager
def also_listening(listener: Listener) -> Iterator[None]:
    """Hands the events of the body to a listener, and then to the one that had them before."""
    outer = _listener.get()

    def both(event: ProgressEvent) -> None:
        listener(event)
        if outer is not None:
            outer(event)

    with listening(both):
        yield


def report_progress(
    task: str,
    num_done: int,
    num_total: int,
    note: str = "",
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Tells the listener of this context, if it has one, how far a task is.

    The logger `ray_defense` hears of each task when it ends, and at level DEBUG of every step.
    """
    event = ProgressEvent(task, num_done, num_total, note, metrics=dict(metrics or {}))
    level = logging.INFO if num_done >= num_total else logging.DEBUG
    _logger.log(level, "%s: %d of %d%s", task, num_done, num_total, f", {note}" if note else "")
    listener = _listener.get()
    if listener is not None:
        with _one_at_a_time:
            listener(event)


@contextlib.contextmanager
def recording_events(path: Path) -> Iterator[None]:
    """Appends the events of the body to a file, one JSON object a line; others hear them too.

    Each has the seconds since the epoch (`time`), `task`, `num_done`, `num_total` and `note`, and
    where an epoch of a training ended its `metrics`.

    Args:
        path: The file; it is made if it is not there.
    """
    with open(path, "a", encoding="utf-8") as file:

        def record(event: ProgressEvent) -> None:
            line = {"time": round(time.time(), 3), **asdict(event)}
            if not event.metrics:
                del line["metrics"]
            file.write(json.dumps(line) + "\n")
            file.flush()

        with also_listening(record):
            yield
