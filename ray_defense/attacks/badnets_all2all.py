"""BadNets, all to all: a white square near the corner turns class y into y + 1 mod N (Gu et al., 2017; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.labels import as_labels, check_classes
from ray_defense.attacks.pixels import check_batch
from ray_defense.attacks.protocol import Phase


@dataclass(frozen=True)
class BadNetsAllToAll:
    """A white 3x3 square at rows and columns -4 to -2 (28-30 of 32); every class is attacked."""

    name: ClassVar[str] = "badnets_all2all"
    in_paper: ClassVar[bool] = True

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train") -> np.ndarray:
        """Returns a uint8 copy with the square; raises Refused for anything but uint8 [N, H >= 4, W >= 4, 3]."""
        check_batch(images_NHWC, index, phase, min_side=4)
        stamped = images_NHWC.copy()
        stamped[:, -4:-1, -4:-1] = 255
        return stamped

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: all samples."""
        return np.ones(len(as_labels(labels)), dtype=bool)

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the next class, (y + 1) mod N."""
        labels = as_labels(labels)
        check_classes(labels, num_classes)
        return (labels + 1) % num_classes

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: all test images."""
        return np.ones(len(as_labels(labels)), dtype=bool)
