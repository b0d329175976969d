"""Progress of long work as calls, so that nothing below the command line prints."""

import contextvars
from collections.abc import Callable

_listener: contextvars.ContextVar[Callable[[str, int, int], None] | None] = contextvars.ContextVar("progress", default=None)


def listen(listener: Callable[[str, int, int], None] | None) -> None:
    """Sets who hears `tell` in this process: a function of (what, done, total)."""
    _listener.set(listener)


def tell(what: str, done: int, total: int) -> None:
    """Says that `done` of `total` steps of `what` are done."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)
