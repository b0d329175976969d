"""What a source of labeled images answers: its classes, its labels, and decoded ranges of samples.

To add a source, write a frozen dataclass that has the methods of `Source` in a module of this
package, and name it in `SOURCES`. See `digits` for a short one.
"""

import os
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

SourceSplit = Literal["train", "test"]


@dataclass(frozen=True)
class SourceInfo:
    """What a source holds."""

    num_classes: int
    class_names: tuple[str, ...]  # in label order
    size: int  # pixels; every image becomes size x size


@dataclass(frozen=True)
class RejectedSample:
    """A sample that is left out."""

    index: int  # its position in the split
    origin: str  # where it came from: a relative path, or "row 17"
    reason: str


@dataclass(frozen=True)
class ConvertedSample:
    """A sample whose file held something else than one 8-bit RGB picture."""

    index: int  # its position in the split
    conversion: str  # what it held: "gray", "transparency", "the first of 2 pictures"


@dataclass(frozen=True)
class SourceDescription:
    """What a source made of the files it was given, in sentences for its user."""

    recognized: tuple[str, ...]  # which files are which split and which class
    left_out: tuple[str, ...]  # what no split reads, and why; what to look at
    num_junk: int = 0  # files and folders that were skipped as no part of the data


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples of a range of a split; `index` has a gap for every rejected one."""

    index: np.ndarray  # int64 [n], positions in the split, ascending
    images: np.ndarray  # uint8 [n, size, size, 3]
    labels: np.ndarray  # int64 [n], in range(num_classes)
    origin: tuple[str, ...]  # where each came from: a relative path, or "row 17"
    rejected: tuple[RejectedSample, ...]
    converted: tuple[ConvertedSample, ...] = ()  # of those in `index`


class Source(Protocol):
    """A training split of labeled images and, where there is one, a test split.

    A source is a frozen dataclass. Its fields are its parameters: each can be set on the command
    line, and all enter the fingerprint of everything that is made from the source, so only what
    changes its samples should be a field. Parameters are checked in `__post_init__`, which also
    makes paths absolute (`make_absolute`), since workers run in other directories.

    A source is pickled and sent to many processes, each of which reads some ranges. Its answers
    must therefore depend on its fields and on the files behind it alone. A sample is identified by
    its position in its split, in an order that never changes while the files stay the same; a
    sample that cannot be read keeps its position and is rejected.

    Attributes:
        name: The name of the class in `SOURCES`.
    """

    name: ClassVar[str]

    def info(self) -> SourceInfo:
        """Returns the classes and the size of the images.

        Raises:
            InputError: If there is no training split.
        """

    def labels(self, split: SourceSplit) -> np.ndarray:
        """Returns the labels of a split as they are given, without reading images.

        They need not be valid: a missing or fractional label is -1, and others may lie outside
        range(num_classes). `read` rejects such samples.

        Returns:
            int64 [N]; [0] for the test split of a source that has none.

        Raises:
            InputError: If there is no training split.
        """

    def signature(self, split: SourceSplit) -> str:
        """Returns a text that changes whenever the files behind a split change.

        It enters the key of everything that is made from the split. It should cost little: see
        `files_signature`, which reads no file. A source without files returns a constant.
        """

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        """Returns the samples at positions low to high - 1 of a split.

        Positions outside the split are ignored. Each sample is either decoded or listed in
        `Batch.rejected` with the reason; none is replaced or silently left out. Files are not
        trusted: decode them with `decode_image`, and let `collect_batch` make the batch.
        """


@runtime_checkable
class DescribedSource(Protocol):
    """What a `Source` has besides whose files can be understood in more than one way."""

    def describe(self) -> SourceDescription:
        """Returns what it made of its files; the test files are named and not read.

        Raises:
            InputError: If there is no training split.
        """


@runtime_checkable
class AttackedSource(Protocol):
    """What a `Source` has besides whose training set somebody attacked, and said where.

    Its truth is sealed like that of an attack of our own: no detector and no decision is handed it.
    """

    def clean_source(self) -> Source:
        """Returns the same samples, at the same positions, before the attack."""

    def poisoned_index(self) -> np.ndarray:
        """Returns the positions of the poisoned training samples, int64, ascending."""


@runtime_checkable
class VouchedSource(Protocol):
    """What a `Source` has besides whose last training samples the user vouches for."""

    def parts(self) -> tuple[Source, Source]:
        """Returns the source of the samples to be judged, and that of those vouched for."""

    def first_vouched(self) -> int:
        """Returns the position of the first training sample that is vouched for."""


def make_absolute(source: object, field: str) -> None:
    """Makes a path of a source absolute while the source is created; an empty path stays empty.

    Args:
        source: A frozen dataclass, in its `__post_init__`.
        field: The name of the field that holds the path.
    """
    path = getattr(source, field)
    if path:
        object.__setattr__(source, field, os.path.abspath(os.path.expanduser(path)))
