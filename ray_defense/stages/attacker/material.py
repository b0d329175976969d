"""An attack with what it needs to stamp (a surrogate, a patch, a picture, an encoder), ready to travel to any process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_defense.attacks import Attack, Phase
from ray_defense.execution.local import threads
from ray_defense.store.artifacts import Artifact

_STAMPED = 256  # images that pass at a time through a network of the attacker's


@dataclass(frozen=True)
class Material:
    """Where what an attack needs stands, and how the process that stamps gets it from there."""

    artifact: Artifact
    load: Callable[[], Any]


@dataclass(frozen=True)
class Armed:
    """An attack ready to stamp."""

    attack: Attack
    material: Material | None = None

    @property
    def inputs(self) -> dict[str, Artifact]:
        """What enters the key of all that this attack has touched."""
        return {} if self.material is None else {"material": self.material.artifact}

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase) -> np.ndarray:
        """Returns a triggered copy uint8; on one thread, since the count could change the last bits of a network's output."""
        material = None if self.material is None else self.material.load()
        stamped = np.empty_like(images_NHWC)
        with threads(1):
            for low in range(0, len(index), _STAMPED):
                some = slice(low, low + _STAMPED)
                stamped[some] = self.attack.stamp(images_NHWC[some], index[some], phase, material)
        return stamped
