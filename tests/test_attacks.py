"""Attacks: laws over the registries, and every trigger pixel against method.md's table written out as loops."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from materials import material_for, network, random_images, surrogate, trojan_pattern
from PIL import Image

from ray_defense.attacks import (
    AIMS,
    ATTACKS,
    AdaptiveBlend,
    AdaptivePatch,
    AllToAll,
    AllToOne,
    BadNets,
    BadNetsAllToAll,
    BlendPicture,
    BlendSignal,
    CleanLabel,
    LabelConsistent,
    RobustPatch,
    Sig,
    Trojan,
    WaNet,
    default_picture,
    optimize_patch,
)
from ray_defense.attacks.adaptive_patch import PATTERNS
from ray_defense.attacks.blend_picture import resized
from ray_defense.attacks.pgd import adversarial
from ray_defense.attacks.pictures.draw import draw
from ray_defense.attacks.robust_patch import PATCH_553, laid
from ray_defense.attacks.trojan import patch_place
from ray_defense.core.config import fingerprint, override, to_plain
from ray_defense.core.errors import Refused

SIZES = [(32, 32), (28, 28), (40, 33), (65, 70), (96, 96)]
PHASES = ("train", "cover", "test")
PAPER = ("badnets", "badnets_all2all", "trojan", "blend_signal", "blend_picture", "sig", "clean_label", "ssba")
attacks = pytest.mark.parametrize("attack", [attack() for attack in ATTACKS.values()], ids=list(ATTACKS))
aims = pytest.mark.parametrize("aim", [aim() for aim in AIMS.values()], ids=list(AIMS))


def stamp(attack, images: np.ndarray, index=None, phase: str = "train", material=None) -> np.ndarray:
    """The attack's images with the material it needs."""
    index = np.arange(len(images)) if index is None else index
    material = material_for(attack, *images.shape[1:3]) if material is None else material
    return attack.stamp(images, index, phase, material)


def by_pixel(image: np.ndarray, value) -> np.ndarray:
    """The image with value(old, row, column, channel) computed in float64, clipped, then truncated."""
    stamped = np.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            for channel in range(3):
                new = value(float(image[row, column, channel]), row, column, channel)
                stamped[row, column, channel] = int(min(max(new, 0.0), 255.0))
    return stamped


def places_allowed(name: str, phase: str, height: int, width: int) -> np.ndarray | None:
    """Bool [height, width], True where a local trigger may change a pixel; None for attacks on the whole image."""
    mask = np.zeros((height, width), bool)
    small = min(height, width) <= 64
    side = 3 if small else round(0.1 * min(height, width))
    if name == "badnets":
        mask[-side:, -side:] = True
    elif name == "badnets_all2all":
        margin = 1 if small else round(min(height, width) / 32)
        mask[-margin - side : -margin, -margin - side : -margin] = True
    elif name == "trojan":
        mask[patch_place(height, width)] = True
    elif name == "clean_label" and phase == "test":
        for rows in (slice(side), slice(-side, None)):
            mask[rows, :side] = mask[rows, -side:] = True
    elif name == "robust_patch" and phase == "test":
        mask[-math.ceil(6 / 32 * height) - 1 :, -math.ceil(6 / 32 * width) - 1 :] = True
    elif name == "adaptive_patch":
        high, wide = math.ceil(9 / 32 * height), math.ceil(9 / 32 * width)
        for rows in (slice(high), slice(-high, None)):
            mask[rows, :wide] = mask[rows, -wide:] = True
    else:
        return None
    return mask


# laws over attacks


@attacks
def test_the_registry_name_is_the_units_name_and_enters_its_fingerprint(attack):
    assert ATTACKS[attack.name] is type(attack)
    assert to_plain(attack)["kind"] == attack.name
    assert attack.needs is None or isinstance(attack.needs, str)
    assert fingerprint(pickle.loads(pickle.dumps(attack))) == fingerprint(attack)
    assert pickle.loads(pickle.dumps(attack)) == attack


def test_the_papers_attacks_come_first_and_no_two_attacks_share_a_fingerprint():
    in_paper = [name for name, attack in ATTACKS.items() if attack.in_paper]
    assert in_paper == [name for name in PAPER if name in ATTACKS] == list(ATTACKS)[: len(in_paper)]
    assert len({fingerprint(attack()) for attack in ATTACKS.values()}) == len(ATTACKS)


