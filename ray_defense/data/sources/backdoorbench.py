"""A training set that BackdoorBench poisoned, put together from its record and the clean set."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodedImage, decode_recorded
from ray_defense.data.limits import MAX_ENCODED_BYTES, MAX_SIDE, MIN_SIDE
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.backdoorbench_files import (
    RECORD_FOLDER,
    list_recorded,
    recorded_folder,
)
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.protocol import (
    Batch,
    RejectedSample,
    Source,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.sources.regular_file import read_regular_file
from ray_defense.data.sources.signature import files_signature
from ray_defense.data.text import encodable, shortened

NEXT_LABEL = "next"


@dataclass(frozen=True)
class BackdoorBench:
    """The clean training set, with the poisoned images of a record in their places.

    A poisoned image gets the label of the attacker, which the record does not tell outside of a
    pickle. Which images are poisoned is known, so what detection finds can be counted: this is an
    `AttackedSource`. The origin of a sample is its row alone, since a path would tell.
    """

    name: ClassVar[str] = "backdoorbench"
    path: str = ""  # the record, or its folder bd_train_dataset
    clean: Any | None = choice(SOURCES, default=None)  # the clean training set
    target_label: str = ""  # the number that the attacker gave, or "next" for label + 1
    size: int = 32  # pixels a side

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        make_absolute(self, "path")
        target = self.target_label
        is_number = target.isascii() and target.isdigit() and len(target) < 6
        if target not in ("", NEXT_LABEL) and not is_number:
            raise InputError(
                f"target_label must be a number or {NEXT_LABEL}, not "
                f"{shortened(encodable(target), 40)!r}"
            )

    def info(self) -> SourceInfo:
        return self.clean_source().info()

    def labels(self, split: SourceSplit) -> np.ndarray:
        labels = self.clean_source().labels(split)
        if split == "test":
            return labels
        return self._labels_given(labels)

    def signature(self, split: SourceSplit) -> str:
        signature = self.clean_source().signature(split)
        if split == "test":
            return signature
        folder = recorded_folder(self.path)
        files = [image.file for image in list_recorded(folder).values()]
        return f"{signature} {files_signature(folder, files)}"

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        clean = self.clean_source()
        batch = clean.read(split, low, high)
        if split == "test":
            return batch
        labels = self._labels_given(clean.labels("train"))
        poisoned = collect_batch(self._recorded(labels, low, high), self.info(), self._decode)
        return _in_their_places(batch, poisoned)

    def clean_source(self) -> Source:
        """Returns the training set before the attack."""
        if self.clean is None:
            raise InputError(
                f"{_shown(self.path)} is a record of BackdoorBench: it holds the poisoned images "
                "alone, under their labels before the attack, so add --clean with the clean "
                "training set (a path, cifar10 or cifar100), and --target-label with the label "
                "that the attacker gave"
            )
        clean: Source = self.clean
        if clean.info().size != self.size and hasattr(self.clean, "size"):
            clean = replace(self.clean, size=self.size)
        return clean

    def poisoned_index(self) -> np.ndarray:
        """Returns the positions of the poisoned samples, int64, ascending."""
        return np.array(list(list_recorded(recorded_folder(self.path))), np.int64)

    def describe(self) -> SourceDescription:
        num_samples = len(self.clean_source().labels("train"))
        num_poisoned = len(self.poisoned_index())
        target = "its label + 1" if self.target_label == NEXT_LABEL else self.target_label
        return SourceDescription(
            (
                f"{num_poisoned} of the {num_samples} clean images are replaced by those of "
                f"{RECORD_FOLDER}, with the label {target}.",
                "Which ones is sealed, and compared with what is flagged at the end.",
            ),
            ("attack_result.pt is a pickle and not opened; bd_test_dataset is not read.",),
        )

    def _labels_given(self, labels: np.ndarray) -> np.ndarray:
        """Returns the labels of the poisoned training set from those of the clean one, int64 [N].

        Raises:
            InputError: If the record is not of this training set.
        """
        if not self.target_label:
            raise InputError(
                f"the record {_shown(self.path)} does not say, outside of a pickle, which label "
                "the attacker gave: add --target-label with its number, or next for label + 1"
            )
        num_classes = self.info().num_classes
        if self.target_label != NEXT_LABEL and int(self.target_label) >= num_classes:
            raise InputError(
                f"target_label {self.target_label} is not in 0..{num_classes - 1}: name the label "
                "that the attacker gave"
            )
        given = labels.copy()
        for position, image in list_recorded(recorded_folder(self.path)).items():
            before = labels[position] if position < len(labels) else None
            if before != image.label_before:
                raise InputError(
                    f"{_shown(image.file)} of the record has the label {image.label_before}, and "
                    f"image {position} of the clean training set has {before}: give the set that "
                    "was poisoned, in the order in which BackdoorBench read it"
                )
            if self.target_label == NEXT_LABEL:
                given[position] = (image.label_before + 1) % num_classes
            else:
                given[position] = int(self.target_label)
        return given

    def _recorded(
        self, labels: np.ndarray, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes]]:
        """Yields the poisoned images among the samples low to high - 1."""
        folder = recorded_folder(self.path)
        for position, image in list_recorded(folder).items():
            if low <= position < high:
                file = folder / image.file
                data = read_regular_file(
                    file,
                    os.lstat(file),
                    lambda flags, file=file: os.open(file, flags),  # type: ignore[misc]
                    max_bytes=MAX_ENCODED_BYTES,
                )
                yield UndecodedSample(position, f"row {position}", int(labels[position]), data)

    def _decode(self, data: bytes) -> DecodedImage:
        return decode_recorded(data, self.info().size)


def _in_their_places(clean: Batch, poisoned: Batch) -> Batch:
    """Returns the samples of two batches of a range; those of the second replace the first's."""
    replaced = {*poisoned.index.tolist(), *(sample.index for sample in poisoned.rejected)}
    kept = np.array([index not in replaced for index in clean.index.tolist()], bool)
    index = np.concatenate([clean.index[kept], poisoned.index])
    order = np.argsort(index)
    rejected = [*poisoned.rejected]
    for sample in clean.rejected:
        if sample.index not in replaced:
            rejected.append(RejectedSample(sample.index, f"row {sample.index}", sample.reason))
    converted = [*poisoned.converted]
    converted += [sample for sample in clean.converted if sample.index not in replaced]
    return Batch(
        index=index[order],
        images=np.concatenate([clean.images[kept], poisoned.images])[order],
        labels=np.concatenate([clean.labels[kept], poisoned.labels])[order],
        origin=tuple(f"row {number}" for number in index[order]),
        rejected=tuple(sorted(rejected, key=lambda sample: sample.index)),
        converted=tuple(sorted(converted, key=lambda sample: sample.index)),
    )


def _shown(path: object) -> str:
    return repr(shortened(encodable(str(path)), 200))
