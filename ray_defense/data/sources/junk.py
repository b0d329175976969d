"""Files and folders that programs leave among images and that nobody means as data.

They are skipped and counted apart from samples. Training code may read them all the same: so it is
said where there are images among them.
"""

import os
from collections import Counter
from dataclasses import dataclass, field

from ray_defense.data.sources.image_names import has_image_ending, holds_images

# By their names in lower case; names that start with a dot are junk too.
_KNOWN = {
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",  # of archives that were made on a Mac
    "@eadir",  # thumbnails of a NAS
    "#recycle",
    "@recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
}


def is_junk(name: str) -> bool:
    """Returns whether a file or folder of this name is no part of the data."""
    return name.startswith(".") or name.lower() in _KNOWN


@dataclass
class JunkCount:
    """What was skipped, by kind."""

    entries: Counter[str] = field(default_factory=Counter)  # a folder counts as one
    with_images: Counter[str] = field(default_factory=Counter)  # those that are or hold images

    def add(self, entry: "os.DirEntry[str]") -> None:
        """Adds an entry that is junk."""
        kind = entry.name
        if kind.startswith("._"):
            kind = "._*"  # the side file that a Mac writes for each file
        self.entries[kind] += 1
        if kind == "._*":
            return
        if entry.is_dir(follow_symlinks=False):
            has_images = holds_images(entry.path)
        else:
            has_images = has_image_ending(entry.name)
        if has_images:
            self.with_images[kind] += 1
