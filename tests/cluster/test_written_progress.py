"""The progress that a job writes is news of it, with a checkpoint or without one."""

import os
from pathlib import Path

from ray_defense.cluster.written_progress import time_of_progress_ns, write_progress
from ray_defense.execution.checkpoint import CHECKPOINT
from ray_defense.store.artifacts import Store


def test_every_epoch_is_news_though_a_large_checkpoint_is_not_written_with_it(tmp_path: Path):
    artifact = Store(tmp_path).locate("probe", 1, {}, {})
    assert time_of_progress_ns(artifact) == 0
    artifact.scratch.mkdir(parents=True, exist_ok=True)
    write_progress(artifact, 1, {"loss": 1.0})
    os.utime(artifact.scratch / "progress.json", ns=(1, 1))
    assert time_of_progress_ns(artifact) == 1
    write_progress(artifact, 2, {"loss": 0.5})
    assert time_of_progress_ns(artifact) > 1
    assert not (artifact.scratch / CHECKPOINT).exists()
