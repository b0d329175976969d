"""Images to be judged and, behind them, images that the user vouches for: one training set."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_SIDE, MIN_SIDE
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.encoded import EncodedSource
from ray_defense.data.sources.protocol import (
    AttackedSource,
    Batch,
    DescribedSource,
    Source,
    SourceDescription,
    SourceInfo,
    SourceSplit,
)
from ray_defense.data.text import encodable, shortened

_PREFIX = "(trusted) "
_NUM_SHOWN = 5


@dataclass(frozen=True)
class WithTrusted:
    """The training sets of two sources, of which the second is vouched for.

    The samples of `data` keep their positions; those of `trusted` follow. Their classes are matched
    by name, and their origins begin with "(trusted) ". The test set is that of `data`.
    """

    name: ClassVar[str] = "with_trusted"
    data: Any = choice(SOURCES, default=Digits())
    trusted: Any = choice(SOURCES, default=Digits())
    size: int = 32  # pixels a side, of both

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        for kind in (AttackedSource, WithTrusted):
            if isinstance(self.data, kind) or isinstance(self.trusted, kind):
                raise InputError(
                    f"the sources {self.data.name!r} and {self.trusted.name!r} do not go together: "
                    "leave --trusted out"
                )

    def parts(self) -> tuple[Source, Source]:
        """Returns both sources, with images of the size of this one.

        Raises:
            InputError: If one has images of another size.
        """
        return self._sized(self.data), self._sized(self.trusted)

    def first_vouched(self) -> int:
        """Returns the position of the first training sample that is vouched for."""
        return len(self.data.labels("train"))

    def has_files(self) -> bool:
        """Returns whether both sources have a file of each image."""
        return all(isinstance(part, EncodedSource) for part in (self.data, self.trusted))

    def info(self) -> SourceInfo:
        data, _ = self.parts()
        return data.info()

    def labels(self, split: SourceSplit) -> np.ndarray:
        data, trusted = self.parts()
        labels = data.labels(split)
        if split == "test":
            return labels
        return np.concatenate([labels, self._mapped(trusted.labels("train"))])

    def signature(self, split: SourceSplit) -> str:
        data, trusted = self.parts()
        if split == "test":
            return data.signature("test")
        return f"{data.signature('train')} {trusted.signature('train')}"

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        data, trusted = self.parts()
        batch = data.read(split, low, high)
        if split == "test":
            return batch
        first = self.first_vouched()
        vouched = trusted.read("train", max(low - first, 0), max(high - first, 0))
        rejected = [*batch.rejected]
        for sample in vouched.rejected:
            moved = replace(sample, index=sample.index + first, origin=_PREFIX + sample.origin)
            rejected.append(moved)
        converted = [*batch.converted]
        for held in vouched.converted:
            converted.append(replace(held, index=held.index + first))
        return Batch(
            index=np.concatenate([batch.index, vouched.index + first]),
            images=np.concatenate([batch.images, vouched.images]),
            labels=np.concatenate([batch.labels, self._mapped(vouched.labels)]),
            origin=(*batch.origin, *(_PREFIX + origin for origin in vouched.origin)),
            rejected=tuple(rejected),
            converted=tuple(converted),
        )

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        data: Any
        trusted: Any
        data, trusted = self.parts()
        yield from data.read_encoded(split, low, high)
        first = self.first_vouched()
        if split == "train" and high > first:
            for sample in trusted.read_encoded("train", max(low - first, 0), high - first):
                label = int(self._mapped(np.array([sample.label]))[0])
                origin = _PREFIX + sample.origin
                yield UndecodedSample(sample.index + first, origin, label, sample.content)

    def decode(self, data: bytes | None) -> np.ndarray:
        first: Any = self.parts()[0]
        pixels: np.ndarray = first.decode(data)
        return pixels

    def describe(self) -> SourceDescription:
        data, trusted = self.parts()
        num_trusted = len(trusted.labels("train"))
        recognized = [f"{num_trusted} more images are trusted: none of them is ever flagged."]
        left_out: list[str] = []
        num_junk = 0
        for part in (data, trusted):
            if isinstance(part, DescribedSource):
                description = part.describe()
                recognized += description.recognized
                left_out += description.left_out
                num_junk += description.num_junk
        return SourceDescription(tuple(recognized), tuple(left_out), num_junk)

    def _sized(self, part: Any) -> Source:
        sized: Source = part
        if part.info().size != self.size:
            if not hasattr(part, "size"):
                raise InputError(
                    f"the images of {part.name} have {part.info().size} pixels a side, and not "
                    f"{self.size}: set size to {part.info().size}"
                )
            sized = replace(part, size=self.size)
        return sized

    def _mapped(self, labels: np.ndarray) -> np.ndarray:
        """Returns labels of the trusted source as those of the data, int64; -1 for no class.

        Raises:
            InputError: If it has a class that the data has not.
        """
        names = self.data.info().class_names
        trusted_names = self.trusted.info().class_names
        unknown = [name for name in trusted_names if name not in names]
        if unknown:
            raise InputError(
                f"the trusted images have {len(unknown)} classes that the data has not "
                f"({_listed(unknown)}; the data has {_listed(names)}): give them the same names"
            )
        label_of = np.array([*(names.index(name) for name in trusted_names), -1], np.int64)
        known = (labels >= 0) & (labels < len(trusted_names))
        return label_of[np.where(known, labels, len(trusted_names))]


def _listed(names: "tuple[str, ...] | list[str]") -> str:
    shown = ", ".join(repr(shortened(encodable(name), 60)) for name in names[:_NUM_SHOWN])
    return shown if len(names) <= _NUM_SHOWN else f"{shown} and {len(names) - _NUM_SHOWN} more"
