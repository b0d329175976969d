"""Adaptive-Blend: random pieces of a blended picture, and cover samples that keep their labels (Qi et al., ICLR 2023)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.aims import AIMS, Aim, AllToOne
from ray_defense.attacks.blend_picture import resized
from ray_defense.attacks.material import check_pixels
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import at_least, in_range
from ray_defense.core.config import choice
from ray_defense.core.random import stream, uniform


@dataclass(frozen=True)
class AdaptiveBlend:
    """Blends half of 4 x 4 pieces, drawn for each sample, into poisoned and cover samples, and at test time all of them.

    Qi et al. poison 0.3 % of all samples and cover as many: the rate is the poisoning's, not the attack's. Blended pixels
    are rounded, not truncated.
    """

    name: ClassVar[str] = "adaptive_blend"
    in_paper: ClassVar[bool] = False
    needs: ClassVar[str] = "picture"

    aim: Aim = choice(AIMS, default=AllToOne(cover_ratio=1.0))
    picture: str | None = None  # an image file; None: the one that comes with the package
    train_opacity: float = 0.15  # weight of the picture in the pieces of a poisoned or a cover sample
    test_opacity: float = 0.2  # weight of the picture at test
    pieces: int = 4  # a side: 16 in all
    piece_fraction: float = 0.5  # of the pieces, blended into a poisoned or a cover sample
    seed: int = 0  # of the choice of pieces

    def __post_init__(self) -> None:
        in_range("train_opacity", self.train_opacity, 0, 1)
        in_range("test_opacity", self.test_opacity, 0, 1)
        at_least("pieces", self.pieces, 1)
        in_range("piece_fraction", self.piece_fraction, 0, 1)

    def stamp(
        self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns a uint8 copy with the picture `material`, uint8 [h,w,3], blended in; raises Refused without a picture."""
        check_batch(images_NHWC, index, phase, min_side=self.pieces)
        check_pixels(self.name, self.needs, material)
        height, width = images_NHWC.shape[1:3]
        if phase == "test":
            weight_NHW = np.full((1, height, width), self.test_opacity)
        else:
            row_H, column_W = (np.arange(side) * self.pieces // side for side in (height, width))
            chosen_Npp = self._chosen(index).reshape(-1, self.pieces, self.pieces)
            weight_NHW = self.train_opacity * chosen_Npp[:, row_H[:, None], column_W]
        picture_HWC = resized(material, height, width)
        weight_NHW1 = weight_NHW[:, :, :, None]
        return to_uint8(np.rint((1 - weight_NHW1) * images_NHWC + weight_NHW1 * picture_HWC))

    def _chosen(self, index: np.ndarray) -> np.ndarray:
        """Returns bool [N, pieces ** 2]: the pieces with the smallest draws."""
        draws_NP = uniform(stream(self.seed, self.name), index, self.pieces**2)
        rank_NP = np.argsort(np.argsort(draws_NP, axis=1, kind="stable"), axis=1)
        return rank_NP < round(self.piece_fraction * self.pieces**2)