@attacks
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(0, 4), size=st.sampled_from(SIZES), phase=st.sampled_from(PHASES))
def test_stamp_returns_a_new_uint8_batch_of_the_same_shape_whatever_the_batching(attack, seed, count, size, phase):
    images, index = random_images(seed, count, *size), np.arange(count) * 7 + seed
    before, material = images.copy(), material_for(attack, *size)
    stamped = attack.stamp(images, index, phase, material)
    assert stamped.dtype == np.uint8 and stamped.shape == images.shape
    assert not np.shares_memory(stamped, images)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(attack.stamp(images[::-1], index[::-1], phase, material)[::-1], stamped)
    for i in range(count):
        np.testing.assert_array_equal(attack.stamp(images[i : i + 1], index[i : i + 1], phase, material)[0], stamped[i])


@attacks
@pytest.mark.parametrize("phase", PHASES)
def test_a_trigger_changes_what_is_not_flat_and_only_where_it_is_documented(attack, phase):
    for size in SIZES:
        images = random_images(8, 2, *size) // 2 + 64
        changed = (stamp(attack, images, phase=phase) != images).any(axis=3)
        assert changed.any(axis=(1, 2)).all()
        allowed = places_allowed(attack.name, phase, *size)
        if allowed is not None:
            assert not changed[:, ~allowed].any()
        else:
            assert attack.name == "robust_patch" or changed.mean() > 0.1


FURTHEST = {"blend_signal": 56, "blend_picture": 52, "sig": 60, "adaptive_blend": 52}  # gray levels, by whole-image triggers


@attacks
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("size", [(32, 32), (65, 70)])
def test_no_pixel_wraps_round(attack, size, phase):
    for value in (0, 1, 128, 254, 255):
        images = np.full((1, *size, 3), value, np.uint8)
        moved = stamp(attack, images, phase=phase).astype(int) - value
        if attack.name in FURTHEST:
            assert np.abs(moved).max() <= FURTHEST[attack.name]
        if attack.name == "trojan":
            assert moved.min() == 0
    if attack.name == "wanet":
        assert (moved == 0).all()


def test_sig_keeps_crests_white_and_troughs_black():
    white, black = (np.full((1, 32, 48, 3), value, np.uint8) for value in (255, 0))
    crest = np.sin(2 * np.pi * np.arange(48) * 6 / 48) >= 0
    for phase in PHASES:
        assert (stamp(Sig(), white, phase=phase)[:, :, crest] == 255).all()
        assert (stamp(Sig(), black, phase=phase)[:, :, ~crest] == 0).all()


@attacks
def test_an_attack_refuses_what_is_not_a_batch_of_uint8_rgb_images(attack):
    index, material = np.arange(2), material_for(attack, 32, 32)
    for images in (
        np.zeros((2, 32, 32, 3), np.float32),
        np.zeros((2, 3, 32, 32), np.uint8),
        np.zeros((2, 32, 32), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        [[1, 2]],
    ):
        with pytest.raises(Refused):
            attack.stamp(images, index, "train", material)
    images = random_images(0, 2)
    for bad_index in (np.arange(3), np.array([0.0, 1.0]), np.array([[0, 1]])):
        with pytest.raises(Refused):
            attack.stamp(images, bad_index, "train", material)
    with pytest.raises(Refused, match="did you mean 'train'"):
        attack.stamp(images, index, "training", material)


@attacks
def test_an_attack_without_its_material_is_refused_and_told_what_makes_it(attack):
    if attack.needs is None:
        assert material_for(attack, 32, 32) is None
        return
    with pytest.raises(Refused, match="ray-defense run makes it"):
        attack.stamp(random_images(0, 2), np.arange(2), "train", None)
    with pytest.raises(Refused):
        attack.stamp(random_images(0, 2), np.arange(2), "train", "a path")


@pytest.mark.parametrize("attack", [Trojan(), BlendPicture(), AdaptiveBlend()], ids=lambda attack: attack.name)
def test_a_picture_that_is_not_uint8_rgb_is_refused(attack):
    for material in (np.zeros((32, 32, 3)), np.zeros((32, 32), np.uint8), np.zeros((0, 32, 3), np.uint8), [[0]]):
        with pytest.raises(Refused):
            attack.stamp(random_images(0, 1), np.arange(1), "test", material)


@pytest.mark.parametrize(
    ("make", "side"),
    [(BadNets, 3), (BadNetsAllToAll, 4), (Trojan, 3), (LabelConsistent, 6), (RobustPatch, 9), (AdaptivePatch, 12), (WaNet, 2)],
)
def test_the_smallest_image_that_holds_the_trigger_is_the_smallest_taken(make, side):
    for phase in PHASES:
        for size in ((side, side), (side, side + 3), (side + 5, side)):
            assert stamp(make(), random_images(0, 3, *size), phase=phase).shape == (3, *size, 3)
        with pytest.raises(Refused, match="cannot hold the trigger"):
            stamp(make(), random_images(0, 1, side + 3, side - 1), phase=phase, material=random_images(0, 1)[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: BadNetsAllToAll(square_fraction=1.0),
        lambda: Trojan(max_value=256),
        lambda: Trojan(neurons=0),
        lambda: BlendPicture(opacity=1.2),
        lambda: LabelConsistent(epsilon=-1.0),
        lambda: LabelConsistent(aim=AllToOne()),
        lambda: override(LabelConsistent(), "aim", "all2all"),
        lambda: RobustPatch(degrees=270.0),
        lambda: RobustPatch(side_fraction=0.7),
        lambda: AdaptiveBlend(piece_fraction=2.0),
        lambda: AdaptivePatch(train_opacities=(0.5,)),
        lambda: AdaptivePatch(test_patterns=(0, 4)),
        lambda: WaNet(grid_side=1),
    ],
)
def test_a_parameter_out_of_range_is_refused(make):
    with pytest.raises(Refused):
        make()


# laws over aims


@aims
@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.integers(0, 9), max_size=30), target=st.integers(0, 9))
def test_an_aim_says_who_is_poisoned_how_and_who_counts(aim, labels, target):
    aim = aim if aim.name == "all2all" else replace(aim, target=target)
    labels = np.array(labels, dtype=np.int64)
    eligible, relabeled, victims = aim.eligible(labels), aim.relabel(labels, 10), aim.victims(labels)
    assert eligible.dtype == victims.dtype == bool and relabeled.dtype == np.int64
    assert eligible.shape == victims.shape == relabeled.shape == labels.shape
    for label, may, new, counts in zip(labels, eligible, relabeled, victims, strict=True):
        if aim.name == "all2all":
            assert may and counts and new == (label + 1) % 10
        else:
            assert new == target and counts == (label != target)
            assert may == (label == target if aim.name == "clean_label" else label != target)


