"""CL: perturbed target-class images with patches, labels kept (Turner et al., 2019; App. C.3)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ray_defense.attacks.assets import check_callable
from ray_defense.attacks.checker import checker_or_square
from ray_defense.attacks.pixels import Overflow, check_batch
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, CleanLabel
from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice, departure
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from ray_defense.attacks.pgd import Classifier


@dataclass(frozen=True)
class LabelConsistent:
    """PGD on a clean surrogate, then BadNets' patch in all four corners; at test the corners alone.

    The same checker, not mirrored, lies in each corner; on images larger than 64 pixels it is a
    white square. The surrogate normalizes its input itself (D6); with `pgd_sees="raw"` it is given
    pixels in [0, 1], as in the authors' code. PGD climbs away from the target class, which is the
    label of every image that may be poisoned.
    """

    name: ClassVar[str] = "label_consistent"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = "surrogate"

    target: CleanLabel = choice(TARGETS, default=CleanLabel())
    epsilon: float = 8.0  # largest change of a pixel by PGD, gray levels (8/255)
    step_size: float = 2.0  # of PGD, gray levels (2/255)
    steps: int = 4  # of PGD
    overflow: Overflow = departure("clip")  # "wrap": the authors' way, without a bound (D5)
    pgd_sees: Literal["normalized", "raw"] = departure("normalized")  # D6
    square_fraction: float = 0.1  # a white square's share of the image's shorter side (ImageNet)

    def __post_init__(self) -> None:
        if not isinstance(self.target, CleanLabel):
            raise InputError(
                f"{self.name} poisons images of its target class alone, "
                f"not as {self.target.name}: leave target at clean_label"
            )
        check_in_range("epsilon", self.epsilon, 0, 255)
        check_at_least("step_size", self.step_size, 0)
        check_at_least("steps", self.steps, 0)
        check_in_range("square_fraction", self.square_fraction, 0, 0.5)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: "Classifier | None" = None,
    ) -> np.ndarray:
        """Returns a uint8 copy, perturbed on the surrogate `asset`, then given the corners.

        Test images are not perturbed and need no surrogate. Images need at least 6 pixels a side.
        """
        check_batch(images_NHWC, index, phase, min_side=6)
        if phase == "test":
            stamped = images_NHWC.copy()
        else:
            surrogate = check_callable(self, asset)
            from ray_defense.attacks.pgd import adversarial_images

            stamped = adversarial_images(
                images_NHWC,
                self.target.label,
                surrogate,
                epsilon=self.epsilon,
                step_size=self.step_size,
                steps=self.steps,
                overflow=self.overflow,
            )
        patch_SS1 = checker_or_square(stamped, self.square_fraction)
        first = slice(None, len(patch_SS1))
        last = slice(-len(patch_SS1), None)
        for rows in (first, last):
            for columns in (first, last):
                stamped[:, rows, columns] = patch_SS1
        return stamped
