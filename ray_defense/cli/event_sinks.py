"""Where the events of a command go beside the terminal: a file, TensorBoard, or MLflow.

Both dashboards get, for each task, the share that is done and the metrics of each epoch.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray_defense.core.errors import InputError
from ray_defense.core.progress import ProgressEvent, also_listening, recording_events

EXPERIMENT = "ray_defense"  # of MLflow
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_\-. /]")


def sending_events(target: str) -> contextlib.AbstractContextManager[None]:
    """Returns a context whose events go to a target, and to who listened before.

    Args:
        target: A file, which gets JSON lines; `tensorboard:DIR`; or `mlflow:PLACE`, a folder or the
            URI of a server.

    Raises:
        InputError: If what the target needs is not installed, or cannot be reached.
    """
    kind, _, place = target.partition(":")
    if kind == "tensorboard" and place:
        return _to_tensorboard(place)
    if kind == "mlflow" and place:
        return _to_mlflow(place)
    return recording_events(Path(target))


@contextlib.contextmanager
def _to_tensorboard(directory: str) -> Iterator[None]:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise _not_installed("tensorboard", "tensorboardX") from None
    news = _News()
    with SummaryWriter(directory) as writer:

        def record(event: ProgressEvent) -> None:
            for name, value in news.of(event).items():
                writer.add_scalar(name, value, event.num_done)

        with also_listening(record):
            yield


@contextlib.contextmanager
def _to_mlflow(place: str) -> Iterator[None]:
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise _not_installed("mlflow", "mlflow") from None
    uri = place if "://" in place else f"sqlite:///{_database(place)}"
    try:
        client: Any = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            experiment_id = client.create_experiment(EXPERIMENT)
        else:
            experiment_id = experiment.experiment_id
        run_id = client.create_run(experiment_id).info.run_id
    except MlflowException as error:
        raise InputError(
            f"--events mlflow:{place}: MLflow does not take the run ({str(error)[:200]!r}): see "
            "that its server is up, or name a folder"
        ) from None
    news = _News()

    def record(event: ProgressEvent) -> None:
        for name, value in news.of(event).items():
            client.log_metric(run_id, name, value, step=event.num_done)

    status = "FAILED"
    try:
        with also_listening(record):
            yield
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


class _News:
    """Tells what an event says that the one before it of the same task did not."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def of(self, event: ProgressEvent) -> dict[str, float]:
        """Returns the numbers of an event by name; none where it only says how far a task still is.

        Programs that wait for other processes report the same again and again.
        """
        if self._last.get(event.task) == event.num_done and not event.metrics:
            return {}
        self._last[event.task] = event.num_done
        task = _NOT_IN_KEYS.sub("_", event.task)
        values = {f"{task}/done": event.num_done / max(1, event.num_total)}
        for name, value in event.metrics.items():
            values[f"{task}/{name}"] = value
        return values


def _database(folder: str) -> Path:
    """Returns the file of MLflow in a folder, which is made."""
    path = Path(os.path.abspath(os.path.expanduser(folder)))
    path.mkdir(parents=True, exist_ok=True)
    return path / "mlflow.db"


def _not_installed(extra: str, package: str) -> InputError:
    return InputError(
        f"--events {extra}:... needs {package}, which is not installed: "
        f"pip install 'ray_defense[{extra}]'"
    )
