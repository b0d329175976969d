"""Progress on stderr: a bar for each task on a terminal, else a line now and then."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.core.progress import ProgressEvent, listening

LINE_EVERY_S = 30.0


@contextlib.contextmanager
def showing_progress(*, quiet: bool, stream: TextIO | None = None) -> Iterator[None]:
    """Shows the progress that the body reports.

    Args:
        quiet: Whether nothing is shown.
        stream: Where to; None for standard error.
    """
    if quiet:
        yield
        return
    stream = stream or sys.stderr
    display = _bars(stream) if stream.isatty() else _lines(stream)
    with display:
        yield


@contextlib.contextmanager
def _lines(stream: TextIO) -> Iterator[None]:
    """Prints a line as a task begins, as it ends, and every 30 seconds between.

    A note is printed as soon as it says something new: a wait begins.
    """
    begun: dict[str, float] = {}
    last_line: dict[str, float] = {}
    last_note: dict[str, str] = {}

    def show(event: ProgressEvent) -> None:
        now = time.monotonic()
        begun.setdefault(event.task, now)
        ended = event.num_done >= event.num_total
        is_due = now - last_line.get(event.task, -LINE_EVERY_S) >= LINE_EVERY_S
        is_news = event.note not in ("", last_note.get(event.task))
        if not (ended or is_due or is_news):
            return
        last_note[event.task] = event.note
        last_line[event.task] = now
        line = f"{event.task}: {event.num_done} of {event.num_total}"
        if event.note:
            line += f", {event.note}"
        line += f" ({now - begun[event.task]:.0f} s)"
        print(escape_unprintable(line), file=stream, flush=True)
        if ended:
            begun.pop(event.task)
            last_line.pop(event.task)
            last_note.pop(event.task)

    with listening(show):
        yield


@contextlib.contextmanager
def _bars(stream: TextIO) -> Iterator[None]:
    """Draws one bar for each task."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(file=stream),
    )
    with bars:
        starting = bars.add_task("starting", total=None)
        tasks: dict[str, TaskID] = {}

        def show(event: ProgressEvent) -> None:
            bars.update(starting, visible=False)
            label = event.task if not event.note else f"{event.task}: {event.note}"
            label = escape_unprintable(label)
            if event.task not in tasks:
                tasks[event.task] = bars.add_task(label, total=event.num_total)
            bars.update(
                tasks[event.task],
                completed=event.num_done,
                total=event.num_total,
                description=label,
            )

        try:
            with listening(show):
                yield
        finally:
            bars.update(starting, visible=False)
