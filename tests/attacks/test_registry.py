"""Laws over the registry of attacks: what every attack promises."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.attacks import ATTACKS
from ray_defense.attacks.adaptive_blend import AdaptiveBlend
from ray_defense.attacks.adaptive_patch import AdaptivePatch
from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.badnets_all2all import BadNetsAllToAll
from ray_defense.attacks.blend_picture import BlendPicture
from ray_defense.attacks.label_consistent import LabelConsistent
from ray_defense.attacks.robust_patch import RobustPatch
from ray_defense.attacks.targets import AllToAll, AllToOne, CleanLabel
from ray_defense.attacks.trojan import Trojan, patch_slices
from ray_defense.attacks.wanet import WaNet
from ray_defense.core.config import fingerprint, override, to_plain
from ray_defense.core.errors import InputError
from tests.support.assets import asset_for, random_images
from tests.support.import_cost import heavy_imports
from tests.support.stamping import PHASES, stamp

SIZES = [(32, 32), (28, 28), (40, 33), (65, 70), (96, 96)]
PAPER = (
    "badnets",
    "badnets_all2all",
    "trojan",
    "blend_signal",
    "blend_picture",
    "sig",
    "label_consistent",
    "ssba",
)
# Attacks whose trigger covers the whole image, except where `trigger_mask` says otherwise.
WHOLE_IMAGE = (
    "blend_signal",
    "blend_picture",
    "sig",
    "label_consistent",
    "ssba",
    "adaptive_blend",
    "wanet",
)
# How far a trigger that covers the whole image moves a pixel at most, gray levels.
FURTHEST = {"blend_signal": 56, "blend_picture": 52, "sig": 60, "adaptive_blend": 52}

every_attack = pytest.mark.parametrize(
    "attack", [attack_type() for attack_type in ATTACKS.values()], ids=list(ATTACKS)
)


def trigger_mask(name: str, phase: str, height: int, width: int) -> np.ndarray | None:
    """Returns bool [height, width]: where a local trigger may change a pixel.

    None stands for a trigger that may be anywhere.
    """
    mask = np.zeros((height, width), bool)
    shorter_side = min(height, width)
    small = shorter_side <= 64
    side = 3 if small else round(0.1 * shorter_side)
    if name == "badnets":
        mask[-side:, -side:] = True
    elif name == "badnets_all2all":
        margin = 1 if small else round(shorter_side / 32)
        mask[-margin - side : -margin, -margin - side : -margin] = True
    elif name == "trojan":
        mask[patch_slices(height, width)] = True
    elif name == "label_consistent" and phase == "test":
        _allow_corners(mask, side, side)
    elif name == "robust_patch" and phase == "test":
        mask[-math.ceil(6 / 32 * height) - 1 :, -math.ceil(6 / 32 * width) - 1 :] = True
    elif name == "adaptive_patch":
        _allow_corners(mask, math.ceil(9 / 32 * height), math.ceil(9 / 32 * width))
    else:
        return None
    return mask


def _allow_corners(mask: np.ndarray, height: int, width: int) -> None:
    for rows in (slice(height), slice(-height, None)):
        mask[rows, :width] = True
        mask[rows, -width:] = True


@every_attack
def test_the_registry_name_is_the_units_name_and_enters_its_fingerprint(attack):
    assert ATTACKS[attack.name] is type(attack)
    assert to_plain(attack)["kind"] == attack.name
    assert attack.requires is None or isinstance(attack.requires, str)
    travelled = pickle.loads(pickle.dumps(attack))
    assert fingerprint(travelled) == fingerprint(attack)
    assert travelled == attack


@pytest.mark.parametrize("name", ATTACKS)
def test_creating_an_attack_imports_no_heavy_library(name):
    code = f"from ray_defense.attacks import ATTACKS\nATTACKS[{name!r}]()\n"
    assert heavy_imports(code) == []


def test_the_papers_attacks_come_first_and_no_two_attacks_share_a_fingerprint():
    in_paper = [name for name, attack_type in ATTACKS.items() if attack_type.in_paper]
    assert in_paper == [name for name in PAPER if name in ATTACKS]
    assert in_paper == list(ATTACKS)[: len(in_paper)]
    fingerprints = {fingerprint(attack_type()) for attack_type in ATTACKS.values()}
    assert len(fingerprints) == len(ATTACKS)


@every_attack
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(0, 4),
    size=st.sampled_from(SIZES),
    phase=st.sampled_from(PHASES),
)
def test_stamp_returns_a_new_uint8_batch_of_the_same_shape_whatever_the_batching(
    attack, seed, count, size, phase
):
    images = random_images(seed, count, *size)
    index = np.arange(count) * 7 + seed
    before = images.copy()
    asset = asset_for(attack, *size)
    stamped = attack.stamp(images, index, phase, asset=asset)
    assert stamped.dtype == np.uint8
    assert stamped.shape == images.shape
    assert not np.shares_memory(stamped, images)
    np.testing.assert_array_equal(images, before)
    backwards = attack.stamp(images[::-1], index[::-1], phase, asset=asset)
    np.testing.assert_array_equal(backwards[::-1], stamped)
    for i in range(count):
        alone = attack.stamp(images[i : i + 1], index[i : i + 1], phase, asset=asset)
        np.testing.assert_array_equal(alone[0], stamped[i])


@every_attack
@pytest.mark.parametrize("phase", PHASES)
def test_a_trigger_changes_what_is_not_flat_and_only_where_it_is_documented(attack, phase):
    for size in SIZES:
        images = random_images(8, 2, *size) // 2 + 64
        changed = (stamp(attack, images, phase=phase) != images).any(axis=3)
        assert changed.any(axis=(1, 2)).all()
        allowed = trigger_mask(attack.name, phase, *size)
        if allowed is not None:
            assert not changed[:, ~allowed].any()
        elif attack.name in WHOLE_IMAGE:
            assert changed.mean() > 0.1


@every_attack
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


@every_attack
@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 32, 32, 3), np.float32),
        np.zeros((2, 3, 32, 32), np.uint8),
        np.zeros((2, 32, 32), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        [[1, 2]],
    ],
    ids=["float", "channels first", "gray", "one image", "list"],
)
def test_an_attack_refuses_what_is_not_a_batch_of_uint8_rgb_images(attack, images):
    with pytest.raises(InputError):
        attack.stamp(images, np.arange(2), "train", asset=asset_for(attack, 32, 32))


@every_attack
def test_an_attack_refuses_an_index_that_does_not_number_its_images(attack):
    for index in (np.arange(3), np.array([0.0, 1.0]), np.array([[0, 1]])):
        with pytest.raises(InputError):
            attack.stamp(random_images(0, 2), index, "train", asset=asset_for(attack, 32, 32))


@every_attack
def test_an_attack_refuses_an_unknown_phase_and_suggests_the_nearest(attack):
    asset = asset_for(attack, 32, 32)
    with pytest.raises(InputError, match="did you mean 'train'"):
        attack.stamp(random_images(0, 2), np.arange(2), "training", asset=asset)


@every_attack
def test_an_attack_without_its_asset_is_refused_and_told_what_makes_it(attack):
    if attack.requires is None:
        assert asset_for(attack, 32, 32) is None
        return
    images = random_images(0, 2)
    with pytest.raises(InputError, match="ray-defense run makes it"):
        attack.stamp(images, np.arange(2), "train", asset=None)
    with pytest.raises(InputError):
        attack.stamp(images, np.arange(2), "train", asset="a path")


@pytest.mark.parametrize(
    "attack", [Trojan(), BlendPicture(), AdaptiveBlend()], ids=lambda attack: attack.name
)
@pytest.mark.parametrize(
    "asset",
    [
        np.zeros((32, 32, 3)),
        np.zeros((32, 32), np.uint8),
        np.zeros((0, 32, 3), np.uint8),
        [[0]],
    ],
    ids=["float", "gray", "empty", "list"],
)
def test_a_picture_that_is_not_uint8_rgb_is_refused(attack, asset):
    with pytest.raises(InputError):
        attack.stamp(random_images(0, 1), np.arange(1), "test", asset=asset)


@pytest.mark.parametrize(
    ("attack_type", "side"),
    [
        (BadNets, 3),
        (BadNetsAllToAll, 4),
        (Trojan, 3),
        (LabelConsistent, 6),
        (RobustPatch, 9),
        (AdaptivePatch, 12),
        (WaNet, 2),
    ],
)
@pytest.mark.parametrize("phase", PHASES)
def test_the_smallest_image_that_holds_the_trigger_is_the_smallest_taken(attack_type, side, phase):
    for size in ((side, side), (side, side + 3), (side + 5, side)):
        images = random_images(0, 3, *size)
        assert stamp(attack_type(), images, phase=phase).shape == (3, *size, 3)
    too_narrow = random_images(0, 1, side + 3, width=side - 1)
    with pytest.raises(InputError, match="cannot hold the trigger"):
        stamp(attack_type(), too_narrow, phase=phase, asset=random_images(0, 1)[0])


@pytest.mark.parametrize(
    "create",
    [
        lambda: BadNetsAllToAll(square_fraction=1.0),
        lambda: Trojan(max_value=256),
        lambda: Trojan(neurons=0),
        lambda: BlendPicture(opacity=1.2),
        lambda: LabelConsistent(epsilon=-1.0),
        lambda: LabelConsistent(target=AllToOne()),
        lambda: override(LabelConsistent(), "target", "all2all"),
        lambda: RobustPatch(degrees=270.0),
        lambda: RobustPatch(side_fraction=0.7),
        lambda: AdaptiveBlend(piece_fraction=2.0),
        lambda: AdaptivePatch(train_opacities=(0.5,)),
        lambda: AdaptivePatch(test_patterns=(0, 4)),
        lambda: WaNet(grid_side=1),
    ],
)
def test_a_parameter_out_of_range_is_refused(create):
    with pytest.raises(InputError):
        create()


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("badnets", AllToOne()),
        ("badnets_all2all", AllToAll()),
        ("trojan", AllToOne()),
        ("blend_signal", AllToOne()),
        ("blend_picture", AllToOne()),
        ("sig", CleanLabel()),
        ("label_consistent", CleanLabel()),
        ("ssba", AllToOne()),
        ("adaptive_blend", AllToOne(cover_ratio=1.0)),
        ("adaptive_patch", AllToOne(cover_ratio=2.0)),
        ("wanet", AllToOne(cover_ratio=2.0)),
        ("robust_patch", AllToOne()),
    ],
)
def test_the_default_targets_follow_the_papers_of_the_attacks(name, target):
    assert ATTACKS[name]().target == target
