"""Adaptive-Patch: one of four faint patches a sample, and cover samples that keep their labels (Qi et al., ICLR 2023)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.aims import AIMS, Aim, AllToOne
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.places import near_end, scaled
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform


@dataclass(frozen=True)
class Pattern:
    """A square of two colors, 8 of 32 pixels wide and one from the edges, in a corner of the image."""

    bright: Callable[[np.ndarray, np.ndarray], np.ndarray]  # (down, right) in (0, 1), the pixels' centers -> bool
    colors: tuple[tuple[int, int, int], tuple[int, int, int]]  # where it is not bright, and where it is
    bottom: bool
    right: bool


PATTERNS = (
    Pattern(lambda v, u: np.hypot(v - 0.5, u - 0.5) * 8 // 1 % 2 == 0, ((128, 0, 128), (255, 160, 0)), False, False),  # rings
    Pattern(lambda v, u: (v * 4 // 1 + u * 4 // 1) % 2 == 0, ((0, 0, 0), (255, 255, 255)), True, True),  # checker
    Pattern(lambda v, u: (v + u) * 4 // 1 % 2 == 0, ((0, 60, 255), (255, 255, 0)), False, True),  # diagonal stripes
    Pattern(lambda v, u: np.minimum(abs(v - 0.5), abs(u - 0.5)) < 0.15, ((0, 120, 60), (255, 80, 80)), True, False),  # cross
)


@dataclass(frozen=True)
class AdaptivePatch:
    """Poisoned and cover samples get one of four patches of our own, drawn and faint; test images two, at full strength.

    Qi et al. poison 0.3 % of all samples and cover twice as many: the rate is the poisoning's, not the attack's. Blended
    pixels are rounded, not truncated.
    """

    name: ClassVar[str] = "adaptive_patch"
    in_paper: ClassVar[bool] = False
    needs: ClassVar[None] = None

    aim: Aim = choice(AIMS, default=AllToOne(cover_ratio=2.0))
    train_opacities: tuple[float, ...] = (0.5, 0.2, 0.5, 0.3)  # of the rings, the checker, the stripes and the cross
    test_patterns: tuple[int, ...] = (0, 2)  # those of a test image
    test_opacity: float = 1.0
    seed: int = 0  # of the choice of patch

    def __post_init__(self) -> None:
        if len(self.train_opacities) != len(PATTERNS):
            raise Refused(f"train_opacities must hold {len(PATTERNS)} values, one a patch, not {self.train_opacities!r}")
        for opacity in self.train_opacities:
            in_range("train_opacities", opacity, 0, 1)
        for number in self.test_patterns:
            in_range("test_patterns", number, 0, len(PATTERNS) - 1)
        in_range("test_opacity", self.test_opacity, 0, 1)

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: None = None) -> np.ndarray:
        """Returns a uint8 copy with one patch, two at test; raises Refused for anything but uint8 [N, H >= 12, W >= 12, 3]."""
        check_batch(images_NHWC, index, phase, min_side=12)
        stamped = images_NHWC.copy()
        if phase == "test":
            for number in self.test_patterns:
                _lay(stamped, np.ones(len(stamped), bool), PATTERNS[number], self.test_opacity)
            return stamped
        drawn_N = (uniform(stream(self.seed, self.name), index, 1)[:, 0] * len(PATTERNS)).astype(int)
        for number, (pattern, opacity) in enumerate(zip(PATTERNS, self.train_opacities, strict=True)):
            _lay(stamped, drawn_N == number, pattern, opacity)
        return stamped


def _lay(images_NHWC: np.ndarray, hit_N: np.ndarray, pattern: Pattern, opacity: float) -> None:
    """Blends the pattern into those images that are hit, in place."""
    spans = [_span(side, end) for side, end in zip(images_NHWC.shape[1:3], (pattern.bottom, pattern.right), strict=True)]
    down, right = ((np.arange(length) + 0.5) / length for length in (span.stop - span.start for span in spans))
    color_hwC = np.array(pattern.colors)[pattern.bright(down[:, None], right[None, :]).astype(int)]
    place = (hit_N, *spans)
    images_NHWC[place] = to_uint8(np.rint((1 - opacity) * images_NHWC[place] + opacity * color_hwC))


def _span(side: int, at_end: bool) -> slice:
    length, margin = scaled(8, side), scaled(1, side)
    return near_end(side, length, margin) if at_end else slice(margin, margin + length)
