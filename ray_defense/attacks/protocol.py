"""What every backdoor attack provides: pixels (`stamp`), and whom it concerns (`aim`)."""

from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from ray_defense.attacks.aims import Aim

Phase = Literal["train", "cover", "test"]  # cover: a training sample that keeps its label (see `Aim.cover_ratio`)


class Attack(Protocol):
    """A frozen dataclass whose fields are the attack's parameters; pure functions of their arguments."""

    name: ClassVar[str]
    in_paper: ClassVar[bool]
    needs: ClassVar[str | None]  # what a stage makes for it beforehand (`stages.material`), given to `stamp`
    aim: Aim

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: Any = None) -> np.ndarray:
        """Returns a triggered uint8 copy; what differs from sample to sample depends on its index, not its position."""
