"""The progress of training jobs in other processes: each writes a file, and the driver reads it."""

import contextlib
import contextvars
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ray_defense.core.files import read_json, write_json
from ray_defense.core.progress import report_progress
from ray_defense.execution.protocols import Metrics, TrainJob
from ray_defense.store.artifacts import Artifact

_FILE = "progress.json"  # in the scratch directory of an artifact


def write_progress(artifact: Artifact, epoch: int, metrics: Metrics) -> None:
    """Writes that the training of an artifact has finished an epoch, numbered from 1."""
    write_json(artifact.scratch / _FILE, {"epoch": epoch, "metrics": metrics})


def time_of_progress_ns(artifact: Artifact) -> int:
    """Returns when an epoch was last written, in nanoseconds; 0 where none is."""
    try:
        return (artifact.scratch / _FILE).stat().st_mtime_ns
    except OSError:  # none yet, or the artifact is published
        return 0


@contextlib.contextmanager
def progress_followed(jobs: Sequence[TrainJob[Any]]) -> Iterator[None]:
    """Reports the progress that workers write, from a thread, as long as the body runs."""
    done = threading.Event()

    for job in jobs:
        report_progress(job.artifact.stage, 0, job.num_epochs)

    def follow() -> None:
        while not done.wait(0.5):
            for job in jobs:
                _report(job)
        for job in jobs:
            _report(job)

    run_in_context = contextvars.copy_context().run
    thread = threading.Thread(target=run_in_context, args=(follow,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _report(job: TrainJob[Any]) -> None:
    if job.artifact.exists:
        report_progress(job.artifact.stage, job.num_epochs, job.num_epochs)
        return
    with contextlib.suppress(OSError, json.JSONDecodeError):
        progress = read_json(job.artifact.scratch / _FILE)
        report_progress(
            job.artifact.stage, progress["epoch"], job.num_epochs, metrics=progress["metrics"]
        )
