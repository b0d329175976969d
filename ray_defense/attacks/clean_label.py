"""CL: target-class images made hard to recognize, then given a patch, labels kept (Turner et al., 2019; App. C.3)."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.aims import AIMS, Aim, CleanLabel
from ray_defense.attacks.material import check_callable
from ray_defense.attacks.patch import checker_or_square
from ray_defense.attacks.pgd import Classifier, adversarial
from ray_defense.attacks.pixels import check_batch
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import at_least, in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import Refused


@dataclass(frozen=True)
class LabelConsistent:
    """PGD on a clean surrogate, then BadNets' patch in all four corners; test images get the corners alone.

    The same checker, not mirrored, stands in each corner; on images larger than 64 pixels a white square. The surrogate
    normalizes by itself (D6). PGD climbs away from the target, which is the label of every image that may be poisoned.
    """

    name: ClassVar[str] = "clean_label"
    in_paper: ClassVar[bool] = True
    needs: ClassVar[str] = "surrogate"

    aim: Aim = choice(AIMS, default=CleanLabel())
    epsilon: float = 8.0  # largest change of a pixel by PGD, gray levels (8/255)
    step_size: float = 2.0  # of PGD, gray levels (2/255)
    steps: int = 4  # of PGD
    square_fraction: float = 0.1  # side of the white squares as a share of the image's shorter side (ImageNet)

    def __post_init__(self) -> None:
        if not isinstance(self.aim, CleanLabel):
            raise Refused(
                f"clean_label poisons images of its target class alone, not as {self.aim.name}: leave aim at clean_label"
            )
        in_range("epsilon", self.epsilon, 0, 255)
        at_least("step_size", self.step_size, 0)
        at_least("steps", self.steps, 0)
        in_range("square_fraction", self.square_fraction, 0, 0.5)

    def stamp(
        self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: Classifier | None = None
    ) -> np.ndarray:
        """Returns a uint8 copy, perturbed unless at test, with the corners; raises Refused in training without a surrogate."""
        check_batch(images_NHWC, index, phase, min_side=6)
        if phase == "test":
            stamped = images_NHWC.copy()
        else:
            check_callable(self.name, self.needs, material)
            ball = {"epsilon": self.epsilon, "step_size": self.step_size, "steps": self.steps}
            stamped = adversarial(images_NHWC, self.aim.target, material, **ball)
        patch_SS1 = checker_or_square(stamped, self.square_fraction)
        ends = slice(None, len(patch_SS1)), slice(-len(patch_SS1), None)
        for rows, columns in itertools.product(ends, repeat=2):
            stamped[:, rows, columns] = patch_SS1
        return stamped