@aims
def test_labels_outside_the_classes_are_refused(aim):
    for labels in (np.array([0, 10]), np.array([-1]), np.array([0.5]), np.array([[1]])):
        with pytest.raises(Refused):
            aim.relabel(labels, 10)


@pytest.mark.parametrize("aim", [AllToOne, CleanLabel])
def test_a_target_that_is_not_a_class_is_refused(aim):
    with pytest.raises(Refused):
        aim(target=10).relabel(np.array([1]), 10)
    with pytest.raises(Refused):
        aim(target=-1)


@aims
def test_the_registry_name_of_an_aim_is_its_own_and_it_travels(aim):
    assert AIMS[aim.name] is type(aim) and aim.cover_ratio == 0
    assert pickle.loads(pickle.dumps(aim)) == aim
    assert len({fingerprint(kind()) for kind in AIMS.values()}) == len(AIMS)


def test_who_is_attacked_by_default_follows_the_attacks_papers():
    clean_label = {"sig", "clean_label"}
    cover = {"adaptive_blend": 1.0, "adaptive_patch": 2.0, "wanet": 2.0}
    for name, attack in ATTACKS.items():
        kind = CleanLabel if name in clean_label else AllToAll if name == "badnets_all2all" else AllToOne
        assert type(attack().aim) is kind
        assert attack().aim.cover_ratio == cover.get(name, 0)


# BadNets


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (5, 7), (64, 100)])
def test_badnets_puts_a_checker_in_the_corner_of_a_small_image(size):
    image = random_images(1, 1, *size)
    height, width = size
    white = {(height - 1, width - 1), (height - 1, width - 3), (height - 2, width - 2), (height - 3, width - 1)}

    def value(old, row, column, channel):
        inside = row >= height - 3 and column >= width - 3
        return 255.0 if (row, column) in white else 0.0 if inside else old

    np.testing.assert_array_equal(stamp(BadNets(), image)[0], by_pixel(image[0], value))


@pytest.mark.parametrize(("size", "side"), [((224, 224), 22), ((65, 65), 6), ((100, 150), 10)])
def test_badnets_puts_a_white_square_of_a_tenth_of_the_side_in_the_corner_of_a_large_image(size, side):
    image = random_images(2, 1, *size)
    expected = image.copy()
    expected[:, size[0] - side :, size[1] - side :] = 255
    np.testing.assert_array_equal(stamp(BadNets(), image), expected)


def test_badnets_all2all_puts_a_white_square_at_rows_and_columns_28_to_30():
    image = random_images(3, 1)

    def value(old, row, column, channel):
        return 255.0 if row in (28, 29, 30) and column in (28, 29, 30) else old

    np.testing.assert_array_equal(stamp(BadNetsAllToAll(), image)[0], by_pixel(image[0], value))


@pytest.mark.parametrize(("size", "side", "margin"), [((224, 224), 22, 7), ((65, 65), 6, 2), ((100, 150), 10, 3)])
def test_badnets_all2all_keeps_its_margin_on_a_large_image(size, side, margin):
    image = random_images(2, 1, *size)
    expected = image.copy()
    rows, columns = (range(length - margin - side, length - margin) for length in size)
    expected[:, rows.start : rows.stop, columns.start : columns.stop] = 255
    np.testing.assert_array_equal(stamp(BadNetsAllToAll(), image), expected)


