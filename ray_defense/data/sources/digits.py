"""The digits of scikit-learn (1,797 images of 8x8), enlarged: a real dataset that needs no network."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from PIL import Image

from ray_defense.core.checks import in_range
from ray_defense.core.random import permutation, stream
from ray_defense.data.shards.beton import MAX_SIDE
from ray_defense.data.sources.collect import collect
from ray_defense.data.sources.protocol import Batch, SourceInfo, Split


@dataclass(frozen=True)
class Digits:
    """Ten classes of handwritten digits, gray in three equal channels, in a fixed random order."""

    name: ClassVar[str] = "digits"
    size: int = 32  # pixels; bilinear from 8
    test_fraction: float = 0.2  # of the 1,797

    def __post_init__(self) -> None:
        in_range("size", self.size, 8, MAX_SIDE)
        in_range("test_fraction", self.test_fraction, 0.0, 0.9)

    def info(self) -> SourceInfo:
        return SourceInfo(10, tuple("0123456789"), self.size)

    def labels(self, split: Split) -> np.ndarray:
        return _load()[1][self._rows(split)]

    def signature(self, split: Split) -> str:
        return "scikit-learn"

    def read(self, split: Split, lo: int, hi: int) -> Batch:
        gray, labels = _load()
        rows = self._rows(split)
        places = range(max(lo, 0), min(hi, len(rows)))
        samples = ((i, f"row {rows[i]}", int(labels[rows[i]]), gray[rows[i]]) for i in places)
        return collect(samples, self.info(), self._enlarge)

    def _rows(self, split: Split) -> np.ndarray:
        rows = permutation(stream(0, "digits"), len(_load()[1]))
        num_test = int(self.test_fraction * len(rows))
        return rows[:num_test] if split == "test" else rows[num_test:]

    def _enlarge(self, gray: np.ndarray) -> np.ndarray:
        large = Image.fromarray(gray).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.repeat(np.asarray(large)[:, :, None], 3, axis=2)


@cache
def _load() -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 [1797, 8, 8] and int64 [1797]."""
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target.astype(np.int64)
