"""The contact sheet: its tiles hold the very pixels, and no name draws outside its caption."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ray_defense.core.random import stream, uniform
from ray_defense.reports.contact_sheet import GAIN, ContactSheet, draw_contact_sheet
from tests.support.contact_sheets import open_pixels, tile_pixels


def make_sheet(count: int = 3, side: int = 32, **changes: Any) -> ContactSheet:
    draws = uniform(stream(0, "sheet"), np.arange(2 * count), side * side * 3)
    images = (256 * draws).astype(np.uint8).reshape(2, count, side, side, 3)
    sheet = ContactSheet(
        title="attack",
        subtitle="source",
        index=np.arange(count),
        labels=np.ones(count, np.int64),
        poisoned_labels=np.zeros(count, np.int64),
        class_names=("zero", "one"),
        clean=images[0],
        stamped={"train": images[1], "test": images[0]},
    )
    return replace(sheet, **changes)


@pytest.mark.parametrize(
    ("side", "enlarged"), [(8, 128), (32, 128), (48, 96), (100, 100), (128, 128), (200, 200)]
)
def test_every_tile_holds_the_very_pixels(side: int, enlarged: int):
    sheet = make_sheet(side=side)
    assert sheet.tile_size == (enlarged, enlarged)
    pixels = open_pixels(draw_contact_sheet(sheet))
    train = sheet.stamped["train"]
    change = np.minimum(GAIN * np.abs(train.astype(int) - sheet.clean), 255)
    rows = (sheet.clean, train, change, sheet.clean, np.zeros_like(change))
    for column in range(3):
        for number, images in enumerate(rows):
            assert np.array_equal(tile_pixels(pixels, sheet, number, column), images[column])


def test_the_remark_on_a_difference_is_its_largest_and_mean_before_it_is_amplified():
    clean = np.full((2, 4, 4, 3), 9, np.uint8)
    stamped = clean.copy()
    stamped[0, 0, 0, 0] = 0  # below the clean value: the difference must not wrap round
    stamped[1, 0, 0] = 209
    rows = make_sheet(2, clean=clean, stamped={"train": stamped}).rows()
    assert [row.name for row in rows] == ["clean", "poisoned (train)", "difference × 10"]
    difference = rows[2]
    assert difference.remark == f"largest 200, mean {(9 + 600) / 96:.2f}"
    assert difference.images[0, 0, 0].tolist() == [90, 0, 0]
    assert difference.images[1, 0, 0].tolist() == [255] * 3


def test_the_same_sheet_has_the_same_bytes_and_says_nothing_about_when_and_where():
    png = draw_contact_sheet(make_sheet())
    assert draw_contact_sheet(make_sheet()) == png
    assert not Image.open(io.BytesIO(png)).info


@pytest.mark.parametrize(
    "name",
    [
        "<b>",
        "\x1b[31m",
        "a\nb\nc",
        "\u202egnp",
        "\udcff",
        "",
        "日本",
        "\U0001f984",
        "-rf " * 1000,
    ],
)
def test_no_class_name_changes_the_sheet_outside_its_place(name: str):
    plain = make_sheet()
    hostile = make_sheet(class_names=(name, name))
    before = open_pixels(draw_contact_sheet(plain))
    after = open_pixels(draw_contact_sheet(hostile))
    assert before.shape == after.shape
    top, left = plain.corner(0, 0)
    _, right = plain.corner(0, 3)
    rows, columns, _ = np.nonzero(before != after)
    assert rows.max() < top
    assert columns.min() >= left
    assert columns.max() < right
