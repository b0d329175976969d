"""The error that a stage raised, dug out of what Ray wraps it in; Ray's own errors in one line."""

import contextlib
from collections.abc import Iterator

from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from ray_defense.core.errors import RayDefenseError, RunError

_OUT_OF_MEMORY = (
    "the memory of a node was full, and Ray ended its processes again and again: free memory, or "
    "run fewer at a time (--placement actors=1)"
)
# What happened to processes of a task, by what Ray raises, and the remedy.
_CAUSES: dict[type[RayError], str] = {
    OutOfMemoryError: _OUT_OF_MEMORY,
    OutOfDiskError: "the disk of Ray on a node was full: make room below /tmp/ray",
    ObjectStoreFullError: "the shared memory of a node was full: free some of /dev/shm",
    NodeDiedError: "a node died",
    LocalRayletDiedError: "the Ray of this machine died",
    ActorDiedError: "a process died",
    ActorUnavailableError: "a process does not answer",
    WorkerCrashedError: "a process died",
}
_MAX_DETAIL = 200  # characters of Ray's own words


@contextlib.contextmanager
def ray_errors_told(task: str) -> Iterator[None]:
    """Raises what the work of the body raised on Ray, and one line where Ray itself failed."""
    try:
        yield
    except RayError as error:
        raise told_error(task, error) from None


def told_error(task: str, error: BaseException) -> BaseException:
    """Returns what a user is told of an error of Ray.

    It is the error of ours or of the system that is in it. An unforeseen error of a task stays,
    with its traceback, and for a failure of Ray itself it is a RunError of one line.

    Args:
        task: The name of the work.
        error: What Ray raised.
    """
    cause = original_error(error)
    if isinstance(cause, RayTaskError) or not isinstance(cause, RayError):
        return cause
    return lost_error(task, cause)


def lost_error(task: str, error: BaseException) -> RunError:
    """Returns the error for work that Ray could not do."""
    return RunError(f"{task}: {describe_loss(error)}; run again to resume")


def describe_loss(error: BaseException) -> str:
    """Returns in one line what happened to processes of Ray."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = "Ray failed"
    for kind, words in _CAUSES.items():
        if isinstance(error, kind):
            reason = words
            break
    if "running low on memory" in str(error):
        reason = _OUT_OF_MEMORY
    if not lines:
        return f"{reason} ({type(error).__name__})"
    # A traceback ends with what was raised; Ray's own words begin with what happened.
    detail = lines[-1] if "Traceback" in str(error) else lines[0]
    return f"{reason} ({type(error).__name__}: {detail[:_MAX_DETAIL]})"


def original_error(error: BaseException) -> BaseException:
    """Returns the innermost error of ours or of the system (a full disk) behind an error of Ray.

    Ray raises a class that is both its own and the cause's, with a whole traceback as its text;
    such an error is looked into. Where there is no error of ours, the error itself is returned.
    """
    innermost = error
    visited: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in visited:
        visited.add(id(inner))
        wraps_another = hasattr(inner, "cause")
        if isinstance(inner, RayDefenseError | OSError) and not wraps_another:
            innermost = inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    if isinstance(innermost, RayDefenseError):
        # Ray Data appends advice of its own; our messages are one line.
        first_line = str(innermost).splitlines()[0]
        return type(innermost)(first_line)
    return innermost
