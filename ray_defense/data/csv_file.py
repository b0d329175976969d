"""Tables as CSV that is safe to open in a spreadsheet and to print in a terminal."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.core.files import write_bytes

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: object) -> str:
    """Returns a cell: a text that would be a formula gets an apostrophe before it.

    Control characters, and what reverses the direction of writing, become escapes. Numbers stay
    as they are, and None is empty.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    apostrophe = "'" if value.startswith(_FORMULA_STARTS) else ""
    return apostrophe + escape_unprintable(value)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table whole or not at all; the same rows give the same bytes.

    Args:
        path: The file; one that is there already is replaced.
        header: The names of the columns.
        rows: Their values.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([csv_cell(value) for value in row])
    write_bytes(path, text.getvalue().encode())
