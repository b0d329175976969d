"""What every backdoor attack provides: pixels (`stamp`) and whom it concerns (`eligible`, `relabel`, `victims`)."""

from typing import ClassVar, Literal, Protocol

import numpy as np

Phase = Literal["train", "test"]


class Attack(Protocol):
    """A frozen dataclass whose fields are the attack's parameters; pure functions of their arguments."""

    name: ClassVar[str]
    in_paper: ClassVar[bool]

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train") -> np.ndarray:
        """Returns a triggered uint8 copy; what differs from sample to sample depends on its index, not its position."""

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the training samples that may be poisoned."""

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: labels after poisoning, also what the attacker wants predicted at test time."""

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images over which ASR is counted."""
