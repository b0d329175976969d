"""What a backdoor attack provides: triggered pixels (`stamp`) and the classes it concerns."""

from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from ray_defense.attacks.targets import Target

Phase = Literal["train", "cover", "test"]
"""What an image is stamped as.

`train`: a poisoned training sample. `cover`: a training sample that gets the trigger and keeps its
label (see `Target.cover_ratio`). `test`: a test image, over which ASR is counted.
"""


class Attack(Protocol):
    """A backdoor attack: how it changes pixels, and which classes it concerns.

    A new attack is one file in this folder with one frozen dataclass, and one line in `ATTACKS`:
    `"corner_pixel": "corner_pixel.CornerPixel"`.

    The fields of the dataclass are the parameters of the attack: `--set attack.level=200` sets
    one, and all of them enter the fingerprint of what is made with the attack. `__post_init__`
    checks their ranges. The module imports numpy at its top; torch, PIL and the like are imported
    inside the methods that need them, because listing and configuring attacks must stay quick.

    Attributes:
        name: The name of the attack in `ATTACKS`.
        in_paper: Whether it is one of the paper's eight attacks (App. C.3).
        requires: The kind of asset that is made before the attack can stamp, if it needs one;
            `stamp` receives it as `asset`. There are four kinds:
            `picture`, uint8 [h, w, 3], from the file that the field `picture` names;
            `surrogate`, a classifier trained on clean images (see `pgd.Classifier`);
            `trojan_patch`, uint8 [H, W, 3], 0 outside the patch (see `trojan_optimization`);
            `ssba_encoder`, a function that hides bits in images (see `ssba.Encoder`).

    Example:
        One bright pixel in the corner, complete but for the imports::

            @dataclass(frozen=True)
            class CornerPixel:
                name: ClassVar[str] = "corner_pixel"
                in_paper: ClassVar[bool] = False
                requires: ClassVar[str | None] = None

                target: Target = choice(TARGETS, default=AllToOne())
                level: int = 255  # gray level of the pixel

                def __post_init__(self) -> None:
                    check_in_range("level", self.level, 0, 255)

                def stamp(self, images_NHWC, index, phase="train", asset=None):
                    check_batch(images_NHWC, index, phase)
                    stamped = images_NHWC.copy()
                    stamped[:, -1, -1] = self.level
                    return stamped
    """

    name: ClassVar[str]
    in_paper: ClassVar[bool]
    requires: ClassVar[str | None]

    @property
    def target(self) -> Target:
        """The classes that the attack concerns; a field, declared with `choice(TARGETS, ...)`."""

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: Any = None,
    ) -> np.ndarray:
        """Returns a triggered copy of the images.

        It is a pure function of its arguments: the same image with the same index gets the same
        pixels in every batch, process and retry. What differs from sample to sample is drawn by
        `uniform(stream(self.seed, self.name), index, count)` (`ray_defense.core.random`).

        Args:
            images_NHWC: The images, uint8 [N, H, W, 3]; they are not changed.
            index: The indices of the samples, int [N].
            phase: What the images are stamped as.
            asset: The asset that `requires` names; None for an attack that requires none.

        Returns:
            uint8 [N, H, W, 3], in memory of its own, clipped before it is cast (D5).

        Raises:
            InputError: If the images, the index or the phase are not as described
                (`pixels.check_batch`), or the asset is missing or of another kind
                (`assets.check_pixels`, `assets.check_callable`).
        """