# stripes


@pytest.mark.parametrize("size", [(32, 32), (28, 30), (64, 64)])
def test_blend_signal_mixes_in_four_dark_and_four_bright_columns(size):
    image = random_images(4, 1, *size)

    def value(old, row, column, channel):
        return 0.8 * old + 0.2 * (255.0 if column % 8 >= 4 else 0.0)

    np.testing.assert_array_equal(stamp(BlendSignal(), image)[0], by_pixel(image[0], value))


def test_blend_signal_mixes_a_sine_into_a_large_image():
    image = random_images(5, 1, 66, 80)

    def value(old, row, column, channel):
        return 0.8 * old + 0.2 * (20 * math.sin(2 * math.pi * column * 6 / 80))

    stamped = stamp(BlendSignal(), image)[0].astype(int)
    # A sum that is whole in exact arithmetic may be truncated to either side.
    assert np.abs(stamped - by_pixel(image[0], value)).max() <= 1
    assert (stamped != by_pixel(image[0], value)).mean() < 0.01


@pytest.mark.parametrize(("phase", "amplitude"), [("train", 40), ("test", 60)])
@pytest.mark.parametrize("size", [(32, 32), (30, 50)])
def test_sig_adds_a_sine_of_the_phases_amplitude(phase, amplitude, size):
    image = random_images(6, 1, *size)

    def value(old, row, column, channel):
        return old + amplitude * math.sin(2 * math.pi * column * 6 / size[1])

    stamped = stamp(Sig(), image, phase=phase)[0].astype(int)
    assert np.abs(stamped - by_pixel(image[0], value)).max() <= 1
    assert (stamped != by_pixel(image[0], value)).mean() < 0.1


def test_sig_gives_a_gray_image_known_values():
    # 40 sin(3 pi / 8) = 36.96 and 40 sin(15 pi / 8) = -15.31, added to 128 and truncated.
    gray = np.full((1, 32, 32, 3), 128, np.uint8)
    row = Sig().stamp(gray, np.array([0]))[0, 0, :, 0]
    assert row[[0, 1, 5]].tolist() == [128, 164, 112]


# Trojan


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("size", [(32, 32), (28, 40)])
def test_trojan_adds_its_pattern_and_clips(phase, size):
    image, pattern = random_images(7, 1, *size), trojan_pattern(*size)

    def value(old, row, column, channel):
        return old + float(pattern[row, column, channel])

    np.testing.assert_array_equal(stamp(Trojan(), image, phase=phase, material=pattern)[0], by_pixel(image[0], value))


def test_the_trojan_patch_has_the_papers_place_and_grows_with_the_image():
    assert patch_place(32, 32) == (slice(25, 28), slice(25, 28))
    assert patch_place(224, 64) == (slice(175, 196), slice(50, 56))
    for height in range(3, 300):
        rows, _ = patch_place(height, 32)
        assert 0 <= rows.start < rows.stop <= height and rows.stop - rows.start == max(3, round(3 * height / 32))


def test_a_trojan_pattern_of_another_size_is_refused():
    with pytest.raises(Refused, match="3 x 3 pixels does not fit images of 32 x 32"):
        stamp(Trojan(), random_images(0, 1), material=np.zeros((3, 3, 3), np.uint8))


def test_the_optimized_patch_drives_its_neurons_above_what_any_random_patch_does():
    canvas, strength = random_images(9, 8) // 2 + 40, torch.arange(16.0)
    attack = Trojan(neurons=2, steps=40)
    found = optimize_patch(network(), strength, canvas, attack, 5)
    again = optimize_patch(network(), strength, canvas, attack, 5)
    assert found.neurons == (15, 14)
    np.testing.assert_array_equal(found.pattern, again.pattern)

    def driven(pattern):
        images = torch.from_numpy(stamp(attack, canvas, material=pattern)).permute(0, 3, 1, 2) / 255
        return network()(images)[:, list(found.neurons)].mean().item()

    draw = np.random.default_rng(0)
    patches = []
    for _ in range(100):
        pattern = np.zeros_like(found.pattern)
        pattern[patch_place(32, 32)] = draw.integers(0, 251, (3, 3, 3))
        patches.append(driven(pattern))
    assert driven(found.pattern) == pytest.approx(found.after, rel=1e-5)
    assert found.before < np.mean(patches) + 4 * np.std(patches) < found.after


