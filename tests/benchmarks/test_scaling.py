"""The weak-scaling plan says what the code does: its steps, blocks and bytes are the real ones."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from benchmarks.documents import load_result
from benchmarks.scaling.datasets import PlannedDataset, cifar10, imagenet200
from benchmarks.scaling.epochs import checkpoint_bytes, epoch_cost
from benchmarks.scaling.stages import training_stages
from ray_defense.data.suspect_dataset import SuspectDataset, write_manifest, write_shard
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.detectors.feature_scorer import cut_into_blocks
from ray_defense.pipeline.recipes.cifar import cifar10_badnets
from ray_defense.stages.ingest import IngestConfig

NUM_SAMPLES = 120
SHARD_SIZE = 40
BATCH_SIZE = 5  # of a GPU
ENOUGH_BYTES = 1 << 30


def write_dataset(folder: Path) -> None:
    """Writes 120 random images of 8 pixels as three shards."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (NUM_SAMPLES, 8, 8, 3), np.uint8)
    index = np.arange(NUM_SAMPLES)
    parts = []
    for number in range(NUM_SAMPLES // SHARD_SIZE):
        rows = slice(number * SHARD_SIZE, (number + 1) * SHARD_SIZE)
        origins = ["x"] * SHARD_SIZE
        labels = index[rows] % 10
        part = write_shard(folder, number, images[rows], labels, index[rows], origins)
        parts.append(part)
    write_manifest(folder, parts)


def planned(resident_bytes: int) -> PlannedDataset:
    """Returns what the plan makes of the dataset."""
    return PlannedDataset(
        name="of 120",
        recipe=replace(cifar10_badnets(), ingest=IngestConfig(SHARD_SIZE)),
        num_classes=10,
        size=8,
        num_samples=NUM_SAMPLES,
        source_bytes=0,
        ingest_rate=1,
        resident_bytes=resident_bytes,
    )


@pytest.mark.parametrize("resident_bytes", [ENOUGH_BYTES, 0])
@pytest.mark.parametrize("num_gpus", [1, 2, 3, 7])
@pytest.mark.parametrize("drop_last", [True, False])
def test_an_epoch_has_the_steps_of_a_training_set(
    tmp_path: Path, resident_bytes: int, num_gpus: int, drop_last: bool
) -> None:
    write_dataset(tmp_path)
    data = planned(resident_bytes)
    real = TrainingSet(
        tmp_path, torch.device("cpu"), "numpy", resident_bytes=resident_bytes, select=None
    )
    batch_size = BATCH_SIZE * num_gpus
    num_steps = data.num_steps(NUM_SAMPLES, BATCH_SIZE, num_gpus, drop_last)
    assert num_steps == real.num_steps(batch_size, WorkerShare(0, num_gpus), drop_last)
    indices = []
    for rank in range(num_gpus):
        for batch in real.epoch(0, batch_size, WorkerShare(rank, num_gpus), drop_last):
            indices.append(batch.index)
    seen = np.concatenate(indices)
    assert len(seen) == len(np.unique(seen))
    num_left_out = NUM_SAMPLES * data.left_out_fraction(NUM_SAMPLES, num_gpus)
    assert NUM_SAMPLES - len(seen) >= num_left_out


@pytest.mark.parametrize("data", [cifar10(), imagenet200()], ids=lambda data: data.name)
def test_scoring_has_the_blocks_of_the_plan(data: PlannedDataset) -> None:
    shard = np.arange(data.num_samples) // data.recipe.ingest.shard_size
    dataset = cast(SuspectDataset, SimpleNamespace(shard=shard))
    blocks = cut_into_blocks(dataset, data.recipe.detect.block_size)
    assert data.num_blocks == len(blocks)


def test_a_checkpoint_has_the_bytes_of_the_measured_one() -> None:
    stages = {stage.name: stage for stage in training_stages(cifar10())}
    measured_bytes = load_result("scaling/constants.json")["checkpoint"]["bytes"]
    assert checkpoint_bytes(stages["backdoored"]) == pytest.approx(measured_bytes, rel=2e-3)


def test_a_large_checkpoint_is_written_once_a_minute() -> None:
    (stage,) = [stage for stage in training_stages(cifar10()) if stage.name == "backdoored"]
    cost = epoch_cost(cifar10(), stage, 1)
    without_s = cost.total_s - cost.seconds["checkpoint"]
    assert cost.written_bytes * 60 == pytest.approx(checkpoint_bytes(stage) * without_s)


@pytest.mark.parametrize("data", [cifar10(), imagenet200()], ids=lambda data: data.name)
def test_one_gpu_sends_nothing_and_many_send_at_most_twice_the_gradient(data: Any) -> None:
    for stage in training_stages(data):
        alone = epoch_cost(data, stage, 1)
        assert alone.reduced_bytes == 0
        assert alone.gathered_bytes == 0
        assert alone.seconds["network"] == 0
        many = epoch_cost(data, stage, 64)
        gradient_bytes = 4 * stage.network.num_trained
        assert 1.9 * gradient_bytes < many.reduced_bytes < 2 * gradient_bytes
        assert many.seconds["network"] > 0
