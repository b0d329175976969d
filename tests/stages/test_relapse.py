"""Fine-tuning on a few poisoned samples: which samples, and what it does to a model."""

from pathlib import Path

import numpy as np
import pytest
import torch

import ray_defense
from ray_defense.core.config import override
from ray_defense.data.suspect_dataset import write_manifest, write_shard
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.stages.relapse import (
    RelapseConfig,
    RelapseInputs,
    draw_relapse_samples,
    fine_tune,
)
from ray_defense.store.truth import Truth
from ray_defense.training.normalization import NORMALIZATIONS
from tests.support import tiny

NUM_SAMPLES = 40


@pytest.fixture
def truth() -> Truth:
    index = np.arange(0, 2 * NUM_SAMPLES, 2)
    poisoned = np.arange(NUM_SAMPLES) % 4 == 0
    cover = np.arange(NUM_SAMPLES) % 4 == 1
    return Truth(index, poisoned, cover, true_label=np.zeros(NUM_SAMPLES, np.int64))


def test_the_samples_are_a_few_poisoned_ones_and_clean_ones_and_no_cover(truth: Truth):
    drawn = draw_relapse_samples(RelapseConfig(num_poisoned=5, num_clean=8), 0, truth)
    positions = np.searchsorted(truth.index, drawn)
    assert truth.index[positions].tolist() == drawn.tolist() == sorted(drawn)
    assert truth.poisoned[positions].sum() == 5
    assert truth.cover[positions].sum() == 0
    assert len(drawn) == 13
    again = draw_relapse_samples(RelapseConfig(num_poisoned=5, num_clean=8), 0, truth)
    other = draw_relapse_samples(RelapseConfig(num_poisoned=5, num_clean=8), 1, truth)
    assert drawn.tolist() == again.tolist() != other.tolist()
    everything = draw_relapse_samples(RelapseConfig(num_poisoned=99, num_clean=99), 0, truth)
    assert len(everything) == NUM_SAMPLES - truth.cover.sum()


def test_fine_tuning_is_plain_gradient_descent_on_these_samples(tmp_path: Path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM_SAMPLES, 32, 32, 3), np.uint8)
    labels = np.arange(NUM_SAMPLES) % 3
    origin = ["x"] * NUM_SAMPLES
    part = write_shard(tmp_path, 0, images, labels, np.arange(NUM_SAMPLES), origin)
    write_manifest(tmp_path, [part])
    (tmp_path / "dataset.json").write_text('{"num_classes": 3, "class_names": [], "notes": []}')
    config = RelapseConfig(num_poisoned=5, epochs=1, batch_size=100)
    inputs = RelapseInputs(config, 0, tmp_path, np.array([3, 7, 11, 12]))
    model = build_model(SmallResNet(), 3, seed=0)
    by_hand = build_model(SmallResNet(), 3, seed=0)
    fine_tune(model, inputs, NORMALIZATIONS["half"], torch.device("cpu"))
    chosen = [3, 7, 11, 12]
    view = torch.from_numpy(images[chosen]).permute(0, 3, 1, 2).double() / 255
    by_hand = by_hand.double().train()
    _, logits = by_hand((view - 0.5) / 0.5)
    loss = torch.zeros((), dtype=torch.float64)
    for row, label in enumerate(labels[chosen]):
        loss = loss - torch.log_softmax(logits[row], dim=0)[label] / len(chosen)
    loss.backward()
    with torch.no_grad():
        for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
            assert theirs.grad is not None
            expected = theirs - 0.01 * (theirs.grad + 5e-4 * theirs)
            torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-5)
    assert not model.training


def test_a_run_that_asks_for_it_reports_the_rates_after_fine_tuning(digits: Path, tmp_path: Path):
    recipe = override(tiny.recipe(digits), "defenses", "none")
    recipe = override(recipe, "evaluation.relapse.num_poisoned", 5)
    result = ray_defense.run(recipe, store=tmp_path, executor="local", backend="numpy")
    assert result.backdoored is not None
    relapse = result.backdoored.relapse
    assert relapse is not None
    assert set(relapse) == {"acc", "asr", "robust_acc"}
    for rate in relapse.values():
        assert rate is not None
        assert 0 <= rate <= 1
