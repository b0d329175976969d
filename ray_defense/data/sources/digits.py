"""The digits of scikit-learn (1,797 images of 8x8), enlarged: a real dataset without a download."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.random import permutation, stream
from ray_defense.data.limits import MAX_SIDE, MIN_SIDE
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit


@dataclass(frozen=True)
class Digits:
    """Ten classes of handwritten digits, gray in three equal channels, in a fixed random order."""

    name: ClassVar[str] = "digits"
    size: int = 32  # pixels; bilinear from 8
    test_fraction: float = 0.2  # of the 1,797

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        check_in_range("test_fraction", self.test_fraction, 0.0, 0.9)

    def info(self) -> SourceInfo:
        return SourceInfo(num_classes=10, class_names=tuple("0123456789"), size=self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        _, all_labels = _load_digits()
        labels: np.ndarray = all_labels[self._rows(split)]
        return labels

    def signature(self, split: SourceSplit) -> str:
        return "scikit-learn"

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        images, labels = _load_digits()
        rows = self._rows(split)
        samples = []
        for index in range(max(low, 0), min(high, len(rows))):
            row = rows[index]
            samples.append(UndecodedSample(index, f"row {row}", int(labels[row]), images[row]))
        return collect_batch(samples, self.info(), self._enlarge)

    def _rows(self, split: SourceSplit) -> np.ndarray:
        """Returns the rows of scikit-learn's arrays that belong to a split, in its order."""
        _, labels = _load_digits()
        rows = permutation(stream(0, "digits"), len(labels))
        num_test = int(self.test_fraction * len(rows))
        return rows[:num_test] if split == "test" else rows[num_test:]

    def _enlarge(self, image: np.ndarray) -> np.ndarray:
        from PIL import Image

        gray = Image.fromarray(image).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.repeat(np.asarray(gray)[:, :, None], 3, axis=2)


@cache
def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns the gray images, uint8 [1797, 8, 8], and their labels, int64 [1797]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # scikit-learn's go up to 16
    return images, digits.target.astype(np.int64)
