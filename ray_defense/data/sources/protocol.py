"""What every source of labeled images answers: its classes, its labels, and decoded batches by place in the source."""

import os
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np

Split = Literal["train", "test"]


@dataclass(frozen=True)
class SourceInfo:
    """What a source holds."""

    num_classes: int
    class_names: tuple[str, ...]  # in label order
    size: int  # pixels; images become size x size


@dataclass(frozen=True)
class Rejected:
    """A sample that is left out."""

    index: int  # place in the source
    origin: str  # relative path, or "row 17"
    reason: str


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples of a range of a source; `index` has a hole for every rejected one."""

    index: np.ndarray  # int64 [n], place in the source, ascending
    images: np.ndarray  # uint8 [n, size, size, 3]
    labels: np.ndarray  # int64 [n], in range(num_classes)
    origin: tuple[str, ...]  # relative path, or "row 17"
    rejected: tuple[Rejected, ...]


def make_absolute(source: object, field: str) -> None:
    """Makes a path of a source being made absolute, since workers run in other directories; an empty one stays."""
    path = getattr(source, field)
    if path:
        object.__setattr__(source, field, os.path.abspath(os.path.expanduser(path)))


class Source(Protocol):
    """A frozen dataclass of parameters; every answer depends on them and on the files alone, in any process."""

    name: ClassVar[str]

    def info(self) -> SourceInfo:
        """Returns the classes and the image size; raises Refused where there is no training split."""
        ...

    def labels(self, split: Split) -> np.ndarray:
        """Returns int64 [N] as given, -1 for a missing or fractional one; [0] where there is no test split."""
        ...

    def signature(self, split: Split) -> str:
        """Returns a text that changes when the files behind a split do; it enters the key of what is made from them."""
        ...

    def read(self, split: Split, lo: int, hi: int) -> Batch:
        """Returns the samples lo..hi-1 (clamped), each decoded or rejected with its reason."""
        ...
