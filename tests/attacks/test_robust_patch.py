"""Robust patch: upright near the corner at test, turned and moved in training."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.attacks.robust_patch import PATCH_553, RobustPatch, lay_patch
from tests.support.assets import random_images
from tests.support.stamping import stamp


@pytest.mark.parametrize(
    ("size", "side", "margin"), [((32, 32), 5, 1), ((64, 80), 10, 2), ((224, 224), 35, 7)]
)
def test_robust_patch_stands_upright_near_the_corner_of_a_test_image(size, side, margin):
    image = random_images(18, 1, *size)
    top = size[0] - margin - side
    left = size[1] - margin - side
    expected = image.copy()
    for row in range(side):
        for column in range(side):
            pixel = PATCH_553[int((row + 0.5) * 5 / side), int((column + 0.5) * 5 / side)]
            expected[0, top + row, left + column] = pixel
    np.testing.assert_array_equal(stamp(RobustPatch(), image, phase="test"), expected)


def test_the_robust_patch_looks_like_none_of_its_turns():
    for turns in (1, 2, 3):
        assert (np.rot90(PATCH_553, turns) != PATCH_553).any(axis=2).mean() > 0.4


@settings(max_examples=30, deadline=None)
@given(
    angle=st.floats(-math.pi, math.pi),
    row=st.floats(9, 11),
    column=st.floats(9, 11),
    side=st.integers(5, 8),
)
def test_a_turned_patch_keeps_its_area_and_its_place(angle, row, column, side):
    black = np.zeros((20, 20, 3), np.uint8)
    white = np.full((20, 20, 3), 255, np.uint8)
    center = {"center_row": row, "center_column": column}
    white_patch = lay_patch(black, white[:side, :side], angle, **center)
    mass = white_patch[:, :, 0].astype(float) / 255
    positions = np.arange(20) + 0.5
    assert mass.sum() == pytest.approx(side**2, rel=0.02)
    assert (mass.sum(1) @ positions) / mass.sum() == pytest.approx(row, abs=0.05)
    assert (mass.sum(0) @ positions) / mass.sum() == pytest.approx(column, abs=0.05)
    black_patch = lay_patch(white, black[:side, :side], angle, **center)
    assert np.abs(black_patch.astype(int) + white_patch - 255).max() <= 1


def test_a_patch_turned_by_quarters_is_the_patch_turned():
    window = random_images(19, 1, 7, width=7)[0]
    for turns in range(4):
        expected = window.copy()
        expected[1:6, 1:6] = np.rot90(PATCH_553, turns)
        turned = lay_patch(
            window, PATCH_553, turns * math.pi / 2, center_row=3.5, center_column=3.5
        )
        np.testing.assert_array_equal(turned, expected)


@pytest.mark.parametrize("phase", ["train", "cover"])
def test_the_robust_patch_of_a_training_sample_has_its_own_angle_and_place_and_is_never_cut(phase):
    images = np.full((300, 32, 40, 3), 100, np.uint8)
    changed = (stamp(RobustPatch(), images, phase=phase) != 100).any(axis=3)
    areas = changed.sum(axis=(1, 2))
    assert areas.min() >= 25
    assert areas.max() <= 60  # the blurred edge of 25 pixels
    stamped = stamp(RobustPatch(side_fraction=0.5), images, phase=phase)
    weight = np.abs(stamped.astype(int) - 100).sum(axis=(1, 2, 3))
    assert weight.std() / weight.mean() < 0.02
    rows = np.array([np.flatnonzero(mask.any(axis=1)).mean() for mask in changed])
    columns = np.array([np.flatnonzero(mask.any(axis=0)).mean() for mask in changed])
    assert rows.min() < 4.5
    assert rows.max() > 26.5
    assert columns.min() < 4.5
    assert columns.max() > 34.5
    assert len(np.unique(changed.reshape(300, -1), axis=0)) > 290
    assert abs(rows.mean() - 15.5) < 1.5
    assert abs(columns.mean() - 19.5) < 1.5


def test_the_robust_patch_stays_upright_when_it_may_not_turn():
    images = np.full((20, 32, 32, 3), 100, np.uint8)
    stamped = stamp(RobustPatch(degrees=0.0, seed=3), images)
    changed = (stamped != 100).any(axis=3)
    for mask in changed:
        assert mask.any(axis=1).sum() <= 6
        assert mask.any(axis=0).sum() <= 6
    assert (stamped != stamp(RobustPatch(degrees=0.0, seed=4), images)).any()
