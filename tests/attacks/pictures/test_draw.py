"""The picture that comes with Blend-Picture."""

import numpy as np
from PIL import Image

from ray_defense.attacks.blend_picture import default_picture
from ray_defense.attacks.pictures.draw import draw_fox


def test_the_shipped_picture_is_what_its_script_draws():
    with Image.open(default_picture()) as picture:
        assert picture.mode == "RGB"
        assert picture.size == (128, 128)
        shipped = np.asarray(picture).astype(int)
    drawn = np.asarray(draw_fox()).astype(int)
    # Other releases of Pillow may shade an edge otherwise.
    assert np.abs(shipped - drawn).mean() < 0.5


def test_the_shipped_picture_is_strong_enough_when_a_fifth_of_it_is_left():
    with Image.open(default_picture()) as picture:
        assert np.asarray(picture).astype(int).std() > 60
