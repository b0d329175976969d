"""ABL: its three steps by hand, what it isolates, and which samples each phase looks at."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.core.random import stream
from ray_defense.models.seeded import build_model
from ray_defense.training.settings import Sgd
from ray_defense.training.views import make_view
from ray_defense.transforms.no_augmentation import NoAugment
from tests.support.defended_noise import (
    INDEX,
    ISOLATED,
    MODEL,
    NUM_CLASSES,
    NUM_SAMPLES,
    changed_modules,
    weights_of,
)
from tests.support.steps import HALF

GAMMA = 1.1  # between the losses of a fresh network of three classes
ONE_STEP = replace(
    ISOLATED,
    tuning_epochs=1,
    finetuning_epochs=1,
    unlearning_epochs=1,
    gamma=GAMMA,
    batch_size=NUM_SAMPLES,
    sgd=Sgd(0.05, momentum=0.0, weight_decay=0.0),
    unlearning_rate=0.02,
    augmentation=NoAugment(),
    cutout_fraction=0.0,
)


def step_down(model: torch.nn.Module, loss: torch.Tensor, rate: float) -> None:
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= rate * parameter.grad


def test_abl_holds_losses_at_gamma_isolates_the_smallest_and_unlearns_them(noise):
    """Parity: one step of each phase on whole sets, by hand and sample by sample."""
    artifact = noise.train(ONE_STEP)
    metrics = read_json(artifact.path / "metrics.json")
    model = build_model(MODEL, NUM_CLASSES, stream(0, "abl", "weights"))
    images = make_view(torch.from_numpy(noise.images), INDEX, 0, transforms=(), normalization=HALF)
    labels = torch.from_numpy(noise.labels)

    model.train()
    _, logits = model(images)
    terms = []
    signs = []
    for logit, label in zip(logits, labels, strict=True):
        loss = cross_entropy(logit[None], label[None])
        sign = 1.0 if loss.item() > GAMMA else -1.0
        signs.append(sign)
        terms.append(sign * loss)
    assert set(signs) == {1.0, -1.0}
    step_down(model, torch.stack(terms).mean(), 0.05)

    model.eval()
    with torch.no_grad():
        _, logits = model(images)
        losses = cross_entropy(logits, labels, reduction="none").numpy()
    isolated = np.sort(np.argsort(losses, kind="stable")[: int(0.1 * NUM_SAMPLES)])
    assert metrics["isolated"] == INDEX[isolated].tolist()
    assert metrics["history"][0]["isolated_loss"] == pytest.approx(losses[isolated].max(), rel=1e-4)

    model.train()
    others = np.setdiff1d(np.arange(NUM_SAMPLES), isolated)
    _, logits = model(images[others])
    step_down(model, cross_entropy(logits, labels[others]), 0.05)
    _, logits = model(images[isolated])
    step_down(model, -cross_entropy(logits, labels[isolated]), 0.02)

    trained = weights_of(artifact)
    for name, parameter in model.named_parameters():
        assert torch.allclose(trained[name], parameter, atol=1e-5), name


def test_abl_reads_neither_the_split_nor_clean_images(noise):
    step = noise.plan(ISOLATED, repairable=False, has_clean_share=False)
    assert set(step.artifact.inputs) == {"suspect"}


def test_cutting_out_a_square_changes_the_model(noise, tmp_path):
    with_square = weights_of(noise.train(ISOLATED))
    whole = noise.in_store(tmp_path / "whole").train(replace(ISOLATED, cutout_fraction=0.0))
    assert changed_modules(with_square, weights_of(whole)) != set()


def test_a_sample_or_more_is_left_to_learn_from(noise):
    metrics = read_json(noise.train(replace(ISOLATED, isolated_fraction=1.0)).path / "metrics.json")
    assert len(metrics["isolated"]) == NUM_SAMPLES - 1
    with pytest.raises(InputError, match="abl.isolated_fraction"):
        replace(ISOLATED, isolated_fraction=1.5)
