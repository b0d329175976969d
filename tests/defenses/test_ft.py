"""FT: its first step by hand, and what it looks at."""

from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

from ray_defense.models.seeded import build_model
from ray_defense.training.settings import Sgd
from ray_defense.transforms.no_augmentation import NoAugment
from tests.support.defended_noise import (
    BACKDOORED_SEED,
    MODEL,
    NUM_CLASSES,
    NUM_CLEAN,
    TUNED,
    changed_modules,
    weights_of,
)


def test_the_first_step_goes_down_the_cross_entropy_of_the_clean_images(noise):
    """Parity: theta - rate * gradient, by hand, on the whole clean share without augmentation."""
    sgd = Sgd(0.05, momentum=0.0, weight_decay=0.0)
    plain = replace(noise, augmentation=NoAugment())
    trained = weights_of(plain.train(replace(TUNED, epochs=1, batch_size=NUM_CLEAN, sgd=sgd)))
    model = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).train()
    images, labels = noise.clean_members()
    _, logits = model(images)
    cross_entropy(logits, labels).backward()
    for name, parameter in model.named_parameters():
        expected = parameter - 0.05 * parameter.grad
        assert torch.allclose(trained[name], expected, atol=1e-6), name


def test_ft_looks_at_no_sample_of_the_suspect_dataset(noise, tmp_path):
    trained = weights_of(noise.train(TUNED))
    for part in ("trusted", "flagged", "uncertain"):
        other = weights_of(noise.repainted(part, tmp_path / part).train(TUNED))
        assert changed_modules(trained, other) == set()
