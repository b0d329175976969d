"""An attack with the asset it needs (a network, a patch, a picture), ready for any process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_defense.attacks.protocol import Attack, Phase
from ray_defense.data.sources.protocol import Source
from ray_defense.store.artifacts import Artifact

_BATCH_SIZE = 256  # images that pass at a time through a network of the attacker's


@dataclass(frozen=True)
class AttackAsset:
    """Where the asset of an attack stands, and how the process that stamps loads it."""

    artifact: Artifact
    load: Callable[[], Any]


@dataclass(frozen=True)
class PreparedAttack:
    """An attack ready to stamp."""

    attack: Attack
    asset: AttackAsset | None = None

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase) -> np.ndarray:
        """Returns a triggered copy of some images, uint8.

        It runs on one thread: their number could change the last bits of a network's output.
        """
        from ray_defense.execution.device import torch_threads

        asset = None if self.asset is None else self.asset.load()
        stamped = np.empty_like(images_NHWC)
        with torch_threads(1):
            for low in range(0, len(index), _BATCH_SIZE):
                rows = slice(low, low + _BATCH_SIZE)
                stamped[rows] = self.attack.stamp(images_NHWC[rows], index[rows], phase, asset)
        return stamped


def eligible_samples(attack: Attack, source: Source) -> np.ndarray:
    """Returns which training samples an attack may poison, bool [N].

    Samples whose label is none of the classes are not eligible.
    """
    return eligible_labels(attack, source.labels("train"), source.info().num_classes)


def eligible_labels(attack: Attack, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns which labels, int64 [N], are those of samples that an attack may poison, bool [N]."""
    eligible = (labels >= 0) & (labels < num_classes)
    eligible[eligible] = attack.target.eligible(labels[eligible])
    return eligible
