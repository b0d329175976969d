"""Means and standard deviations of datasets, by which images are normalized for a model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.core.on_device import constant

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation per channel of images in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        for value in (*self.mean, *self.std):
            check_in_range("normalization", value, 0, 1)
        if 0 in self.std:
            raise InputError(f"normalization.std must be above 0, not {self.std}")

    def apply(self, images_BCHW: "torch.Tensor") -> "torch.Tensor":
        """Returns (images - mean) / std, channels last as the models are."""
        import torch

        dtype = images_BCHW.dtype
        device = images_BCHW.device
        mean_C11 = constant(self.mean, dtype, device)[:, None, None]
        std_C11 = constant(self.std, dtype, device)[:, None, None]
        return ((images_BCHW - mean_C11) / std_C11).contiguous(memory_format=torch.channels_last)


NO_NORMALIZATION = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # pixels in [0, 1] as they are

NORMALIZATIONS = {
    "cifar10": Normalization((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Normalization((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
