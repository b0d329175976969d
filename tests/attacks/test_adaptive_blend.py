"""Adaptive-Blend: pieces in training, the whole picture at test (Qi et al., ICLR 2023)."""

import numpy as np
import pytest

from ray_defense.attacks.adaptive_blend import AdaptiveBlend
from tests.support.assets import random_images
from tests.support.stamping import by_pixel, stamp


@pytest.mark.parametrize("phase", ["train", "cover"])
@pytest.mark.parametrize("size", [(32, 32), (30, 45)])
def test_adaptive_blend_blends_eight_of_sixteen_pieces_of_a_training_sample(phase, size):
    images = np.zeros((200, *size, 3), np.uint8)
    white = np.full((5, 5, 3), 255, np.uint8)
    stamped = stamp(AdaptiveBlend(), images, phase=phase, asset=white)
    assert set(np.unique(stamped)) == {0, 38}  # 0.15 * 255 = 38.25
    piece_row = np.arange(size[0]) * 4 // size[0]
    piece_column = np.arange(size[1]) * 4 // size[1]
    chosen = np.zeros((200, 4, 4), int)
    for down in range(4):
        for right in range(4):
            piece = stamped[:, piece_row == down][:, :, piece_column == right].reshape(200, -1)
            assert (piece.min(1) == piece.max(1)).all()
            chosen[:, down, right] = piece[:, 0] > 0
    assert (chosen.sum(axis=(1, 2)) == 8).all()
    assert chosen.mean(0).min() > 0.35
    assert chosen.mean(0).max() < 0.65
    assert len(np.unique(chosen.reshape(200, -1), axis=0)) > 180


def test_adaptive_blend_blends_a_fifth_of_the_whole_picture_into_a_test_image():
    image = random_images(20, 1)
    picture = random_images(21, 1)[0]

    def value(old, row, column, channel):
        return round(0.8 * old + 0.2 * float(picture[row, column, channel]))

    stamped = stamp(AdaptiveBlend(), image, phase="test", asset=picture)
    np.testing.assert_array_equal(stamped[0], by_pixel(image[0], value))


def test_adaptive_blend_mixes_fifteen_percent_of_the_picture_into_a_chosen_piece():
    image = random_images(22, 1)
    picture = random_images(23, 1)[0]
    white = np.full((4, 4, 3), 255, np.uint8)
    chosen = stamp(AdaptiveBlend(), np.zeros_like(image), asset=white)[0] > 0

    def value(old, row, column, channel):
        if not chosen[row, column, channel]:
            return old
        return round(0.85 * old + 0.15 * float(picture[row, column, channel]))

    stamped = stamp(AdaptiveBlend(), image, asset=picture)[0].astype(int)
    expected = by_pixel(image[0], value)
    assert np.abs(stamped - expected).max() <= 1  # a tie may be rounded to either side
    assert (stamped != expected).mean() < 0.05
