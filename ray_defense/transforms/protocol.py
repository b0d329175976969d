"""What every transform and augmentation provides: the number of its draws, and a function of images and draws."""

from typing import ClassVar, Protocol

import torch


class Transform(Protocol):
    """A frozen dataclass whose fields are the transform's parameters."""

    name: ClassVar[str]
    num_draws: ClassVar[int]  # n, uniform draws an image

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns images of the same shape, device and dtype; each is a function of its own image and draws alone.

        Images are float in [0, 1] before normalization, so a fill of 0 is black; draws are float in [0, 1).
        Inputs are not changed.
        """
