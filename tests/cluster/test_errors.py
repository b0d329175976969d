"""What a user is told of an error of Ray: one line, or the traceback of an unforeseen error."""

import pytest
from ray.exceptions import (
    ActorUnavailableError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)

from ray_defense.cluster.errors import ray_errors_told, told_error
from ray_defense.core.errors import InputError, RunError

OUT_OF_MEMORY = "1 worker(s) were killed due to the node running low on memory.\nTop 10: ...\n" * 40


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OutOfMemoryError(OUT_OF_MEMORY), "scoring: the memory of a node was full"),
        (ActorUnavailableError(OUT_OF_MEMORY, None), "scoring: the memory of a node was full"),
        (OutOfDiskError("full"), "the disk of Ray on a node was full: make room below /tmp/ray"),
        (ObjectStoreFullError("full"), "free some of /dev/shm"),
        (WorkerCrashedError(), "scoring: a process died"),
    ],
)
def test_a_failure_of_ray_itself_is_one_short_line_that_says_what_to_do(
    error: Exception, message: str
) -> None:
    told = told_error("scoring", error)
    assert isinstance(told, RunError)
    assert message in str(told)
    assert "run again to resume" in str(told)
    assert "\n" not in str(told)
    assert len(str(told)) < 600


def task_error(cause: Exception) -> Exception:
    """Returns what `ray.get` raises where a task raised `cause`."""
    wrapped: Exception = RayTaskError("task", "a traceback", cause).as_instanceof_cause()
    return wrapped


def test_an_error_of_ours_behind_an_error_of_ray_is_raised_itself() -> None:
    with pytest.raises(InputError, match="^too big$"):
        with ray_errors_told("scoring"):
            raise task_error(InputError("too big"))


def test_an_unforeseen_error_of_a_task_keeps_its_traceback() -> None:
    with pytest.raises(KeyError, match="a traceback"):
        with ray_errors_told("scoring"):
            raise task_error(KeyError("surprise"))
