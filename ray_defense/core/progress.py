"""Progress of long work as calls, so that nothing below the command line prints."""

import contextvars
from collections.abc import Callable, Mapping
from typing import Any

_listener: contextvars.ContextVar[Callable[[str, int, int], None] | None] = contextvars.ContextVar("progress", default=None)
_judge: contextvars.ContextVar[Callable[[str, Mapping[str, Any]], None] | None] = contextvars.ContextVar("judge", default=None)


def listen(listener: Callable[[str, int, int], None] | None) -> None:
    """Sets who hears `tell` in this process: a function of (what, done, total)."""
    _listener.set(listener)


def tell(what: str, done: int, total: int) -> None:
    """Says that `done` of `total` steps of `what` are done."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)


def judge(judge: Callable[[str, Mapping[str, Any]], None] | None) -> None:
    """Sets who hears `tell_epoch` in this process: a function of (stage, epoch and metrics), which may end the work."""
    _judge.set(judge)


def tell_epoch(stage: str, state: Mapping[str, Any]) -> None:
    """Says which `epoch` of a training stage has ended, checkpoint included, and what it gave."""
    judge = _judge.get()
    if judge is not None:
        judge(stage, state)