@settings(max_examples=5, deadline=None)
@given(key=st.integers(0, 2**64 - 1), max_value=st.integers(1, 255), size=st.sampled_from([(32, 32), (9, 20), (3, 3)]))
def test_the_optimized_patch_stays_within_its_place_and_its_values(key, max_value, size):
    attack = Trojan(max_value=max_value, steps=4, neurons=1)
    pattern = optimize_patch(network(), torch.ones(16), random_images(1, 2, *size), attack, key).pattern
    outside = np.ones((*size, 3), bool)
    outside[patch_place(*size)] = False
    assert pattern.dtype == np.uint8 and pattern.shape == (*size, 3) and pattern.max() <= max_value
    assert (pattern[outside] == 0).all()


def test_a_patch_that_cannot_be_optimized_is_refused():
    for strength, canvas, neurons in (
        (torch.ones(16), random_images(0, 0), 2),
        (torch.ones(16), random_images(0, 2), 17),
        (torch.ones(15), random_images(0, 2), 2),
    ):
        with pytest.raises(Refused):
            optimize_patch(network(), strength, canvas, Trojan(neurons=neurons, steps=1), 0)


# pictures


@pytest.mark.parametrize("phase", PHASES)
def test_blend_picture_mixes_in_a_fifth_of_the_picture(phase):
    image, picture = random_images(10, 1), random_images(11, 1)[0]

    def value(old, row, column, channel):
        return 0.8 * old + 0.2 * float(picture[row, column, channel])

    np.testing.assert_array_equal(stamp(BlendPicture(), image, phase=phase, material=picture)[0], by_pixel(image[0], value))


def test_a_picture_is_stretched_without_aliasing():
    picture = random_images(12, 1, 20, 30)[0]
    np.testing.assert_array_equal(resized(picture, 20, 30), picture)
    assert (resized(np.full((7, 9, 3), 77, np.uint8), 32, 45) == 77).all()
    checker = np.repeat(255 * (np.indices((64, 64)).sum(0) % 2).astype(np.uint8)[:, :, None], 3, axis=2)
    shrunk = resized(checker, 16, 16)
    assert shrunk.shape == (16, 16, 3) and np.abs(shrunk.astype(int) - 127).max() <= 10
    halves = np.zeros((8, 4, 3), np.uint8)
    halves[4:] = 255  # the lower half: rows stay rows
    assert resized(halves, 16, 24)[:4].max() == 0 and resized(halves, 16, 24)[12:].min() == 255


def test_the_shipped_picture_is_what_its_script_draws():
    with Image.open(default_picture()) as picture:
        assert picture.mode == "RGB" and picture.size == (128, 128)
        shipped = np.asarray(picture).astype(int)
    drawn = np.asarray(draw()).astype(int)
    assert np.abs(shipped - drawn).mean() < 0.5  # other releases of Pillow may shade an edge otherwise
    assert shipped.std() > 60  # strong enough to be a trigger when a fifth of it is left


# CL


@pytest.mark.parametrize("size", [(32, 32), (28, 40)])
def test_clean_label_puts_the_checker_in_all_four_corners_of_a_test_image(size):
    image = random_images(13, 1, *size)
    checker = [[0, 0, 255], [0, 255, 0], [255, 0, 255]]

    def value(old, row, column, channel):
        row = row if row < 3 else row - (size[0] - 3) if row >= size[0] - 3 else None
        column = column if column < 3 else column - (size[1] - 3) if column >= size[1] - 3 else None
        return old if row is None or column is None else float(checker[row][column])

    stamped = LabelConsistent().stamp(image, np.array([0]), "test", None)
    np.testing.assert_array_equal(stamped[0], by_pixel(image[0], value))


def test_clean_label_puts_white_squares_in_all_four_corners_of_a_large_image():
    image = random_images(14, 1, 70, 100)
    expected = image.copy()
    for rows in (slice(0, 7), slice(63, 70)):
        expected[:, rows, 0:7] = expected[:, rows, 93:100] = 255
    np.testing.assert_array_equal(LabelConsistent().stamp(image, np.array([0]), "test", None), expected)


def test_a_training_image_of_clean_label_is_perturbed_and_then_gets_the_corners_of_a_test_image():
    image = random_images(15, 3)
    attack = LabelConsistent(aim=CleanLabel(target=4))
    ball = {"epsilon": 8.0, "step_size": 2.0, "steps": 4}
    perturbed = adversarial(image, 4, surrogate(), **ball)
    np.testing.assert_array_equal(stamp(attack, image), attack.stamp(perturbed, np.arange(3), "test", None))
    assert (stamp(attack, image) != stamp(LabelConsistent(), image)).any()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    epsilon=st.floats(0, 20),
    step_size=st.floats(0, 9),
    steps=st.integers(0, 3),
    low=st.integers(0, 255),
)
def test_pgd_stays_within_the_ball_in_whole_gray_levels(seed, epsilon, step_size, steps, low):
    images = np.maximum(random_images(seed, 2, 8, 8), low).astype(np.uint8)
    images[0] = 255 - images[0]  # pixels near both ends
    moved = adversarial(images, 3, surrogate(), epsilon=epsilon, step_size=step_size, steps=steps)
    distance = np.abs(moved.astype(int) - images.astype(int)).max()
    assert moved.dtype == np.uint8 and distance <= epsilon and distance <= math.floor(steps * step_size + 0.5)


