"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), from Parquet files or from the official binary archive."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import at_least
from ray_defense.core.errors import Refused
from ray_defense.data.sources.archive import Records, fetch, load
from ray_defense.data.sources.collect import collect
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import Batch, SourceInfo, Split, make_absolute

SITE = "https://www.cs.toronto.edu/~kriz/"
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
CIFAR100_CLASSES = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
)
_RECORDS_10 = Records(
    train=tuple(f"cifar-10-batches-bin/data_batch_{part}.bin" for part in range(1, 6)),
    test=("cifar-10-batches-bin/test_batch.bin",),
    label_bytes=1,
)
_RECORDS_100 = Records(train=("cifar-100-binary/train.bin",), test=("cifar-100-binary/test.bin",), label_bytes=2)


@dataclass(frozen=True)
class Cifar10:
    """Ten classes, 32x32."""

    name: ClassVar[str] = "cifar10"
    root: str = ""  # folder of the files; empty: RAY_DEFENSE_DATA; without files there: the archive, downloaded once
    limit: int | None = None  # training samples, the first of the source; None: all
    url: str = SITE + "cifar-10-binary.tar.gz"
    md5: str = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive

    def __post_init__(self) -> None:
        at_least("limit", 1 if self.limit is None else self.limit, 1)
        make_absolute(self, "root")

    def info(self) -> SourceInfo:
        return SourceInfo(10, CIFAR10_CLASSES, 32)

    def labels(self, split: Split) -> np.ndarray:
        return _labels(self, _RECORDS_10, split)

    def signature(self, split: Split) -> str:
        return _signature(self, split)

    def read(self, split: Split, lo: int, hi: int) -> Batch:
        return _read(self, _RECORDS_10, split, lo, hi)


@dataclass(frozen=True)
class Cifar100:
    """A hundred classes (the fine labels), 32x32."""

    name: ClassVar[str] = "cifar100"
    root: str = ""  # folder of the files; empty: RAY_DEFENSE_DATA; without files there: the archive, downloaded once
    limit: int | None = None  # training samples, the first of the source; None: all
    url: str = SITE + "cifar-100-binary.tar.gz"
    md5: str = "03b5dce01913d631647c71ecec9e9cb8"  # of the archive

    def __post_init__(self) -> None:
        at_least("limit", 1 if self.limit is None else self.limit, 1)
        make_absolute(self, "root")

    def info(self) -> SourceInfo:
        return SourceInfo(100, CIFAR100_CLASSES, 32)

    def labels(self, split: Split) -> np.ndarray:
        return _labels(self, _RECORDS_100, split)

    def signature(self, split: Split) -> str:
        return _signature(self, split)

    def read(self, split: Split, lo: int, hi: int) -> Batch:
        return _read(self, _RECORDS_100, split, lo, hi)


def _labels(cifar: Cifar10 | Cifar100, records: Records, split: Split) -> np.ndarray:
    files = _parquet(cifar, split)
    labels = files.labels("train") if files else _archive(cifar, records)[split][1]
    return labels[: cifar.limit if split == "train" else None].copy()


def _signature(cifar: Cifar10 | Cifar100, split: Split) -> str:
    files = _parquet(cifar, split)
    return files.signature("train") if files else cifar.md5


def _read(cifar: Cifar10 | Cifar100, records: Records, split: Split, lo: int, hi: int) -> Batch:
    if split == "train" and cifar.limit is not None:
        hi = min(hi, cifar.limit)
    if files := _parquet(cifar, split):
        return files.read("train", lo, hi)
    images, labels = _archive(cifar, records)[split]
    samples = ((i, f"row {i}", int(labels[i]), images[i]) for i in range(max(lo, 0), min(hi, len(labels))))
    return collect(samples, cifar.info(), np.asarray)


def _root(cifar: Cifar10 | Cifar100) -> Path | None:
    root = cifar.root or os.environ.get("RAY_DEFENSE_DATA", "")
    if root and not Path(root).is_dir():
        raise Refused(f"no folder {root!r}: give --data-root (or RAY_DEFENSE_DATA) a folder with {_files(cifar)}")
    return Path(root) if root else None


def _parquet(cifar: Cifar10 | Cifar100, split: Split) -> Parquet | None:
    """Returns one split's file (as the training file of a source of its own), or None where the archive serves."""
    root = _root(cifar)
    for prefix in (f"{cifar.name}-", "") if root else ():
        if (root / f"{prefix}train.parquet").is_file():
            return Parquet(str(root / f"{prefix}{split}.parquet"), size=32, num_classes=cifar.info().num_classes)
    return None


def _archive(cifar: Cifar10 | Cifar100, records: Records) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    root, file = _root(cifar), cifar.url.rsplit("/", 1)[-1]
    remedy = f"without a network, give --data-root a folder with {_files(cifar)}"
    path = root / file if root and (root / file).is_file() else fetch(cifar.url, cifar.md5, remedy)
    return load(path, cifar.md5, records)


def _files(cifar: Cifar10 | Cifar100) -> str:
    return f"{cifar.name}-train.parquet and {cifar.name}-test.parquet, or {cifar.url.rsplit('/', 1)[-1]}"
