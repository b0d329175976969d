"""Blend-Picture (Blend-Kitty): one picture blended into the whole image (Chen et al., 2017; the paper's App. C.3)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from ray_defense.attacks.aims import AIMS, Aim, AllToOne
from ray_defense.attacks.material import check_pixels
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import in_range
from ray_defense.core.config import choice


@dataclass(frozen=True)
class BlendPicture:
    """0.8 image + 0.2 picture, the picture resized to the image; by default an animal of our own, not the authors' cartoon."""

    name: ClassVar[str] = "blend_picture"
    in_paper: ClassVar[bool] = True
    needs: ClassVar[str] = "picture"

    aim: Aim = choice(AIMS, default=AllToOne())
    picture: str | None = None  # an image file; None: `default_picture()`
    opacity: float = 0.2  # weight of the picture; the image has the rest

    def __post_init__(self) -> None:
        in_range("opacity", self.opacity, 0, 1)

    def stamp(
        self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns a uint8 copy with the picture `material`, uint8 [h,w,3], blended in; raises Refused without a picture."""
        check_batch(images_NHWC, index, phase)
        check_pixels(self.name, self.needs, material)
        picture_HWC = resized(material, *images_NHWC.shape[1:3])
        return to_uint8((1 - self.opacity) * images_NHWC + self.opacity * picture_HWC)


def resized(picture_hwC: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the picture stretched to uint8 [height, width, 3], bilinear with antialiasing (Pillow's, in integers)."""
    return np.asarray(Image.fromarray(picture_hwC).resize((width, height), Image.Resampling.BILINEAR))


def default_picture() -> Path:
    """Returns the file of the animal that `pictures.draw` draws, 128 x 128 pixels."""
    return Path(__file__).with_name("pictures") / "picture.png"