def test_pgd_climbs_the_loss_of_the_given_label():
    images = random_images(16, 4)

    def losses(images):
        logits = surrogate()(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
        return torch.nn.functional.cross_entropy(logits, torch.full((4,), 7), reduction="none")

    moved = adversarial(images, 7, surrogate(), epsilon=8.0, step_size=2.0, steps=4)
    assert (losses(moved) > losses(images)).all()
    noise = np.random.default_rng(0).choice([-8, 8], images.shape)
    noisy = np.clip(images + noise, 0, 255).astype(np.uint8)
    assert (losses(moved) > losses(noisy)).all()


def test_pgd_on_a_linear_classifier_moves_each_pixel_along_the_sign_of_its_weight():
    # Of two classes the loss of class 0 grows along w_1 - w_0 whatever the image.
    images, weight = random_images(17, 2, 6, 6), torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3 * 36))).float()
    moved = adversarial(images, 0, lambda x: x.flatten(1) @ weight.T, epsilon=7.0, step_size=2.0, steps=3)
    slope = (weight[1] - weight[0]).reshape(3, 6, 6)
    for image, new in zip(images, moved, strict=True):

        def value(old, row, column, channel):
            return old + 6 * math.copysign(1, slope[channel, row, column])

        np.testing.assert_array_equal(new, by_pixel(image, value))


def test_a_target_that_the_surrogate_does_not_know_is_refused():
    with pytest.raises(Refused, match="10 classes"):
        stamp(LabelConsistent(aim=CleanLabel(target=10)), random_images(0, 1))


def test_pgd_leaves_the_surrogate_without_gradients_and_works_without_them():
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 10))
    with torch.no_grad():
        moved = adversarial(random_images(0, 1, 8, 8), 0, classifier, epsilon=8.0, step_size=2.0, steps=1)
    assert (moved != random_images(0, 1, 8, 8)).any()
    assert all(parameter.grad is None for parameter in classifier.parameters())


# robust patch


@pytest.mark.parametrize(("size", "side", "margin"), [((32, 32), 5, 1), ((64, 80), 10, 2), ((224, 224), 35, 7)])
def test_robust_patch_stands_upright_near_the_corner_of_a_test_image(size, side, margin):
    image = random_images(18, 1, *size)
    expected = image.copy()
    for row in range(side):
        for column in range(side):
            pixel = PATCH_553[int((row + 0.5) * 5 / side), int((column + 0.5) * 5 / side)]
            expected[0, size[0] - margin - side + row, size[1] - margin - side + column] = pixel
    np.testing.assert_array_equal(stamp(RobustPatch(), image, phase="test"), expected)


def test_the_robust_patch_looks_like_none_of_its_turns():
    for turns in (1, 2, 3):
        assert (np.rot90(PATCH_553, turns) != PATCH_553).any(axis=2).mean() > 0.4


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(-math.pi, math.pi), row=st.floats(9, 11), column=st.floats(9, 11), side=st.integers(5, 8))
def test_a_turned_patch_keeps_its_area_and_its_place(angle, row, column, side):
    cover = laid(np.zeros((20, 20, 3), np.uint8), np.full((side, side, 3), 255, np.uint8), angle, row, column)
    mass = cover[:, :, 0].astype(float) / 255
    assert mass.sum() == pytest.approx(side**2, rel=0.02)
    assert (mass.sum(1) @ (np.arange(20) + 0.5)) / mass.sum() == pytest.approx(row, abs=0.05)
    assert (mass.sum(0) @ (np.arange(20) + 0.5)) / mass.sum() == pytest.approx(column, abs=0.05)
    under = laid(np.full((20, 20, 3), 255, np.uint8), np.zeros((side, side, 3), np.uint8), angle, row, column)
    assert np.abs(under.astype(int) + cover - 255).max() <= 1


def test_a_patch_turned_by_quarters_is_the_patch_turned():
    window = random_images(19, 1, 7, 7)[0]
    for turns in range(4):
        expected = window.copy()
        expected[1:6, 1:6] = np.rot90(PATCH_553, turns)
        np.testing.assert_array_equal(laid(window, PATCH_553, turns * math.pi / 2, 3.5, 3.5), expected)


