"""How large the images of a source are, from the headers of some of them; no pixel is decoded."""

from typing import Protocol, runtime_checkable

import numpy as np

from ray_defense.data.decode import FORMATS, DecodeError, open_image

NUM_MEASURED = 200


@runtime_checkable
class EncodedSource(Protocol):
    """What a `Source` of encoded images has besides: the bytes of some of them, as they are."""

    def some_encoded(self, num_images: int) -> list[bytes]:
        """Returns the bytes of up to so many training images, spread over the split."""


def median_side(images: list[bytes]) -> int | None:
    """Returns the median of the shorter sides of images in pixels; None where none can be read.

    Args:
        images: Encoded; those that cannot be read are left out.
    """
    sides = []
    for data in images:
        try:
            with open_image(data, FORMATS) as image:
                sides.append(min(image.size))
        except DecodeError:
            continue
    return int(np.median(sides)) if sides else None


def spread(num_items: int, num_chosen: int) -> list[int]:
    """Returns up to so many positions in range(num_items), evenly spread and ascending."""
    positions = np.linspace(0, num_items - 1, min(num_items, num_chosen)).astype(int)
    return sorted(set(positions.tolist()))


def measured_side(source: object) -> int | None:
    """Returns the median of the shorter sides of some images of a source; None if it is unknown."""
    if not isinstance(source, EncodedSource):
        return None
    return median_side(source.some_encoded(NUM_MEASURED))
