"""The files of a split as they were at one moment, so that no change can shift a sample.

A source of many files lists them once (`ListedSource`). The list is compared with the plan,
travels to the processes that read, and each file is compared with its entry when it is read.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from ray_defense.core.errors import RunError
from ray_defense.core.sealed import SEALED_SUFFIX, read_sealed, write_sealed
from ray_defense.data.sources.protocol import Batch, Source, SourceInfo, SourceSplit
from ray_defense.data.sources.signature import FilesDigest
from ray_defense.data.text import encodable, shortened

SOURCE_CHANGED = "the files of the source changed while the run was under way: run again"


def source_changed(file: object) -> RunError:
    """Returns the error of a run whose source has changed, first noticed at a file."""
    return RunError(f"{SOURCE_CHANGED} (first noticed at {shortened(encodable(str(file)))!r})")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One sample of a split and the state of its file when it was listed."""

    path: str  # relative to the root of the source; it need not be valid UTF-8
    label: int
    size: int  # bytes
    modified_ns: int


@dataclass(frozen=True)
class FileListing:
    """The classes and the samples of a split, in the order of their positions."""

    info: SourceInfo
    folder: Path | None  # whose folders are classes; None: a table says what is read
    files: Iterator[ListedFile]  # read while it is walked, so it can be walked once
    labels_state: str = ""  # changes with what gives the labels, where that is not their paths


@runtime_checkable
class ListedSource(Protocol):
    """What a `Source` of many files has besides: a list of them, and reading what is on it."""

    def list_files(self, split: SourceSplit) -> FileListing | None:
        """Returns the files of a split as they are now, or None if it has no folder."""

    def read_files(self, files: Sequence[ListedFile], low: int, info: SourceInfo) -> Batch:
        """Returns listed files as the samples from position `low` on (see `Source.read`).

        Raises:
            RunError: If a file is not as it was when it was listed.
        """


@dataclass(frozen=True)
class CapturedSplit:
    """A split as it was when it was captured; plain data that travels to who reads it."""

    source: Source
    split: SourceSplit
    info: SourceInfo
    signature: str
    listings: Path | None  # the folder of the lists of files; None: the source has no such list
    range_size: int

    def read(self, low: int, high: int) -> Batch:
        """Returns the samples low to high - 1.

        Args:
            low: A multiple of the range size.
            high: At most `low` plus the range size, and at most the number of samples.

        Raises:
            RunError: If a file that is read has changed since, or the list of files is damaged.
        """
        if self.listings is None or not isinstance(self.source, ListedSource):
            batch = self.source.read(self.split, low, high)
            if self.source.signature(self.split) != self.signature:
                raise RunError(SOURCE_CHANGED)
            return batch
        entries = json.loads(read_sealed(_listing_file(self.listings, low // self.range_size)))
        files = [ListedFile(*entry) for entry in entries]
        return self.source.read_files(files, low, self.info)


def capture_split(
    source: Source, split: SourceSplit, listings: Path, range_size: int
) -> tuple[CapturedSplit, np.ndarray]:
    """Takes down what a split holds now.

    Args:
        source: The source.
        split: The split.
        listings: The folder for the lists of files, one for each range; it need not exist.
        range_size: Samples a range.

    Returns:
        The split, and the labels of its samples as given, int64 [N].
    """
    listing = source.list_files(split) if isinstance(source, ListedSource) else None
    if listing is None:
        labels = source.labels(split)
        signature = source.signature(split)
        captured = CapturedSplit(
            source, split, source.info(), signature=signature, listings=None, range_size=range_size
        )
        return captured, labels
    listings.mkdir(parents=True, exist_ok=True)
    digest = FilesDigest()
    listed_labels = []
    for number, files in enumerate(_in_groups(listing.files, range_size)):
        for file in files:
            digest.add(file.path, file.size, file.modified_ns)
            listed_labels.append(file.label)
        entries = [[file.path, file.label, file.size, file.modified_ns] for file in files]
        # JSON keeps the bytes of names that are no valid UTF-8 as escapes.
        write_sealed(_listing_file(listings, number), json.dumps(entries).encode())
    captured = CapturedSplit(
        source,
        split,
        listing.info,
        signature=digest.hexdigest() + listing.labels_state,
        listings=listings,
        range_size=range_size,
    )
    return captured, np.array(listed_labels, np.int64)


def iterate_split(source: Source, split: SourceSplit, batch_size: int) -> Iterator[Batch]:
    """Yields a split in batches; a change of its files meanwhile shifts no sample.

    Args:
        source: The source.
        split: The split.
        batch_size: Positions a batch, of which some may be rejected.

    Raises:
        RunError: If the files have changed since the first batch was read.
    """
    listing = source.list_files(split) if isinstance(source, ListedSource) else None
    if listing is not None and isinstance(source, ListedSource):
        low = 0
        for files in _in_groups(listing.files, batch_size):
            yield source.read_files(files, low, listing.info)
            low += len(files)
        return
    signature = source.signature(split)
    for low in range(0, len(source.labels(split)), batch_size):
        yield source.read(split, low, low + batch_size)
        if source.signature(split) != signature:
            raise RunError(SOURCE_CHANGED)


def _in_groups(files: Iterator[ListedFile], group_size: int) -> Iterator[list[ListedFile]]:
    """Yields all files in lists of `group_size`, of which the last may be shorter."""
    while group := list(itertools.islice(files, group_size)):
        yield group


def _listing_file(listings: Path, number: int) -> Path:
    return listings / f"files-{number:05d}{SEALED_SUFFIX}"