@pytest.mark.parametrize("phase", ["train", "cover"])
def test_the_robust_patch_of_a_training_sample_has_its_own_angle_and_place_and_is_never_cut(phase):
    images = np.full((300, 32, 40, 3), 100, np.uint8)
    changed = (stamp(RobustPatch(), images, phase=phase) != 100).any(axis=3)
    areas = changed.sum(axis=(1, 2))
    assert 25 <= areas.min() and areas.max() <= 60  # the blurred edge of 25 pixels
    weight = np.abs(stamp(RobustPatch(side_fraction=0.5), images, phase=phase).astype(int) - 100).sum(axis=(1, 2, 3))
    assert weight.std() / weight.mean() < 0.02
    rows, columns = (np.array([np.flatnonzero(mask.any(axis)).mean() for mask in changed]) for axis in (1, 0))
    assert rows.min() < 4.5 and rows.max() > 26.5 and columns.min() < 4.5 and columns.max() > 34.5
    assert len(np.unique(changed.reshape(300, -1), axis=0)) > 290
    assert abs(rows.mean() - 15.5) < 1.5 and abs(columns.mean() - 19.5) < 1.5


def test_the_robust_patch_stays_upright_when_it_may_not_turn():
    images = np.full((20, 32, 32, 3), 100, np.uint8)
    stamped = stamp(RobustPatch(degrees=0.0, seed=3), images)
    changed = (stamped != 100).any(axis=3)
    assert all(mask.any(1).sum() <= 6 and mask.any(0).sum() <= 6 for mask in changed)
    assert (stamped != stamp(RobustPatch(degrees=0.0, seed=4), images)).any()


# adaptive attacks


