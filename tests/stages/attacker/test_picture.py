"""A picture that an attack blends: decoded once, and known by its bytes, not by its place."""

import os

import numpy as np
import pytest
from PIL import Image

from ray_defense.attacks.blend_picture import default_picture
from ray_defense.core.errors import InputError, RunError
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


def test_a_picture_of_more_bytes_than_any_image_is_refused_unread(tmp_path, context):
    """Six gigabytes ended in a MemoryError."""
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(6 << 30)
    with pytest.raises(InputError, match=r"huge.png has 6442450944 bytes, more than"):
        picture_step(str(tmp_path / "huge.png"), 16, context)


def test_a_picture_that_changes_after_planning_ends_the_run_with_a_reason(tmp_path, context):
    """Otherwise the artifact of one picture would hold another."""
    Image.fromarray(random_images(0, 1)[0]).save(tmp_path / "a.png")
    step = picture_step(str(tmp_path / "a.png"), 16, context)
    Image.fromarray(random_images(1, 1)[0]).save(tmp_path / "a.png")
    with pytest.raises(RunError, match=r"a.png changed while the run was under way: run again"):
        make_step(step, context)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link to a device"])
def test_a_picture_that_is_no_file_is_refused_unopened(kind, tmp_path, context):
    """Input row 16: opening a FIFO waits for ever, a device gives bytes for ever."""
    path = tmp_path / "a.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is not a file"):
        picture_step(str(path), 16, context)


def test_a_picture_that_ends_early_is_refused(tmp_path, context):
    """Input row 1, for the attacker's picture too."""
    Image.fromarray(random_images(0, 1, 40, width=40)[0]).save(tmp_path / "a.jpg", quality=95)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    step = picture_step(str(tmp_path / "a.jpg"), 16, context)
    with pytest.raises(InputError, match=r"truncated JPEG.*give another picture"):
        make_step(step, context)
