"""ANP: one step of its masks by hand, and how far it prunes without seeing a test image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from ray_defense.core.files import read_json
from ray_defense.core.random import stream, uniform
from ray_defense.defenses import anp_training
from ray_defense.defenses.neuron_masks import masked_parameters, norms_of
from ray_defense.models.seeded import build_model
from ray_defense.training.settings import Sgd
from ray_defense.transforms.no_augmentation import NoAugment
from tests.support.defended_noise import (
    BACKDOORED_SEED,
    MODEL,
    NUM_CLASSES,
    NUM_CLEAN,
    PRUNED,
    weights_of,
)
from tests.support.killed import KilledAndResumed


def test_the_first_step_of_the_masks_is_the_one_by_hand(noise, monkeypatch):
    """Parity: a random start, one signed step of the adversary, one step down of the masks."""
    epsilon = 0.4
    rate = 0.2
    alpha = 0.3
    defense = replace(
        PRUNED,
        steps=1,
        batch_size=NUM_CLEAN,
        sgd=Sgd(rate, momentum=0.0, weight_decay=0.0),
        epsilon=epsilon,
        alpha=alpha,
    )
    seen = []
    monkeypatch.setattr(
        anp_training,
        "prune_neurons",
        lambda network, masks, threshold: seen.append(masks) or 0,
    )
    replace(noise, augmentation=NoAugment()).train(defense)
    network = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).train()
    network.requires_grad_(False)
    norms = norms_of(network)
    images, labels = noise.clean_members()

    def loss_of(masks, change):
        parameters = masked_parameters(norms, masks, change)
        _, logits = functional_call(network, parameters, (images,))
        return cross_entropy(logits, labels)

    sizes = [len(norm.weight) for norm in norms.values()]
    key = stream(0, "anp", "change", 0)
    draws = torch.from_numpy(epsilon * (2 * uniform(key, np.arange(sum(sizes)), 2) - 1)).float()
    start = [(part[:, 0].clone(), part[:, 1].clone()) for part in draws.split(sizes)]
    for pair in start:
        for value in pair:
            value.requires_grad_(True)
    masks = [torch.ones(size, requires_grad=True) for size in sizes]
    loss_of([mask.detach() for mask in masks], start).backward()
    worst = []
    for pair in start:
        moved = []
        for value in pair:
            end = value + epsilon * value.grad.sign()
            moved.append(end.clamp(-epsilon, epsilon).detach())
        worst.append(tuple(moved))
    loss = alpha * loss_of(masks, None) + (1 - alpha) * loss_of(masks, worst)
    loss.backward()
    for mask, trained in zip(masks, seen[0], strict=True):
        expected = (mask - rate * mask.grad).clamp(0, 1)
        assert torch.allclose(trained, expected, atol=1e-5)
    assert any((trained < 1).any() for trained in seen[0])


@pytest.mark.long
@pytest.mark.parametrize("epoch", [0, 1])
def test_masks_of_several_epochs_resume_to_the_same_bits(noise, tmp_path, monkeypatch, epoch):
    defense = replace(PRUNED, steps=103)
    whole = noise.in_store(tmp_path / "whole").train(defense)
    killed = KilledAndResumed(anp_training, epoch, monkeypatch)
    assert noise.train(defense, executor=killed).hashes == whole.hashes


@pytest.mark.parametrize(("drop", "prunes_all"), [(0.0, False), (1.0, True)])
def test_the_threshold_rises_as_long_as_clean_accuracy_stays(noise, drop, prunes_all):
    defense = replace(PRUNED, max_accuracy_drop=drop, threshold_step=0.25)
    artifact = noise.train(defense)
    metrics = read_json(artifact.path / "metrics.json")
    tried = metrics["thresholds"]
    assert [entry["threshold"] for entry in tried] == [0.25, 0.5, 0.75][: len(tried)]
    if prunes_all:
        assert metrics["kept_threshold"] == 0.75
    elif metrics["kept_threshold"] < 0.75:
        assert tried[-1]["threshold"] == metrics["kept_threshold"] + 0.25
    trained = weights_of(artifact)
    backdoored = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED)
    num_zeros = 0
    for name, norm in norms_of(backdoored).items():
        is_zero = trained[f"{name}.weight"] == 0
        num_zeros += int(is_zero.sum())
        assert torch.equal(trained[f"{name}.weight"][~is_zero], norm.weight[~is_zero])
        assert torch.equal(trained[f"{name}.running_mean"], norm.running_mean)
    pruned = {entry["threshold"]: entry["num_pruned"] for entry in tried}
    assert num_zeros == pruned.get(metrics["kept_threshold"], 0)