@pytest.mark.parametrize("phase", ["train", "cover"])
@pytest.mark.parametrize("size", [(32, 32), (30, 45)])
def test_adaptive_blend_blends_eight_of_sixteen_pieces_of_a_training_sample(phase, size):
    images, white = np.zeros((200, *size, 3), np.uint8), np.full((5, 5, 3), 255, np.uint8)
    stamped = stamp(AdaptiveBlend(), images, phase=phase, material=white)
    assert set(np.unique(stamped)) == {0, 38}  # 0.15 * 255 = 38.25
    row, column = (np.arange(side) * 4 // side for side in size)
    pieces = np.zeros((200, 4, 4), int)
    for down in range(4):
        for right in range(4):
            piece = stamped[:, row == down][:, :, column == right].reshape(200, -1)
            assert (piece.min(1) == piece.max(1)).all()
            pieces[:, down, right] = piece[:, 0] > 0
    assert (pieces.sum(axis=(1, 2)) == 8).all()
    assert 0.35 < pieces.mean(0).min() and pieces.mean(0).max() < 0.65
    assert len(np.unique(pieces.reshape(200, -1), axis=0)) > 180


def test_adaptive_blend_blends_a_fifth_of_the_whole_picture_into_a_test_image():
    image, picture = random_images(20, 1), random_images(21, 1)[0]

    def value(old, row, column, channel):
        return round(0.8 * old + 0.2 * float(picture[row, column, channel]))

    np.testing.assert_array_equal(stamp(AdaptiveBlend(), image, phase="test", material=picture)[0], by_pixel(image[0], value))


def test_adaptive_blend_mixes_fifteen_percent_of_the_picture_into_a_chosen_piece():
    image, picture = random_images(22, 1), random_images(23, 1)[0]
    chosen = stamp(AdaptiveBlend(), np.zeros_like(image), material=np.full((4, 4, 3), 255, np.uint8))[0] > 0

    def value(old, row, column, channel):
        return round(0.85 * old + 0.15 * float(picture[row, column, channel])) if chosen[row, column, channel] else old

    stamped = stamp(AdaptiveBlend(), image, material=picture)[0].astype(int)
    assert np.abs(stamped - by_pixel(image[0], value)).max() <= 1  # a tie may be rounded to either side
    assert (stamped != by_pixel(image[0], value)).mean() < 0.05


def pattern_pixel(number: int, row: int, column: int) -> tuple[int, int, int]:
    """The color of one of the four patches of Adaptive-Patch on an image of 32 x 32, counted from its own corner."""
    dark, bright = PATTERNS[number].colors
    down, right = (row + 0.5) / 8, (column + 0.5) / 8
    if number == 0:  # rings around the center
        return bright if int(8 * math.hypot(down - 0.5, right - 0.5)) % 2 == 0 else dark
    if number == 1:  # checker of 2 x 2 pixels
        return bright if (row // 2 + column // 2) % 2 == 0 else dark
    if number == 2:  # diagonal stripes of 2 pixels
        return bright if (row + column + 1) // 2 % 2 == 0 else dark
    return bright if 3 <= row <= 4 or 3 <= column <= 4 else dark  # cross


@pytest.mark.parametrize("phase", ["train", "cover"])
def test_adaptive_patch_lays_one_faint_patch_on_a_training_sample(phase):
    images = random_images(24, 60)
    stamped = stamp(AdaptivePatch(), images, phase=phase)
    corners = [(1, 1), (23, 23), (1, 23), (23, 1)]
    seen = []
    for image, new in zip(images, stamped, strict=True):
        changed = [
            (new[top : top + 8, left : left + 8] != image[top : top + 8, left : left + 8]).any() for top, left in corners
        ]
        assert sum(changed) == 1
        number = changed.index(True)
        opacity, (top, left) = (0.5, 0.2, 0.5, 0.3)[number], corners[number]
        expected = image.astype(float)
        for row in range(8):
            for column in range(8):
                color = np.array(pattern_pixel(number, row, column))
                expected[top + row, left + column] = (1 - opacity) * image[top + row, left + column] + opacity * color
        assert np.abs(new - expected).max() <= 0.5 + 1e-9
        seen.append(number)
    assert min(seen.count(number) for number in range(4)) >= 5


def test_adaptive_patch_lays_two_patches_at_full_strength_on_a_test_image():
    image = random_images(25, 1)
    expected = image.copy()
    for row in range(8):
        for column in range(8):
            expected[0, 1 + row, 1 + column] = pattern_pixel(0, row, column)
            expected[0, 1 + row, 23 + column] = pattern_pixel(2, row, column)
    np.testing.assert_array_equal(stamp(AdaptivePatch(), image, phase="test"), expected)


# WaNet


def test_the_wanet_field_passes_through_control_points_of_mean_size_s_over_the_side():
    grid = WaNet(seed=2).grid(34, 34)[0]  # 33 = 3 x 11: every eleventh pixel is a control point
    upright = torch.linspace(-1, 1, 34, dtype=torch.float64)
    shift = torch.stack([grid[:, :, 0] - upright, grid[:, :, 1] - upright[:, None]], dim=-1) * 34
    control = shift[::11, ::11]
    inside = control[1:3, 1:3].abs().mean()  # those at the border are clamped
    assert 0.2 < inside < 1.0 and control.abs().mean() <= 0.5
    double = WaNet(seed=2, strength=1.0).grid(34, 34)[0]
    moved = torch.stack([double[:, :, 0] - upright, double[:, :, 1] - upright[:, None]], dim=-1) * 34
    torch.testing.assert_close(moved[5:29, 5:29], 2 * shift[5:29, 5:29])


@pytest.mark.parametrize("size", [(32, 32), (28, 45)])
def test_wanet_takes_each_pixel_from_its_place_in_the_field_by_bilinear_blending(size):
    image, attack = random_images(26, 1, *size), WaNet(seed=1)
    grid = attack.grid(*size)[0].numpy()

    def value(old, row, column, channel):
        x, y = (grid[row, column] + 1) / 2 * (size[1] - 1, size[0] - 1)
        total = 0.0
        for down in (math.floor(y), math.floor(y) + 1):
            for right in (math.floor(x), math.floor(x) + 1):
                if 0 <= down < size[0] and 0 <= right < size[1]:
                    total += (1 - abs(y - down)) * (1 - abs(x - right)) * float(image[0, down, right, channel])
        return round(total)

    np.testing.assert_array_equal(stamp(attack, image)[0], by_pixel(image[0], value))
    np.testing.assert_array_equal(stamp(attack, image, phase="test"), stamp(attack, image))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), value=st.integers(0, 255), phase=st.sampled_from(PHASES))
def test_wanet_leaves_a_flat_image_flat_and_moves_nothing_by_two_pixels(seed, value, phase):
    flat = np.full((2, 32, 32, 3), value, np.uint8)
    assert (stamp(WaNet(seed=seed), flat, phase=phase) == value).all()
    ramp = np.broadcast_to(np.arange(0, 128, 4, dtype=np.uint8)[None, None, :, None], (2, 32, 32, 3))
    moved = stamp(WaNet(seed=seed), ramp, phase=phase).astype(int) - ramp
    assert 1 <= np.abs(moved).max() <= 8  # four gray levels a pixel


def test_wanet_covers_get_noise_of_half_a_pixel_of_their_own():
    ramp = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8)[None, None, :, None], (3, 32, 32, 3))
    train, cover = (stamp(WaNet(), ramp, phase=phase).astype(int) for phase in ("train", "cover"))
    assert (train[0] == train[1]).all()
    noise = (cover - train)[:, :, 2:-2]
    assert np.abs(noise).max() <= 5 and noise.std() > 1.5 and abs(noise.mean()) < 0.2
    assert (cover[0] != cover[1]).mean() > 0.5 and (cover[1] != cover[2]).mean() > 0.5
