"""SIG: a sine added to images of the target class, labels kept (Barni et al., 2019; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, CleanLabel, Target
from ray_defense.core.config import choice


@dataclass(frozen=True)
class Sig:
    """image + d sin(2 pi column f / W), clean-label; d is larger at test time."""

    name: ClassVar[str] = "sig"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = None

    target: Target = choice(TARGETS, default=CleanLabel())
    train_amplitude: float = 40.0  # d in training, gray levels
    test_amplitude: float = 60.0  # d at test, gray levels
    frequency: float = 6.0  # f, periods per image width

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the sine of this phase added."""
        check_batch(images_NHWC, index, phase)
        width = images_NHWC.shape[2]
        amplitude = self.test_amplitude if phase == "test" else self.train_amplitude
        signal_W = amplitude * np.sin(2 * np.pi * np.arange(width) * self.frequency / width)
        return to_uint8(images_NHWC + signal_W[:, None])
