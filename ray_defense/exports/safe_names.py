"""Names of files and folders that every system takes, made of names that nobody vouches for."""

import os
import re
import unicodedata

MAX_NAME_BYTES = 200  # of 255, so that a number finds room
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_HIDDEN_CATEGORIES = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LEADING = " .-=+@~"  # hidden, an option of a command, a formula of a spreadsheet
_IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".gif", ".tif", ".tiff"),
)
_KINDS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n", ".png"),
    (b"RIFF", ".webp"),
    (b"BM", ".bmp"),
    (b"GIF8", ".gif"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
    (b"P", ".ppm"),
)


def safe_name(text: str) -> str:
    """Returns a name of one file or folder that resembles a text.

    Separators, control characters and what Windows does not take become `_`; a name never starts
    like a hidden file, an option or a formula, is never empty, and has at most
    `MAX_NAME_BYTES` bytes, its ending kept.
    """
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text))
    visible = []
    for character in name:
        hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES
        visible.append("_" if hidden else character)
    name = "".join(visible).lstrip(_LEADING).rstrip(" .")
    if not name or _RESERVED.fullmatch(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        return _cut(name, MAX_NAME_BYTES)
    return _cut(stem, MAX_NAME_BYTES - 1 - len(ending.encode())) + dot + ending


def with_image_ending(name: str, image: bytes) -> str:
    """Returns a file name that ends like an image, so that programs which go by it see the file.

    Args:
        name: The name.
        image: The bytes of an image file.
    """
    if name.lower().endswith(_IMAGE_ENDINGS):
        return name
    return name + image_ending(image)


def image_ending(image: bytes) -> str:
    """Returns the ending of an image file by its first bytes, with its dot; "" for another kind."""
    for start, ending in _KINDS:
        if image.startswith(start):
            return ending
    return ""


class DistinctNames:
    """Numbers names that are taken, so that no file of a folder replaces another.

    Names that differ in the case of letters alone count as equal, as on macOS and Windows.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Returns the name, or the first free `stem-2.ending`, `stem-3.ending`, ..."""
        stem, ending = os.path.splitext(name)
        number = self._numbers.get(name.casefold(), 1)
        taken = name
        while taken.casefold() in self._taken:
            number += 1
            taken = f"{stem}-{number}{ending}"
        self._numbers[name.casefold()] = number
        self._taken.add(taken.casefold())
        return taken


def _cut(text: str, num_bytes: int) -> str:
    return text.encode("utf-8", "replace")[:num_bytes].decode("utf-8", "ignore")
