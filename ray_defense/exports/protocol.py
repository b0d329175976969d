"""What a form of export is: a class that writes samples into a folder.

To add a form, write a class that has the methods of `ExportForm` in a module of this package, and
name it in `EXPORTS`. See `folder` for one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np

# What a form wants of each sample: nothing, its pixels at the working size, or an image file.
PictureKind = Literal["none", "pixels", "file"]


@dataclass(frozen=True, eq=False)
class ExportedSample:
    """One sample of an audit, as it is written out."""

    index: int  # its position in the training split of the source
    file: str  # where it came from: a relative path, or "row 17"
    class_name: str
    label: int
    part: str  # trusted, flagged or uncertain
    pixels: np.ndarray | None  # uint8 [H, W, 3] at the working size, for the form that wants them
    image: bytes | None  # an image file, for the form that wants one


@dataclass(frozen=True)
class ExportRequest:
    """What the samples of an export have in common."""

    class_names: tuple[str, ...]  # in label order
    num_samples: int
    out: Path  # where the export will stand; it is written elsewhere first
    title: str  # in words: "the kept samples of an audit"


class ExportForm(Protocol):
    """A form of export; it never reads anything of the user's.

    Attributes:
        name: The name of the class in `EXPORTS`.
        pictures: What it wants of each sample.
        is_list: Whether what it writes maps samples to files by itself, so that no `export.csv`
            is needed.
    """

    name: ClassVar[str]
    pictures: ClassVar[PictureKind]
    is_list: ClassVar[bool]

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        """Writes samples, and yields each with the file it went to, relative to the folder.

        Args:
            folder: An empty folder.
            samples: By ascending index; they can be walked once.
            request: What they have in common.
        """

    def notes(self, request: ExportRequest) -> Sequence[str]:
        """Returns what a user should know of what was written, in whole sentences."""
