"""The clean sets: parts of CIFAR-10, of Tiny-ImageNet and of digits, of many sizes.

Sets of one kind are disjoint, as far as the files reach: each is a draw of its own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.random import permutation, stream
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import Source

# Images of a set, and how many such sets of CIFAR-10 there are.
_CIFAR10 = {2_000: 16, 5_000: 8, 10_000: 4, 20_000: 2}
# Classes of a set, and how many such sets of Tiny-ImageNet there are.
_TINY_IMAGENET = {8: 12, 20: 8, 50: 4, 100: 2, 200: 1}
_NUM_TINY_CLASSES = 200
_DIGITS = {80: 0.2, 40: 0.6}  # percent that the set holds, and the share kept for a test set


@dataclass(frozen=True)
class CleanSet:
    """One clean set."""

    name: str
    kind: str  # "cifar10", "tinyimagenet" or "digits"
    size: int  # images of CIFAR-10, classes of Tiny-ImageNet, percent of digits
    number: int  # among the sets of this size, from 0

    def make_source(self, data: Path, folder: Path) -> Source:
        """Returns the set as a source; its images are written to a folder first.

        Args:
            data: The folder of cifar10-train.parquet and tinyimagenet-train.parquet.
            folder: Is made.
        """
        if self.kind == "digits":
            return Digits(test_fraction=_DIGITS[self.size])
        table = pq.read_table(data / f"{self.kind}-train.parquet", columns=["image", "label"])
        labels = table["label"].to_numpy()
        if self.kind == "cifar10":
            positions = self._drawn(len(labels))
        else:
            classes = self._drawn(_NUM_TINY_CLASSES)
            positions = np.flatnonzero(np.isin(labels, classes))
            labels = np.searchsorted(classes, labels)
        rows = pa.table(
            {"image": table["image"].take(positions), "label": pa.array(labels[positions])}
        )
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / "train.parquet")
        return Parquet(str(folder / "train.parquet"))

    def _drawn(self, num_all: int) -> np.ndarray:
        """Returns the numbers of this set, ascending, out of a permutation shared by its kind."""
        order = permutation(stream(0, "clean sets", self.kind, self.size), num_all)
        drawn: np.ndarray = np.sort(order[self.number * self.size : (self.number + 1) * self.size])
        return drawn


def clean_sets() -> tuple[CleanSet, ...]:
    """Returns all sets, the smallest ones of each kind first."""
    sets = []
    for kind, sizes in (("cifar10", _CIFAR10), ("tinyimagenet", _TINY_IMAGENET)):
        for size, count in sizes.items():
            for number in range(count):
                sets.append(CleanSet(f"{kind}_{size}_{number}", kind, size, number))
    for percent in _DIGITS:
        sets.append(CleanSet(f"digits_{percent}", "digits", percent, 0))
    return tuple(sets)
