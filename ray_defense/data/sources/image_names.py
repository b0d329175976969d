"""Which files are called like images, so that folders can be understood without decoding them.

What a file is, its content decides later; its name only tells what a folder is meant for.
"""

import itertools
import os
from collections.abc import Iterator

# Also of kinds that are rejected later: who stored them meant images.
IMAGE_ENDINGS = (
    ".avif .bmp .gif .heic .heif .jfif .jpe .jpeg .jpg .jxl .mpo .pbm .pgm .png .pnm .ppm .tif "
    ".tiff .webp"
).split()
_NUM_LOOKED_AT = 1000  # entries below a folder, to tell whether it holds images


def has_image_ending(name: str) -> bool:
    """Returns whether the name of a file ends like that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_ENDINGS


def is_image_name(name: str) -> bool:
    """Returns whether a file of this name is probably an image."""
    if "." in name:
        return has_image_ending(name)
    # Stores that name files by their hash leave the ending out; README and LICENSE have no digits.
    return any(character.isdigit() for character in name)


def holds_images(folder: str) -> bool:
    """Returns whether one of the first entries below a folder is called like an image.

    Raises:
        OSError: If a folder cannot be listed.
    """
    folders = [folder]
    num_left = _NUM_LOOKED_AT
    while folders and num_left:
        for entry in itertools.islice(_entries(folders.pop()), num_left):
            num_left -= 1
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif is_image_name(entry.name):
                return True
    return False


def _entries(folder: str) -> "Iterator[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        yield from entries
