"""Shifted windows: a trigger stays where it is, while photographs look alike a little further on.

Two windows of the same image, some pixels apart, are told from each other out of fold. It sees
triggers that are their own mirror image, to which the mirror filter is blind. The null is not
exact: photographs have their subject in the middle, and JPEG cuts them in blocks of 8 pixels, so
that the sign of W is no fair coin. `mid50` says how far from one it is: on CIFAR-10 from JPEG files
it was 0.996 for a shift of 2 pixels, so that nothing could be counted there.
"""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.core.checks import check_at_least
from ray_defense.detectors.symmetry import SymmetryDetector
from ray_defense.detectors.window import Window
from ray_defense.transforms.protocol import Transform


@dataclass(frozen=True)
class ShiftedWindows(SymmetryDetector):
    """W(x) = g(window of x) - g(shifted window of x) by networks that did not see x."""

    name: ClassVar[str] = "shifted_windows"
    draws: ClassVar[int] = 2
    networks_version: ClassVar[int] = 2

    shift: int = 2  # pixels, along rows and columns

    def __post_init__(self) -> None:
        check_at_least("shift", self.shift, 1)

    @property
    def tau(self) -> tuple[Transform, ...]:
        return (Window(margin=self.shift, row=0, column=0),)

    @property
    def original(self) -> tuple[Transform, ...]:
        return (Window(margin=self.shift, row=self.shift, column=self.shift),)
