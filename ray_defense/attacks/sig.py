"""SIG: a sine over the columns added to images of the target class, labels kept (Barni et al., ICIP 2019; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.labels import all_to_target, as_labels
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import at_least


@dataclass(frozen=True)
class Sig:
    """image + d sin(2 pi column f / W), clean-label; d is larger at test time."""

    name: ClassVar[str] = "sig"
    in_paper: ClassVar[bool] = True

    target: int = 0  # y_t, the only class poisoned
    train_amplitude: float = 40.0  # d in training, gray levels
    test_amplitude: float = 60.0  # d at test, gray levels
    frequency: float = 6.0  # f, periods an image width

    def __post_init__(self) -> None:
        at_least("target", self.target, 0)

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train") -> np.ndarray:
        """Returns a uint8 copy with the sine of this `phase`; raises Refused for anything but uint8 [N,H,W,3]."""
        check_batch(images_NHWC, index, phase)
        width = images_NHWC.shape[2]
        amplitude = self.train_amplitude if phase == "train" else self.test_amplitude
        signal_W = amplitude * np.sin(2 * np.pi * np.arange(width) * self.frequency / width)
        return to_uint8(images_NHWC + signal_W[:, None])

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the samples of the target class."""
        return as_labels(labels) == self.target

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the target for all, which eligible samples already have."""
        return all_to_target(labels, self.target, num_classes)

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images of every class but the target."""
        return as_labels(labels) != self.target
