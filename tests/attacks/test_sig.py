"""SIG: every pixel against App. C.3."""

import math

import numpy as np
import pytest

from ray_defense.attacks.sig import Sig
from tests.support.assets import random_images
from tests.support.stamping import PHASES, by_pixel, stamp


@pytest.mark.parametrize(("phase", "amplitude"), [("train", 40), ("test", 60)])
@pytest.mark.parametrize("size", [(32, 32), (30, 50)])
def test_sig_adds_a_sine_of_the_phases_amplitude(phase, amplitude, size):
    image = random_images(6, 1, *size)

    def value(old, row, column, channel):
        return old + amplitude * math.sin(2 * math.pi * column * 6 / size[1])

    stamped = stamp(Sig(), image, phase=phase)[0].astype(int)
    expected = by_pixel(image[0], value)
    assert np.abs(stamped - expected).max() <= 1
    assert (stamped != expected).mean() < 0.1


def test_sig_gives_a_gray_image_known_values():
    # 40 sin(3 pi / 8) = 36.96 and 40 sin(15 pi / 8) = -15.31, added to 128 and truncated.
    gray = np.full((1, 32, 32, 3), 128, np.uint8)
    row = Sig().stamp(gray, np.array([0]))[0, 0, :, 0]
    assert row[[0, 1, 5]].tolist() == [128, 164, 112]


def test_sig_keeps_crests_white_and_troughs_black():
    white = np.full((1, 32, 48, 3), 255, np.uint8)
    black = np.zeros((1, 32, 48, 3), np.uint8)
    crest = np.sin(2 * np.pi * np.arange(48) * 6 / 48) >= 0
    for phase in PHASES:
        assert (stamp(Sig(), white, phase=phase)[:, :, crest] == 255).all()
        assert (stamp(Sig(), black, phase=phase)[:, :, ~crest] == 0).all()
