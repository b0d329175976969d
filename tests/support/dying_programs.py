"""The probe's training in a process that dies or fails, and notes it in a file."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_defense.core.errors import InputError, RunError
from ray_defense.detectors.probe import ProbeInputs
from ray_defense.detectors.probe_training import train_probe
from ray_defense.execution.protocols import Worker
from ray_defense.store.artifacts import Artifact


def killed_after_second_epoch(
    folder: Path, worker: Worker, artifact: Artifact, inputs: ProbeInputs
) -> None:
    """Trains the probe; the first process is killed after its second epoch.

    It leaves `killed` in the folder, and in `resumed` the epochs that the next process went on
    from.
    """
    marker = folder / "killed"
    save = worker.save

    def save_and_die(state: Mapping[str, Any]) -> None:
        save(state)
        if len(state["history"]) == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint = worker.load()
    if checkpoint is not None:
        (folder / "resumed").write_text(str(len(checkpoint["history"])))
    worker.save = save_and_die  # type: ignore[method-assign]
    train_probe(worker, artifact, inputs)


def always_killed(worker: Worker, artifact: Artifact, inputs: object) -> None:
    """Kills its process, each time."""
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(worker: Worker, artifact: Artifact, inputs: object) -> None:
    """Does nothing, for an hour."""
    time.sleep(3600)


def refusing(counter: Path, worker: Worker, artifact: Artifact, inputs: object) -> None:
    """Raises InputError, whose message says how often it was called."""
    num_calls = 1
    if counter.exists():
        num_calls += int(counter.read_text())
    counter.write_text(str(num_calls))
    raise InputError(f"call {num_calls}")


def diverging(worker: Worker, artifact: Artifact, inputs: object) -> None:
    """Raises RunError, whose message names the artifact."""
    raise RunError(f"{artifact.stage} {artifact.key} diverged: lower the learning rate")
