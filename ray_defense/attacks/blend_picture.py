"""Blend-Picture (Blend-Kitty): a picture blended into the image (Chen et al., 2017; App. C.3)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.attacks.assets import check_pixels
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_in_range
from ray_defense.core.config import choice


@dataclass(frozen=True)
class BlendPicture:
    """0.8 image + 0.2 picture, the picture stretched to the size of the image.

    The default picture is an animal of this project's own design, not the authors' cartoon.
    """

    name: ClassVar[str] = "blend_picture"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = "picture"

    target: Target = choice(TARGETS, default=AllToOne())
    picture: str | None = None  # an image file; None: `default_picture()`
    opacity: float = 0.2  # weight of the picture; the image has the rest

    def __post_init__(self) -> None:
        check_in_range("opacity", self.opacity, 0, 1)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the picture `asset`, uint8 [h, w, 3], blended in."""
        check_batch(images_NHWC, index, phase)
        height, width = images_NHWC.shape[1:3]
        picture_HWC = resized(check_pixels(self, asset), height, width)
        return to_uint8((1 - self.opacity) * images_NHWC + self.opacity * picture_HWC)


def resized(picture_hwC: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns a picture stretched to another size.

    Args:
        picture_hwC: The picture, uint8 [h, w, 3].
        height: The new height in pixels.
        width: The new width in pixels.

    Returns:
        uint8 [height, width, 3], bilinear with antialiasing (Pillow's, in integers).
    """
    from PIL import Image

    picture = Image.fromarray(picture_hwC)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def default_picture() -> Path:
    """Returns the file of the fox that `pictures.draw` draws, 128 x 128 pixels."""
    return Path(__file__).with_name("pictures") / "picture.png"
