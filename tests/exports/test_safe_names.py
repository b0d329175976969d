"""Names that nobody vouches for become names that every system takes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.exports.safe_names import (
    MAX_NAME_BYTES,
    DistinctNames,
    image_ending,
    safe_name,
    with_image_ending,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat.png", "cat.png"),
        ("Kätzchen 1.JPG", "Kätzchen 1.JPG"),
        ("animal/cat", "animal_cat"),
        ("..", "_"),
        ("", "_"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("=cmd|' /C calc'!A0", "cmd_' _C calc'!A0"),
        ("a\nb\x1b[31m.png", "a_b_[31m.png"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("nul", "_nul"),
        ("COM1.png", "_COM1.png"),
        ("trailing. ", "trailing"),
        ("ß" * 300 + ".png", "ß" * 98 + ".png"),
    ],
)
def test_a_name_becomes_safe(text: str, name: str):
    assert safe_name(text) == name


@given(st.text())
def test_any_text_becomes_a_short_name_of_one_file(text: str):
    name = safe_name(text)
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert name == Path(name).name
    assert os.sep not in name
    assert name[0] not in ".-=+@ "
    assert safe_name(name) == name


def test_taken_names_are_numbered_and_case_is_no_difference():
    names = DistinctNames()
    taken = [names.take(name) for name in ("a.png", "A.png", "a-2.png", "a.png", "b")]
    assert taken == ["a.png", "A-2.png", "a-2-2.png", "a-3.png", "b"]


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("a.png", b"\xff\xd8\xff", "a.png"),
        ("a.JPEG", b"\x89PNG\r\n", "a.JPEG"),
        ("a", b"\x89PNG\r\n", "a.png"),
        ("a.exe", b"\xff\xd8\xff", "a.exe.jpg"),
        ("a", b"other", "a"),
    ],
)
def test_a_file_ends_like_an_image(name: str, image: bytes, expected: str):
    assert with_image_ending(name, image) == expected
    assert image_ending(b"RIFF....WEBP") == ".webp"
