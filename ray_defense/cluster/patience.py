"""When work that brings nothing counts as hanging: plain decisions, nothing here knows Ray.

A process may wait for a disk that is gone, a node may stand still, and Ray may start again and
again what does not live. Ray ends none of these by itself.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ray_defense.core.errors import RunError
from ray_defense.core.sealed import write_sealed_json

# Without a finished task, small training, epoch or trial event; an epoch of a million images
# takes a good half hour on the CPUs of one node.
PATIENCE_S = 3600.0
NOTE_EVERY_S = 300.0  # without news, so that who waits sees that the run still watches
_POLL_S = 1.0


class Patience:
    """How long work may bring nothing before it is given up."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic):
        """Starts to wait.

        Args:
            limit_s: How long, in seconds.
            clock: Returns the time in seconds.
        """
        self.limit_s = limit_s
        self._clock = clock
        self._last_news_s = clock()
        self._last_note_s = clock()

    def news(self) -> None:
        """Notes that the work brought something."""
        self._last_news_s = self._clock()
        self._last_note_s = self._last_news_s

    @property
    def waited_s(self) -> float:
        """Seconds since the last news."""
        return self._clock() - self._last_news_s

    @property
    def left_s(self) -> float:
        """Seconds until the work is given up, at least 0."""
        return max(0.0, self.limit_s - self.waited_s)

    @property
    def next_look_s(self) -> float:
        """How long to wait for news before `check` and `is_note_due` are asked again."""
        return min(self.left_s, NOTE_EVERY_S)

    def is_note_due(self) -> bool:
        """Returns whether there was neither news nor a note for long."""
        return self._clock() - self._last_note_s >= NOTE_EVERY_S

    def note(self) -> str:
        """Returns what to tell who waits."""
        self._last_note_s = self._clock()
        return f"nothing new for {self.waited_s:.0f} s, given up after {self.limit_s:.0f} s"

    def check(self, task: str, cause: str) -> None:
        """Gives the work up when the patience is over.

        Args:
            task: The name of the work, for the message.
            cause: What the reason may be.

        Raises:
            RunError: If the last news is as old as the patience.
        """
        if self.left_s <= 0:
            raise stalled_error(task, self.limit_s, cause)


def stalled_error(task: str, limit_s: float, cause: str) -> RunError:
    """Returns the error for work of which nothing was finished in a long time."""
    return RunError(
        f"nothing of {task} was finished in {limit_s:.0f} s: {cause}; run again to resume, or "
        "allow more time with --placement patience_s=SECONDS"
    )


class Watchdog:
    """Ends its own process when the work of this process brings nothing.

    For work that the driver cannot end: a thread that hangs in a library answers nobody.
    """

    def __init__(
        self,
        task: str,
        patience: Patience,
        error_file: Path,
        end_process: Callable[[int], object] = os._exit,
    ):
        """Creates the watchdog; it watches within a `with` statement.

        Args:
            task: The name of the work, for the message.
            patience: When it is over.
            error_file: Where the error is written for the driver, as `{"type", "message"}`.
            end_process: Ends this process.
        """
        self._task = task
        self._patience = patience
        self._error_file = error_file
        self._end_process = end_process
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(min(_POLL_S, self._patience.left_s)):
            if self._patience.left_s > 0:
                continue
            error = stalled_error(self._task, self._patience.limit_s, "a process hangs")
            try:
                write_sealed_json(self._error_file, {"type": "RunError", "message": str(error)})
            finally:
                self._end_process(1)
            return
