"""Adaptive-Blend: random pieces of a blended picture, and cover samples (Qi et al., ICLR 2023).

Shapes: N images of H x W pixels and C colors, p x p pieces, P = p ** 2.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.assets import check_pixels
from ray_defense.attacks.blend_picture import resized
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice
from ray_defense.core.random import stream, uniform


@dataclass(frozen=True)
class AdaptiveBlend:
    """Blends half of 4 x 4 pieces of a picture into a training image, all of it into a test image.

    The pieces are drawn for each poisoned and each cover sample. Qi et al. poison 0.3 % of all
    samples and cover as many; the poisoning rate is not a parameter of the attack. Blended pixels
    are rounded, not truncated.
    """

    name: ClassVar[str] = "adaptive_blend"
    in_paper: ClassVar[bool] = False
    requires: ClassVar[str | None] = "picture"

    target: Target = choice(TARGETS, default=AllToOne(cover_ratio=1.0))
    picture: str | None = None  # an image file; None: the one that comes with the package
    train_opacity: float = 0.15  # weight of the picture in the pieces of a training image
    test_opacity: float = 0.2  # weight of the picture in a test image
    pieces: int = 4  # per side, 16 in all
    piece_fraction: float = 0.5  # of the pieces, blended into a training image
    seed: int = 0  # of the choice of pieces

    def __post_init__(self) -> None:
        check_in_range("train_opacity", self.train_opacity, 0, 1)
        check_in_range("test_opacity", self.test_opacity, 0, 1)
        check_at_least("pieces", self.pieces, 1)
        check_in_range("piece_fraction", self.piece_fraction, 0, 1)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the picture `asset`, uint8 [h, w, 3], blended in.

        Images need at least as many pixels a side as there are pieces.
        """
        check_batch(images_NHWC, index, phase, min_side=self.pieces)
        height, width = images_NHWC.shape[1:3]
        picture_HWC = resized(check_pixels(self, asset), height, width)
        if phase == "test":
            weight_NHW = np.full((1, height, width), self.test_opacity)
        else:
            weight_NHW = self.train_opacity * self._chosen_pixels(index, height, width)
        weight_NHW1 = weight_NHW[:, :, :, None]
        return to_uint8(np.rint((1 - weight_NHW1) * images_NHWC + weight_NHW1 * picture_HWC))

    def _chosen_pixels(self, index: np.ndarray, height: int, width: int) -> np.ndarray:
        """Returns bool [N, H, W]: the pixels that lie in the chosen pieces of each sample."""
        piece_row_H = np.arange(height) * self.pieces // height
        piece_column_W = np.arange(width) * self.pieces // width
        chosen_Npp = self._chosen_pieces(index).reshape(-1, self.pieces, self.pieces)
        return chosen_Npp[:, piece_row_H[:, None], piece_column_W]

    def _chosen_pieces(self, index: np.ndarray) -> np.ndarray:
        """Returns bool [N, P]: for each sample the pieces with the smallest draws."""
        draws_NP = uniform(stream(self.seed, self.name), index, self.pieces**2)
        rank_NP = np.argsort(np.argsort(draws_NP, axis=1, kind="stable"), axis=1)
        return rank_NP < round(self.piece_fraction * self.pieces**2)
