"""The median side of the images of a source, from some of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from ray_defense.data.image_sides import measured_side, median_side, spread
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from tests.support.encoded_images import random_png


def test_positions_are_spread_over_all_from_the_first_to_the_last() -> None:
    for num_items in (0, 1, 2, 199, 200, 201, 5000):
        positions = spread(num_items, 200)
        assert positions == sorted(set(positions))
        assert len(positions) == min(num_items, 200)
        if num_items:
            assert positions[0] == 0
            assert positions[-1] == (num_items - 1 if num_items > 1 else 0)


def test_the_shorter_side_counts_and_what_cannot_be_read_does_not(tmp_path: Path) -> None:
    for number, shape in enumerate([(40, 90), (90, 50), (60, 60)]):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            pixels = np.full((*shape, 3), number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "a" / "broken.png").write_bytes(b"broken")
    source = ImageFolder(str(tmp_path))
    assert measured_side(source, len(source.labels("train"))) == 50


def test_where_no_image_can_be_read_nothing_is_measured() -> None:
    assert median_side([]) is None
    assert median_side([None, b"", b"broken"]) is None
    assert median_side([random_png(), None]) is not None
    assert measured_side(Digits(), 1437) is None
