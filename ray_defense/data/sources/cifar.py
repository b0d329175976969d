"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), from Parquet files or from the official archive."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least
from ray_defense.core.errors import InputError
from ray_defense.data.sources.archive import (
    ArchiveSplit,
    RecordFormat,
    fetch_archive,
    load_archive,
)
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit, make_absolute

SITE = "https://www.cs.toronto.edu/~kriz/"
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
CIFAR100_CLASSES = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
    crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
)


@dataclass(frozen=True)
class _Cifar:
    """What the two datasets share: 32x32 images from files in `root`, else from the archive.

    The files are `<name>-{train,test}.parquet` or `{train,test}.parquet`. Without them, the archive
    in `root` is used, or it is downloaded once.
    """

    name: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    records: ClassVar[RecordFormat]
    root: str = ""  # the folder of the files; empty: the environment variable RAY_DEFENSE_DATA
    limit: int | None = None  # training samples, the first of the source; None: all
    url: str = ""
    md5: str = ""  # of the archive

    def __post_init__(self) -> None:
        if self.limit is not None:
            check_at_least("limit", self.limit, 1)
        make_absolute(self, "root")

    def info(self) -> SourceInfo:
        return SourceInfo(len(self.class_names), self.class_names, size=32)

    def labels(self, split: SourceSplit) -> np.ndarray:
        parquet = self._parquet(split)
        if parquet is not None:
            labels = parquet.labels("train")
        else:
            labels = self._archive_split(split).labels
        limit = self.limit if split == "train" else None
        return labels[:limit].copy()

    def signature(self, split: SourceSplit) -> str:
        parquet = self._parquet(split)
        return self.md5 if parquet is None else parquet.signature("train")

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        if split == "train" and self.limit is not None:
            high = min(high, self.limit)
        parquet = self._parquet(split)
        if parquet is not None:
            return parquet.read("train", low, high)
        data = self._archive_split(split)
        samples = []
        for index in range(max(low, 0), min(high, len(data.labels))):
            label = int(data.labels[index])
            samples.append(UndecodedSample(index, f"row {index}", label, data.images[index]))
        return collect_batch(samples, self.info(), np.asarray)

    def _folder(self) -> Path | None:
        folder = self.root or os.environ.get("RAY_DEFENSE_DATA", "")
        if not folder:
            return None
        if not Path(folder).is_dir():
            raise InputError(
                f"no folder {folder!r}: give --data-root (or RAY_DEFENSE_DATA) a folder with "
                f"{self._expected_files()}"
            )
        return Path(folder)

    def _parquet(self, split: SourceSplit) -> Parquet | None:
        """Returns the file of one split, as a source whose training split it is.

        None means that there are no Parquet files, so the archive is used.
        """
        folder = self._folder()
        if folder is None:
            return None
        for prefix in (f"{self.name}-", ""):
            if (folder / f"{prefix}train.parquet").is_file():
                file = folder / f"{prefix}{split}.parquet"
                return Parquet(str(file), size=32, num_classes=len(self.class_names))
        return None

    def _archive_split(self, split: SourceSplit) -> ArchiveSplit:
        folder = self._folder()
        file_name = self.url.rsplit("/", 1)[-1]
        if folder is not None and (folder / file_name).is_file():
            path = folder / file_name
        else:
            remedy = f"without a network, give --data-root a folder with {self._expected_files()}"
            path = fetch_archive(self.url, self.md5, remedy)
        return load_archive(path, self.md5, self.records)[split]

    def _expected_files(self) -> str:
        archive = self.url.rsplit("/", 1)[-1]
        return f"{self.name}-train.parquet and {self.name}-test.parquet, or {archive}"


@dataclass(frozen=True)
class Cifar10(_Cifar):
    """CIFAR-10: ten classes, 32x32."""

    name: ClassVar[str] = "cifar10"
    class_names: ClassVar[tuple[str, ...]] = CIFAR10_CLASSES
    records: ClassVar[RecordFormat] = RecordFormat(
        train=tuple(f"cifar-10-batches-bin/data_batch_{part}.bin" for part in range(1, 6)),
        test=("cifar-10-batches-bin/test_batch.bin",),
        label_bytes=1,
    )
    url: str = SITE + "cifar-10-binary.tar.gz"
    md5: str = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive


@dataclass(frozen=True)
class Cifar100(_Cifar):
    """CIFAR-100: a hundred classes (the fine labels), 32x32."""

    name: ClassVar[str] = "cifar100"
    class_names: ClassVar[tuple[str, ...]] = CIFAR100_CLASSES
    records: ClassVar[RecordFormat] = RecordFormat(
        train=("cifar-100-binary/train.bin",),
        test=("cifar-100-binary/test.bin",),
        label_bytes=2,
    )
    url: str = SITE + "cifar-100-binary.tar.gz"
    md5: str = "03b5dce01913d631647c71ecec9e9cb8"  # of the archive
