"""How large the images of a source are, from the headers of some of them; no pixel is decoded."""

import math
from collections.abc import Iterable

import numpy as np

from ray_defense.core.errors import RunError
from ray_defense.data.decode import FORMATS, DecodeError, open_image
from ray_defense.data.sources.encoded import EncodedSource
from ray_defense.data.sources.protocol import AttackedSource, Source, VouchedSource
from ray_defense.decoding.heif_layout import heif_formats, heif_sizes, is_heif

NUM_MEASURED = 200


def measured_side(source: Source, num_samples: int) -> int | None:
    """Returns the median of the shorter sides of some training images, spread over all, in pixels.

    Args:
        source: Where they come from.
        num_samples: How many there are.

    Returns:
        The median; None where no image can be read, or the source has no image files.
    """
    if isinstance(source, AttackedSource):
        source = source.clean_source()
    if isinstance(source, VouchedSource):
        source, _ = source.parts()
    if not isinstance(source, EncodedSource):
        return None
    images = []
    for position in spread(num_samples, NUM_MEASURED):
        try:
            for sample in source.read_encoded("train", position, position + 1):
                images.append(sample.content)
        except (DecodeError, RunError):
            continue
    return median_side(images)


def median_side(images: Iterable[bytes | None]) -> int | None:
    """Returns the median of the shorter sides of encoded images in pixels.

    Args:
        images: Encoded; those that cannot be read are left out.
    """
    sides = []
    for data in images:
        if data and is_heif(data):
            sizes = heif_sizes(data) if heif_formats() else []
            if sizes:
                sides.append(min(max(sizes, key=math.prod)))  # the others are tiles and masks
            continue
        try:
            with open_image(data or b"", FORMATS) as image:
                sides.append(min(image.size))
        except DecodeError:
            continue
    return int(np.median(sides)) if sides else None


def spread(num_items: int, num_chosen: int) -> list[int]:
    """Returns up to so many positions in range(num_items), evenly spread and ascending."""
    positions = np.linspace(0, max(0, num_items - 1), min(num_items, num_chosen)).astype(int)
    return sorted(set(positions.tolist()))
