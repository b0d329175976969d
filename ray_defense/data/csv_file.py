"""Tables as CSV that is safe to open in a spreadsheet and to print in a terminal."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

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
    written = []
    for character in value:
        visible = character.isprintable() or character == " "
        written.append(character if visible else character.encode("unicode_escape").decode())
    apostrophe = "'" if value.startswith(_FORMULA_STARTS) else ""
    return apostrophe + "".join(written)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table; the same rows give the same bytes.

    Args:
        path: The file, which must not be there.
        header: The names of the columns.
        rows: Their values, written while they come.
    """
    with open(path, "x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([csv_cell(value) for value in row])
