"""Images in tar, tar.gz and zip files: class folders, or the pairs of WebDataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodedImage, DecodeError, decode_image, decode_recorded
from ray_defense.data.limits import (
    MAX_CLASSES,
    MAX_NAME_CHARACTERS,
    MAX_PIXELS,
    MAX_SETTABLE_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    max_encoded_bytes,
)
from ray_defense.data.rows.label_mapping import (
    ClassMapping,
    GivenLabels,
    TextCodes,
    as_numbers,
    map_labels_of_rows,
)
from ray_defense.data.sources.archive_layout import PlacedMember, lay_out_members
from ray_defense.data.sources.archive_members import ENDINGS, MemberReader, list_members
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.protocol import (
    Batch,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.sources.signature import files_signature
from ray_defense.data.sources.split_files import SplitFiles, find_split_files
from ray_defense.data.text import encodable, shortened
from ray_defense.decoding.packed_member import MAX_MEMBERS


@dataclass(frozen=True)
class ArchiveImages:
    """Images in archives, read in memory; nothing is extracted.

    `archive_layout` says which members are samples. Several archives in a folder are one set, and
    their names say the split (see `find_split_files`).
    """

    name: ClassVar[str] = "archive"
    path: str = ""  # a .tar, .tar.gz or .zip file, or a folder with some
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: the labels of the training set say it
    max_pixels: int = MAX_PIXELS  # of an image before it is resized

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        check_in_range("max_pixels", self.max_pixels, MIN_SIDE * MIN_SIDE, MAX_SETTABLE_PIXELS)
        make_absolute(self, "path")
        if self.num_classes is not None:
            check_in_range("num_classes", self.num_classes, 1, MAX_CLASSES)

    def info(self) -> SourceInfo:
        mapping = self._index().mapping
        return SourceInfo(len(mapping.class_names), mapping.class_names, self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        index = self._index()
        return np.take(index.labels, index.rows_of(split))

    def signature(self, split: SourceSplit) -> str:
        files = self._files()
        names = files.train if split == "train" or not files.test else files.test
        return files_signature(files.root, names)

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        def decode_member(data: bytes | DecodeError) -> DecodedImage:
            if isinstance(data, DecodeError):
                raise data
            return decode_recorded(data, self.size, self.max_pixels)

        return collect_batch(self._members(split, low, high), self.info(), decode_member)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        for sample in self._members(split, low, high):
            if isinstance(sample.content, DecodeError):
                raise sample.content
            yield UndecodedSample(sample.index, sample.origin, sample.label, content=sample.content)

    def decode(self, data: bytes | None) -> np.ndarray:
        return decode_image(data or b"", self.size, self.max_pixels)

    def _members(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | DecodeError]]:
        """Yields the members at positions low to high - 1, or why one cannot be read."""
        index = self._index()
        low = max(low, 0)
        rows = index.rows_of(split)[low : max(high, low)].tolist()
        with MemberReader(max_encoded_bytes(self.max_pixels)) as reader:
            for position, row in enumerate(rows, low):
                member = index.placed[row].member
                origin = shortened(encodable(member.path), MAX_NAME_CHARACTERS)
                content: bytes | DecodeError
                try:
                    content = reader.read(index.files[index.file_of[row]], index.signature, member)
                except DecodeError as error:
                    content = error
                label = int(index.labels[row])
                yield UndecodedSample(position, origin, label, content=content)

    def describe(self) -> SourceDescription:
        files = self._files()
        index = self._index()
        recognized = (
            f"{len(index.rows_of('train'))} members are the training set, "
            f"{len(index.rows_of('test'))} the test set.",
            *files.recognized,
            *index.mapping.sentences(),
        )
        return SourceDescription(recognized, (*files.left_out, *index.left_out))

    def _files(self) -> SplitFiles:
        return find_split_files(self.path, ENDINGS)

    def _index(self) -> "_ArchiveIndex":
        signature = f"{self.signature('train')} {self.signature('test')}"
        return _index_of(self.path, self.num_classes, signature)


@dataclass(frozen=True, eq=False)
class _ArchiveIndex:
    """The samples of all archives of a source."""

    files: list[Path]
    placed: list[PlacedMember]
    file_of: np.ndarray  # int64 [N], the archive of each sample
    labels: np.ndarray  # int64 [N]
    test: np.ndarray  # bool [N]
    mapping: ClassMapping
    left_out: tuple[str, ...]
    signature: str

    def rows_of(self, split: SourceSplit) -> np.ndarray:
        """Returns the samples of a split, int64, in their order."""
        return np.flatnonzero(self.test if split == "test" else ~self.test)


@lru_cache(maxsize=2)  # listing a large archive takes seconds, and every range needs it
def _index_of(path: str, num_classes: int | None, signature: str) -> _ArchiveIndex:
    """Returns the samples of the archives at a path that have a signature."""
    files = find_split_files(path, ENDINGS)
    origin = f"the archive {shortened(encodable(path))!r}"
    codes = TextCodes(origin)
    placed: list[PlacedMember] = []
    given: list[int] = []
    file_of: list[int] = []
    test: list[bool] = []
    left_out: list[str] = []
    are_numbers = True
    archives = files.paths("train") + files.paths("test")
    for number, file in enumerate(archives):
        members, class_texts = list_members(file)
        layout = lay_out_members(members, class_texts, f"the archive {file.name!r}")
        is_test_file = number >= len(files.train)
        are_numbers = are_numbers and layout.are_numbers
        left_out += layout.left_out
        samples = layout.train + layout.test
        placed += samples
        given += [codes.code(sample.class_text) for sample in samples]
        file_of += [number] * len(samples)
        test += [is_test_file] * len(layout.train) + [True] * len(layout.test)
        if len(placed) > MAX_MEMBERS:
            raise InputError(f"{origin} has more than {MAX_MEMBERS} members: read it in parts")
    labels = GivenLabels(np.array(given, np.int64), codes.texts())
    if are_numbers:
        labels = as_numbers(labels)
    is_test = np.array(test, bool)
    mapping = map_labels_of_rows(labels, np.flatnonzero(~is_test), num_classes, origin=origin)
    return _ArchiveIndex(
        archives,
        placed,
        np.array(file_of, np.int64),
        labels=mapping.labels_of(labels),
        test=is_test,
        mapping=mapping,
        left_out=tuple(left_out),
        signature=signature,
    )
