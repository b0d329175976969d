"""Rows of a CSV or TSV file that name image files, with their labels and their split."""

import csv
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_NAMED_FILES, MAX_PATHS_BYTES
from ray_defense.data.rows.column_names import LABEL_NAMES, PATH_NAMES, choose_column
from ray_defense.data.rows.label_mapping import GivenLabels, TextCodes, as_numbers
from ray_defense.data.text import encodable, shortened

ENDINGS = (".csv", ".tsv")
SPLIT_NAMES = ("split", "subset")
_DELIMITERS = ",;\t|"
_TRAIN_WORDS = ("train", "training")
_TEST_WORDS = (("test", "testing"), ("validation", "valid", "val"))


@dataclass(frozen=True)
class TableColumns:
    """The columns that the user names; "" for the first of the usual names."""

    path: str = ""
    label: str = ""
    split: str = ""


@dataclass(frozen=True, eq=False)
class TableRows:
    """What a table says."""

    paths: tuple[str, ...]  # as they stand there
    labels: GivenLabels
    train: np.ndarray  # int64, the rows of the training set
    test: np.ndarray  # int64
    left_out: tuple[str, ...]  # sentences on rows of neither


def find_table(path: str) -> Path:
    """Returns the table itself, or the only one in a folder.

    Raises:
        InputError: If there is none, or more than one.
    """
    root = Path(path)
    if path and root.is_file():
        return root
    tables = tables_in(root) if path and root.is_dir() else []
    if len(tables) != 1:
        named = ", ".join(repr(shortened(encodable(name), 60)) for name in tables[:5])
        has = f"{len(tables)} tables ({named})" if tables else "no table"
        raise InputError(
            f"{has} at {shortened(encodable(path))!r}: set path to a .csv or .tsv file with a "
            "column of paths and one of labels"
        )
    return root / tables[0]


def tables_in(folder: Path) -> list[str]:
    """Returns the names of the tables in a folder; links are none."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.name.lower().endswith(ENDINGS):
                continue
            if entry.is_file(follow_symlinks=False):
                names.append(entry.name)
    return sorted(names)


@lru_cache(maxsize=2)  # parsing a million rows takes seconds, and every range needs them
def read_table_rows(file: Path, columns: TableColumns, signature: str) -> TableRows:
    """Returns the rows of a table.

    Args:
        file: The table; its first line names the columns.
        columns: The columns that the user names.
        signature: What changes with the file.

    Raises:
        InputError: If the file is no table, is too large, or lacks a column.
    """
    origin = f"the table {shortened(encodable(str(file)))!r}"
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_PATHS_BYTES:
        raise InputError(f"{origin} is no file, or has more than {MAX_PATHS_BYTES} bytes: split it")
    paths: list[str] = []
    codes = TextCodes(origin)
    split_codes = TextCodes(origin)
    given = []
    splits = []
    rows = _parsed_rows(file, origin)
    header = [name.strip() for name in next(rows, [])]
    path_at = header.index(
        choose_column(header, columns.path, PATH_NAMES, option="path_column", origin=origin)
    )
    label_at = header.index(
        choose_column(header, columns.label, LABEL_NAMES, option="label_column", origin=origin)
    )
    split_at = _split_column(header, columns.split, origin)
    for row in rows:
        if not row:
            continue
        if len(row) != len(header) or len(paths) == MAX_NAMED_FILES:
            raise InputError(
                f"row {len(paths) + 1} of {origin} has {len(row)} cells and its first line "
                f"{len(header)}, or it has more than {MAX_NAMED_FILES} rows: write it again"
            )
        paths.append(row[path_at])
        given.append(codes.code(row[label_at].strip()))
        if split_at is not None:
            splits.append(split_codes.code(row[split_at].strip().lower()))
    labels = as_numbers(GivenLabels(np.array(given, np.int64), codes.texts()))
    if split_at is None:
        every_row = np.arange(len(paths))
        return TableRows(tuple(paths), labels, every_row, every_row[:0], ())
    return _with_splits(tuple(paths), labels, np.array(splits, np.int64), split_codes.texts())


def _parsed_rows(file: Path, origin: str) -> Iterator[list[str]]:
    try:
        # Names of files need not be valid UTF-8.
        with open(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            first = lines.readline(2**16)
            lines.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            yield from csv.reader(lines, delimiter=delimiter, strict=True)
    except (csv.Error, OSError) as error:
        raise InputError(
            f"cannot read {origin} ({shortened(error)}): write it again as CSV"
        ) from None


def _split_column(header: list[str], wanted: str, origin: str) -> int | None:
    usual = any(name in header for name in SPLIT_NAMES)
    if not wanted and not usual:
        return None
    return header.index(
        choose_column(header, wanted, SPLIT_NAMES, option="split_column", origin=origin)
    )


def _with_splits(
    paths: tuple[str, ...], labels: GivenLabels, splits: np.ndarray, words: tuple[str, ...]
) -> TableRows:
    """Returns the rows by their split, of which `splits` holds the number of the word, or -1."""
    test_words: tuple[str, ...] = ()
    for candidates in _TEST_WORDS:
        if not test_words and any(word in words for word in candidates):
            test_words = candidates
    part_of = [_part_of(word, test_words) for word in words]
    part = np.take(np.array([*part_of, -1], np.int64), splits)
    left_out = []
    num_left_out = int(np.count_nonzero(part == -1))
    if num_left_out:
        unread = [word or "none" for word, number in zip(words, part_of, strict=True) if number < 0]
        shown = ", ".join(repr(shortened(encodable(word), 40)) for word in unread[:5]) or "none"
        left_out.append(f"{num_left_out} rows of the table are of another split ({shown}).")
    return TableRows(
        paths, labels, np.flatnonzero(part == 0), np.flatnonzero(part == 1), tuple(left_out)
    )


def _part_of(word: str, test_words: tuple[str, ...]) -> int:
    """Returns 0 for the training set, 1 for the test set, -1 for neither."""
    if word in _TRAIN_WORDS:
        return 0
    return 1 if word in test_words else -1
