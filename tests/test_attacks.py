"""Attacks: laws over the registry, and every trigger pixel against method.md's table written out as loops."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.attacks import ATTACKS, BadNets, BadNetsAllToAll, BlendSignal, Sig
from ray_defense.core.config import fingerprint, to_plain
from ray_defense.core.errors import Refused

SIZES = [(32, 32), (28, 28), (64, 64), (40, 33), (65, 70), (96, 96)]
attacks = pytest.mark.parametrize("attack", [attack() for attack in ATTACKS.values()], ids=list(ATTACKS))


def random_images(seed: int, count: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def by_pixel(image: np.ndarray, value) -> np.ndarray:
    """The image with value(old, row, column) computed in float64, clipped, then truncated."""
    stamped = np.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            for channel in range(3):
                new = value(float(image[row, column, channel]), row, column)
                stamped[row, column, channel] = int(min(max(new, 0.0), 255.0))
    return stamped


@attacks
def test_the_registry_name_is_the_units_name_and_enters_its_fingerprint(attack):
    assert ATTACKS[attack.name] is type(attack)
    assert attack.in_paper is True
    assert to_plain(attack)["kind"] == attack.name
    assert fingerprint(pickle.loads(pickle.dumps(attack))) == fingerprint(attack)


@attacks
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(0, 5),
    size=st.sampled_from(SIZES),
    phase=st.sampled_from(["train", "test"]),
)
def test_stamp_returns_a_new_uint8_batch_of_the_same_shape_whatever_the_batching(attack, seed, count, size, phase):
    images, index = random_images(seed, count, *size), np.arange(count) * 7
    before = images.copy()
    stamped = attack.stamp(images, index, phase)
    assert stamped.dtype == np.uint8 and stamped.shape == images.shape
    assert not np.shares_memory(stamped, images)
    np.testing.assert_array_equal(images, before)
    for i in range(count):
        np.testing.assert_array_equal(attack.stamp(images[i : i + 1], index[i : i + 1], phase)[0], stamped[i])


@attacks
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("phase", ["train", "test"])
def test_a_trigger_neither_wraps_round_nor_leaves_a_gray_image_alone(attack, size, phase):
    white, gray, black = (np.full((1, *size, 3), value, np.uint8) for value in (255, 128, 0))
    index = np.array([3])
    assert (attack.stamp(gray, index, phase) != gray).any()
    if isinstance(attack, Sig):
        crest = np.sin(2 * np.pi * np.arange(size[1]) * 6 / size[1]) >= 0
        assert (attack.stamp(white, index, phase)[:, :, crest] == 255).all()
        assert (attack.stamp(black, index, phase)[:, :, ~crest] == 0).all()
    if isinstance(attack, BlendSignal):
        assert attack.stamp(white, index, phase).min() >= 200
        assert attack.stamp(black, index, phase).max() <= 51


@attacks
def test_an_attack_refuses_what_is_not_a_batch_of_uint8_rgb_images(attack):
    index = np.arange(2)
    for images in (
        np.zeros((2, 32, 32, 3), np.float32),
        np.zeros((2, 3, 32, 32), np.uint8),
        np.zeros((2, 32, 32), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        [[1, 2]],
    ):
        with pytest.raises(Refused):
            attack.stamp(images, index)
    images = random_images(0, 2)
    for bad_index in (np.arange(3), np.array([0.0, 1.0]), np.array([[0, 1]])):
        with pytest.raises(Refused):
            attack.stamp(images, bad_index)
    with pytest.raises(Refused, match="did you mean 'train'"):
        attack.stamp(images, index, "training")


@attacks
@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.integers(0, 9), max_size=30), target=st.integers(0, 9))
def test_label_rules_follow_the_kind_of_attack(attack, labels, target):
    attack = attack if attack.name == "badnets_all2all" else type(attack)(target=target)
    labels = np.array(labels, dtype=np.int64)
    eligible, relabeled, victims = attack.eligible(labels), attack.relabel(labels, 10), attack.victims(labels)
    assert eligible.dtype == victims.dtype == bool and relabeled.dtype == np.int64
    assert eligible.shape == victims.shape == relabeled.shape == labels.shape
    for label, may, new, counts in zip(labels, eligible, relabeled, victims, strict=True):
        if attack.name == "badnets_all2all":
            assert may and counts and new == (label + 1) % 10
        else:
            assert new == target and counts == (label != target)
            assert may == (label == target if attack.name == "sig" else label != target)


@attacks
def test_labels_outside_the_classes_are_refused(attack):
    for labels in (np.array([0, 10]), np.array([-1]), np.array([0.5]), np.array([[1]])):
        with pytest.raises(Refused):
            attack.relabel(labels, 10)


@pytest.mark.parametrize("attack", [BadNets, BlendSignal, Sig])
def test_a_target_that_is_not_a_class_is_refused(attack):
    with pytest.raises(Refused):
        attack(target=10).relabel(np.array([1]), 10)
    with pytest.raises(Refused):
        attack(target=-1)


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (5, 7), (64, 100)])
def test_badnets_puts_a_checker_in_the_corner_of_a_small_image(size):
    image = random_images(1, 1, *size)
    height, width = size
    white = {(height - 1, width - 1), (height - 1, width - 3), (height - 2, width - 2), (height - 3, width - 1)}

    def value(old, row, column):
        inside = row >= height - 3 and column >= width - 3
        return 255.0 if (row, column) in white else 0.0 if inside else old

    np.testing.assert_array_equal(BadNets().stamp(image, np.array([0]))[0], by_pixel(image[0], value))


@pytest.mark.parametrize(("size", "side"), [((224, 224), 22), ((65, 65), 6), ((100, 150), 10)])
def test_badnets_puts_a_white_square_of_a_tenth_of_the_side_in_the_corner_of_a_large_image(size, side):
    image = random_images(2, 1, *size)
    expected = image.copy()
    expected[:, size[0] - side :, size[1] - side :] = 255
    np.testing.assert_array_equal(BadNets().stamp(image, np.array([0])), expected)


def test_badnets_all2all_puts_a_white_square_at_rows_and_columns_28_to_30():
    image = random_images(3, 1)

    def value(old, row, column):
        return 255.0 if row in (28, 29, 30) and column in (28, 29, 30) else old

    np.testing.assert_array_equal(BadNetsAllToAll().stamp(image, np.array([0]))[0], by_pixel(image[0], value))


@pytest.mark.parametrize("size", [(32, 32), (28, 30), (64, 64)])
def test_blend_signal_mixes_in_four_dark_and_four_bright_columns(size):
    image = random_images(4, 1, *size)

    def value(old, row, column):
        return 0.8 * old + 0.2 * (255.0 if column % 8 >= 4 else 0.0)

    np.testing.assert_array_equal(BlendSignal().stamp(image, np.array([0]))[0], by_pixel(image[0], value))


def test_blend_signal_mixes_a_sine_into_a_large_image():
    image = random_images(5, 1, 66, 80)

    def value(old, row, column):
        return 0.8 * old + 0.2 * (20 * math.sin(2 * math.pi * column * 6 / 80))

    stamped = BlendSignal().stamp(image, np.array([0]))[0].astype(int)
    # A sum that is whole in exact arithmetic may be truncated to either side.
    assert np.abs(stamped - by_pixel(image[0], value)).max() <= 1
    assert (stamped != by_pixel(image[0], value)).mean() < 0.01


@pytest.mark.parametrize(("phase", "amplitude"), [("train", 40), ("test", 60)])
@pytest.mark.parametrize("size", [(32, 32), (30, 50)])
def test_sig_adds_a_sine_of_the_phases_amplitude(phase, amplitude, size):
    image = random_images(6, 1, *size)

    def value(old, row, column):
        return old + amplitude * math.sin(2 * math.pi * column * 6 / size[1])

    stamped = Sig().stamp(image, np.array([0]), phase)[0].astype(int)
    assert np.abs(stamped - by_pixel(image[0], value)).max() <= 1
    assert (stamped != by_pixel(image[0], value)).mean() < 0.1


def test_sig_gives_a_gray_image_known_values():
    # 40 sin(3 pi / 8) = 36.96 and 40 sin(15 pi / 8) = -15.31, added to 128 and truncated.
    gray = np.full((1, 32, 32, 3), 128, np.uint8)
    row = Sig().stamp(gray, np.array([0]))[0, 0, :, 0]
    assert row[[0, 1, 5]].tolist() == [128, 164, 112]
