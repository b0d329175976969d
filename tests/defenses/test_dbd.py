"""DBD: which samples keep their labels, and which labels MixMatch reads."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ray_defense.core.files import read_json
from ray_defense.defenses import dbd_training
from ray_defense.scores.symmetric_cross_entropy import (
    symmetric_cross_entropy,
    symmetric_cross_entropy_loss,
)
from tests.support.defended_noise import DECOUPLED, INDEX, NUM_SAMPLES


def test_the_symmetric_loss_is_the_mean_of_the_score_and_has_its_gradient():
    torch.manual_seed(0)
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 1, 1, 2])
    loss = symmetric_cross_entropy_loss(logits, labels)
    scores = symmetric_cross_entropy(logits.detach().numpy(), labels.numpy())
    assert loss.item() == pytest.approx(scores.mean(), rel=1e-12)
    loss.backward()
    by_hand = logits.detach().clone().requires_grad_(True)
    likelihood = torch.softmax(by_hand, 1)[torch.arange(5), labels]
    (0.1 * cross_entropy(by_hand, labels) + (4 * (1 - likelihood)).mean()).backward()
    assert torch.allclose(logits.grad, by_hand.grad, atol=1e-12)


def test_half_of_the_samples_keep_their_labels_those_with_the_smallest_loss(noise, monkeypatch):
    losses = np.random.default_rng(3).permutation(NUM_SAMPLES).astype(float)
    monkeypatch.setattr(dbd_training, "measure_losses", lambda *args, **kwargs: losses)
    labeled = read_json(noise.train(DECOUPLED).path / "metrics.json")["labeled"]
    assert labeled == INDEX[losses < NUM_SAMPLES // 2].tolist()


@pytest.mark.parametrize(("split", "times"), [("once", 1), ("every_epoch", 2)])
def test_the_samples_are_chosen_once_or_before_every_epoch(noise, monkeypatch, split, times):
    measured = []

    def measure(*args, **kwargs):
        measured.append(1)
        return np.arange(float(NUM_SAMPLES))

    monkeypatch.setattr(dbd_training, "measure_losses", measure)
    noise.train(replace(DECOUPLED, split=split))
    assert len(measured) == times


def test_one_sample_at_least_is_left_unlabeled(noise):
    artifact = noise.train(replace(DECOUPLED, labeled_fraction=1.0))
    assert len(read_json(artifact.path / "metrics.json")["labeled"]) == NUM_SAMPLES - 1
