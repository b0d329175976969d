"""A picture that an attack blends: decoded once, and known by its bytes, not by its place."""

import numpy as np
import pytest
from PIL import Image

from ray_defense.attacks.blend_picture import default_picture
from ray_defense.core.errors import InputError
from ray_defense.stages.attacker.picture import picture_asset, picture_step
from tests.support.assets import random_images
from tests.support.steps import make_step, plan_context


@pytest.fixture
def context(tmp_path):
    return plan_context(tmp_path / "store")


def test_a_picture_of_the_right_size_comes_back_as_it_is(tmp_path, context):
    pixels = random_images(0, 1, 20, width=20)[0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    artifact = make_step(picture_step(str(tmp_path / "a.png"), 20, context), context)
    np.testing.assert_array_equal(picture_asset(artifact).load(), pixels)


def test_the_packages_picture_is_taken_where_no_file_is_named(context):
    by_default = picture_step(None, 16, context)
    assert by_default.key == picture_step(str(default_picture()), 16, context).key
    picture = picture_asset(make_step(by_default, context)).load()
    assert picture.shape == (16, 16, 3)
    assert picture.dtype == np.uint8


def test_a_picture_is_known_by_its_bytes_and_size(tmp_path, context):
    first = tmp_path / "a.png"
    second = tmp_path / "b.png"
    Image.fromarray(random_images(0, 1)[0]).save(first)
    second.write_bytes(first.read_bytes())
    key = picture_step(str(first), 16, context).key
    assert picture_step(str(second), 16, context).key == key
    assert picture_step(str(first), 17, context).key != key
    Image.fromarray(random_images(1, 1)[0]).save(second)
    assert picture_step(str(second), 16, context).key != key


def test_what_is_no_picture_is_refused(tmp_path, context):
    with pytest.raises(InputError, match=r"nowhere.png is not a file: give the picture's path"):
        picture_step(str(tmp_path / "nowhere.png"), 16, context)
    (tmp_path / "text.png").write_text("no picture")
    step = picture_step(str(tmp_path / "text.png"), 16, context)
    with pytest.raises(InputError, match=r"text.png: .*give another picture"):
        make_step(step, context)
