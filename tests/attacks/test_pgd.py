"""PGD: the ball, the direction and the loss."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.attacks.pgd import adversarial_images
from tests.support.assets import random_images, surrogate
from tests.support.stamping import by_pixel


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    epsilon=st.floats(0, 20),
    step_size=st.floats(0, 9),
    steps=st.integers(0, 3),
    low=st.integers(0, 255),
)
def test_pgd_stays_within_the_ball_in_whole_gray_levels(seed, epsilon, step_size, steps, low):
    images = np.maximum(random_images(seed, 2, 8, width=8), low).astype(np.uint8)
    images[0] = 255 - images[0]  # pixels near both ends
    moved = adversarial_images(
        images, 3, surrogate(), epsilon=epsilon, step_size=step_size, steps=steps
    )
    distance = np.abs(moved.astype(int) - images.astype(int)).max()
    assert moved.dtype == np.uint8
    assert distance <= epsilon
    assert distance <= math.floor(steps * step_size + 0.5)


def test_pgd_climbs_the_loss_of_the_given_label():
    images = random_images(16, 4)

    def losses(images):
        logits = surrogate()(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
        labels = torch.full((4,), 7)
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    moved = adversarial_images(images, 7, surrogate(), epsilon=8.0, step_size=2.0, steps=4)
    assert (losses(moved) > losses(images)).all()
    noise = np.random.default_rng(0).choice([-8, 8], images.shape)
    noisy = np.clip(images + noise, 0, 255).astype(np.uint8)
    assert (losses(moved) > losses(noisy)).all()


def test_pgd_on_a_linear_classifier_moves_each_pixel_along_the_sign_of_its_weight():
    # Of two classes the loss of class 0 grows along w_1 - w_0 whatever the image.
    images = random_images(17, 2, 6, width=6)
    weight = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3 * 36))).float()

    def classifier(images_BCHW):
        return images_BCHW.flatten(1) @ weight.T

    moved = adversarial_images(images, 0, classifier, epsilon=7.0, step_size=2.0, steps=3)
    slope = (weight[1] - weight[0]).reshape(3, 6, 6)

    def value(old, row, column, channel):
        return old + 6 * math.copysign(1, slope[channel, row, column])

    for image, new in zip(images, moved, strict=True):
        np.testing.assert_array_equal(new, by_pixel(image, value))


def test_pgd_leaves_the_surrogate_without_gradients_and_works_without_them():
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 10))
    images = random_images(0, 1, 8, width=8)
    with torch.no_grad():
        moved = adversarial_images(images, 0, classifier, epsilon=8.0, step_size=2.0, steps=1)
    assert (moved != images).any()
    for parameter in classifier.parameters():
        assert parameter.grad is None


def test_without_a_bound_pixels_wrap_round_and_nothing_else_changes():
    images = np.zeros((1, 6, 6, 3), np.uint8)
    images[0, :3] = 128
    weight = torch.ones(2, 3 * 36)
    weight[1] = -1  # the loss of class 0 grows as pixels fall

    def classifier(images_BCHW):
        return images_BCHW.flatten(1) @ weight.T

    settings_of_pgd = {"epsilon": 8.0, "step_size": 2.0, "steps": 4}
    clipped = adversarial_images(images, 0, classifier, **settings_of_pgd)
    wrapped = adversarial_images(images, 0, classifier, **settings_of_pgd, overflow="wrap")
    assert (clipped[0, :3] == 120).all()
    assert (clipped[0, 3:] == 0).all()
    assert (wrapped[0, :3] == 120).all()
    assert (wrapped[0, 3:] == 248).all()
