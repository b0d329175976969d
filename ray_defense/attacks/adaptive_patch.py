"""Adaptive-Patch: one of four faint patches, and cover samples (Qi et al., ICLR 2023).

Shapes: N images of H x W pixels and C colors; a patch has h x w pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.geometry import near_end, scaled
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.core.random import stream, uniform

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Pattern:
    """A square of two colors in one corner of the image, 8 of 32 pixels wide, 1 from the edges."""

    is_bright: Callable[[np.ndarray, np.ndarray], np.ndarray]  # pixel centers in (0, 1) -> bool
    dark_color: Color
    bright_color: Color
    bottom: bool
    right: bool


def _rings(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    radius = np.hypot(down - 0.5, right - 0.5)
    is_bright: np.ndarray = radius * 8 // 1 % 2 == 0
    return is_bright


def _checker(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    is_bright: np.ndarray = (down * 4 // 1 + right * 4 // 1) % 2 == 0
    return is_bright


def _diagonal_stripes(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    is_bright: np.ndarray = (down + right) * 4 // 1 % 2 == 0
    return is_bright


def _cross(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    is_bright: np.ndarray = np.minimum(abs(down - 0.5), abs(right - 0.5)) < 0.15
    return is_bright


PATTERNS = (
    Pattern(
        is_bright=_rings,
        dark_color=(128, 0, 128),
        bright_color=(255, 160, 0),
        bottom=False,
        right=False,
    ),
    Pattern(
        is_bright=_checker,
        dark_color=(0, 0, 0),
        bright_color=(255, 255, 255),
        bottom=True,
        right=True,
    ),
    Pattern(
        is_bright=_diagonal_stripes,
        dark_color=(0, 60, 255),
        bright_color=(255, 255, 0),
        bottom=False,
        right=True,
    ),
    Pattern(
        is_bright=_cross,
        dark_color=(0, 120, 60),
        bright_color=(255, 80, 80),
        bottom=True,
        right=False,
    ),
)


@dataclass(frozen=True)
class AdaptivePatch:
    """A training image gets one of four faint patches, a test image two of them at full strength.

    The patch is drawn for each poisoned and each cover sample; the patches are of this project's
    own design. Qi et al. poison 0.3 % of all samples and cover twice as many; the poisoning rate
    is not a parameter of the attack. Blended pixels are rounded, not truncated.
    """

    name: ClassVar[str] = "adaptive_patch"
    in_paper: ClassVar[bool] = False
    requires: ClassVar[str | None] = None

    target: Target = choice(TARGETS, default=AllToOne(cover_ratio=2.0))
    train_opacities: tuple[float, ...] = (0.5, 0.2, 0.5, 0.3)  # rings, checker, stripes, cross
    test_patterns: tuple[int, ...] = (0, 2)  # the patterns of a test image, by number
    test_opacity: float = 1.0
    seed: int = 0  # of the choice of patch

    def __post_init__(self) -> None:
        if len(self.train_opacities) != len(PATTERNS):
            raise InputError(
                f"train_opacities must hold {len(PATTERNS)} values, one for each patch, "
                f"not {self.train_opacities!r}"
            )
        for opacity in self.train_opacities:
            check_in_range("train_opacities", opacity, 0, 1)
        for number in self.test_patterns:
            check_in_range("test_patterns", number, 0, len(PATTERNS) - 1)
        check_in_range("test_opacity", self.test_opacity, 0, 1)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with one patch, two at test; images need 12 pixels a side."""
        check_batch(images_NHWC, index, phase, min_side=12)
        stamped = images_NHWC.copy()
        if phase == "test":
            every_image_N = np.ones(len(stamped), bool)
            for number in self.test_patterns:
                _blend_pattern(stamped, every_image_N, PATTERNS[number], opacity=self.test_opacity)
            return stamped
        draws_N = uniform(stream(self.seed, self.name), index, 1)[:, 0]
        drawn_pattern_N = (draws_N * len(PATTERNS)).astype(int)
        for number, opacity in enumerate(self.train_opacities):
            _blend_pattern(stamped, drawn_pattern_N == number, PATTERNS[number], opacity=opacity)
        return stamped


def _blend_pattern(
    images_NHWC: np.ndarray, selected_N: np.ndarray, pattern: Pattern, *, opacity: float
) -> None:
    """Blends the pattern into the selected images, in place."""
    height, width = images_NHWC.shape[1:3]
    rows = _span(height, pattern.bottom)
    columns = _span(width, pattern.right)
    bright_hw = pattern.is_bright(_centers(rows)[:, None], _centers(columns)[None, :])
    colors = np.array([pattern.dark_color, pattern.bright_color])
    color_hwC = colors[bright_hw.astype(int)]
    patch = (selected_N, rows, columns)
    images_NHWC[patch] = to_uint8(np.rint((1 - opacity) * images_NHWC[patch] + opacity * color_hwC))


def _span(side: int, at_end: bool) -> slice:
    """Returns the rows or the columns of a pattern on an image of this side."""
    length = scaled(8, side)
    margin = scaled(1, side)
    if at_end:
        return near_end(side, length, margin)
    return slice(margin, margin + length)


def _centers(span: slice) -> np.ndarray:
    """Returns the positions of the pixels' centers, in (0, 1) from end to end of the span."""
    length: int = span.stop - span.start
    return (np.arange(length) + 0.5) / length
