"""The newest checkpoint of a training."""

import torch

from ray_defense.execution.checkpoint import checkpoint_bytes, load_checkpoint, save_checkpoint
from tests.support.steps import CPU


def test_a_checkpoint_replaces_the_checkpoint_before_and_there_is_none_at_first(tmp_path):
    assert load_checkpoint(tmp_path, CPU) is None
    for epoch in range(2):
        history = [{"loss": 0.5}] * epoch
        save_checkpoint(tmp_path, {"weights": torch.arange(3) + epoch, "history": history})
    state = load_checkpoint(tmp_path, CPU)
    assert state["weights"].tolist() == [1, 2, 3]
    assert state["history"] == [{"loss": 0.5}]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.sealed"]


def test_the_bytes_of_a_checkpoint_are_those_of_its_file(tmp_path):
    assert checkpoint_bytes(tmp_path) is None
    save_checkpoint(tmp_path, {"weights": torch.zeros(1000)})
    assert checkpoint_bytes(tmp_path) == (tmp_path / "checkpoint.sealed").stat().st_size > 4000
