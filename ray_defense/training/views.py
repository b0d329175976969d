"""What a model sees of an image: uint8 -> [0, 1] -> random changes -> normalized, all on the device, in batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused
from ray_defense.transforms import Transform, apply_all


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation per channel of images in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        for value in (*self.mean, *self.std):
            in_range("normalization", value, 0, 1)
        if 0 in self.std:
            raise Refused(f"normalization.std must be above 0, not {self.std}")

    def apply(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns (images - mean) / std, channels last as the models are."""
        mean, std = (images_BCHW.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return ((images_BCHW - mean) / std).contiguous(memory_format=torch.channels_last)


NORMALIZATIONS = {
    "cifar10": Normalization((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Normalization((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def to_float(images_BHWC: torch.Tensor) -> torch.Tensor:
    """Returns uint8 [B, H, W, 3] as float32 [B, 3, H, W] in [0, 1]."""
    return images_BHWC.permute(0, 3, 1, 2).float().div_(255)


def view(
    images_BHWC: torch.Tensor, index_B: np.ndarray, key: int, changes: Sequence[Transform], normalization: Normalization
) -> torch.Tensor:
    """Returns one normalized random view float [B, 3, H, W] of uint8 images; the draws depend on (key, index) alone (D10)."""
    return normalization.apply(apply_all(changes, to_float(images_BHWC), key, index_B))
