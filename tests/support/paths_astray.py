"""Paths in a table that name no image below its folder."""

import os
from pathlib import Path

from tests.support.encoded_images import random_png


def plant_paths_astray(folder: Path) -> dict[str, str]:
    """Returns paths, and why each is rejected; the links and the pipe that they name are made.

    Args:
        folder: Holds images/0.png.
    """
    secret = folder.parent / "secret.png"
    secret.write_bytes(random_png())
    (folder / "link.png").symlink_to(secret)
    (folder / "linked").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe.png")
    return {
        "../secret.png": "leads out",
        str(secret): "leads out",
        "images/../../secret.png": "leads out",
        "link.png": "not a regular file",
        "linked/secret.png": "behind a link",
        "pipe.png": "not a regular file",
        "images": "not a regular file",
        "gone.png": "No such file",
        "images/0.png/x": "below a file",
        "": "no path",
        "a\0b": "no path",
        "n" * 5000: "too long",
    }
