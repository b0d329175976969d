"""Which column of a table holds the images and which the labels, by the names that are usual."""

import difflib
from collections.abc import Sequence

from ray_defense.core.errors import InputError
from ray_defense.data.text import encodable, shortened

IMAGE_NAMES = ("image", "img", "pixel_values", "jpg", "png")
PATH_NAMES = ("file", "filename", "file_name", "image", "path", "filepath", "image_path")
LABEL_NAMES = ("label", "labels", "fine_label", "target", "class", "y", "cls")
_NUM_SHOWN = 20


def choose_column(
    columns: Sequence[str], wanted: str, usual: Sequence[str], *, option: str, origin: str
) -> str:
    """Returns the name of a column.

    Args:
        columns: The names of all columns.
        wanted: The name that the user gives, or "" for the first of the usual ones.
        usual: The names that are tried.
        option: The field of the source that names the column, for messages.
        origin: The table, for messages.

    Raises:
        InputError: If there is none, or there are two of that name; the message has the nearest.
    """
    tried = (wanted,) if wanted else usual
    for name in tried:
        if columns.count(name) == 1:
            return name
        if columns.count(name) > 1:
            raise InputError(f"{origin} has two columns {name!r}: rename one")
    nearest = ""
    for name in tried:
        close = difflib.get_close_matches(name, columns[:_NUM_SHOWN], n=1, cutoff=0.6)
        if close:
            nearest = f"did you mean {option}={_shown(close[0])}? "
            break
    listed = shortened(", ".join(_shown(name) for name in columns[:_NUM_SHOWN]), 900)
    missing = repr(shortened(encodable(wanted), 60)) if wanted else " or ".join(usual)
    raise InputError(f"{origin} has no column {missing}: {nearest}set {option} to one of {listed}")


def _shown(name: str) -> str:
    return shortened(encodable(name), 40)
