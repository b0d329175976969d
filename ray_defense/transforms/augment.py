"""Training augmentations: of the backdoored model (the paper's App. C.5) and of SS-CTL's views (SimCLR, ICML 2020)."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch

from ray_defense.core.checks import in_range
from ray_defense.transforms.color import blend, jitter, luma
from ray_defense.transforms.crop import Crop
from ray_defense.transforms.draws import between, per_image, whole
from ray_defense.transforms.resized_crop import ResizedCrop
from ray_defense.transforms.rotate import Rotate

_ORDERS = tuple(itertools.permutations(range(4)))


@dataclass(frozen=True)
class NoAugment:
    """Leaves the images as they are: the probe's augmentation (Algorithm 1)."""

    name: ClassVar[str] = "none"
    num_draws: ClassVar[int] = 0

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns `images_BCHW` itself."""
        return images_BCHW


@dataclass(frozen=True)
class CropFlip:
    """A random crop of the padded image, mirrored with a probability (CIFAR-10)."""

    name: ClassVar[str] = "crop_flip"
    num_draws: ClassVar[int] = 3

    pad_fraction: float = 0.125  # padding as a share of the side: 4 pixels of 32
    flip_fraction: float = 0.5  # probability of a mirror image

    def __post_init__(self) -> None:
        in_range("pad_fraction", self.pad_fraction, 0, 1)
        in_range("flip_fraction", self.flip_fraction, 0, 1)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draws are top, left, flip."""
        cropped = Crop(self.pad_fraction).apply(images_BCHW, draws_Bn[:, :2])
        return torch.where(per_image(draws_Bn[:, 2] < self.flip_fraction), cropped.flip(3), cropped)


@dataclass(frozen=True)
class CropFlipRotate:
    """As CropFlip, then a small rotation (CIFAR-100)."""

    name: ClassVar[str] = "crop_flip_rotate"
    num_draws: ClassVar[int] = 4

    pad_fraction: float = 0.125  # padding as a share of the side: 4 pixels of 32
    flip_fraction: float = 0.5  # probability of a mirror image
    degrees: float = 15.0  # largest angle

    def __post_init__(self) -> None:
        in_range("pad_fraction", self.pad_fraction, 0, 1)
        in_range("flip_fraction", self.flip_fraction, 0, 1)
        in_range("degrees", self.degrees, 0, 180)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draws are top, left, flip, angle."""
        flipped = CropFlip(self.pad_fraction, self.flip_fraction).apply(images_BCHW, draws_Bn[:, :3])
        return Rotate(self.degrees).apply(flipped, draws_Bn[:, 3:])


@dataclass(frozen=True)
class RotateFlip:
    """A small rotation, black outside, mirrored with a probability (ImageNet)."""

    name: ClassVar[str] = "rotate_flip"
    num_draws: ClassVar[int] = 2

    degrees: float = 20.0  # largest angle
    flip_fraction: float = 0.5  # probability of a mirror image

    def __post_init__(self) -> None:
        in_range("degrees", self.degrees, 0, 180)
        in_range("flip_fraction", self.flip_fraction, 0, 1)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draws are angle, flip."""
        rotated = Rotate(self.degrees).apply(images_BCHW, draws_Bn[:, :1])
        return torch.where(per_image(draws_Bn[:, 1] < self.flip_fraction), rotated.flip(3), rotated)


@dataclass(frozen=True)
class Contrastive:
    """A resized crop, mirrored or not, with color jitter and sometimes gray: one view of SS-CTL (App. C.5)."""

    name: ClassVar[str] = "contrastive"
    num_draws: ClassVar[int] = ResizedCrop.num_draws + 7

    flip: bool = True  # mirror half of the images; False where a mirror image means something else, as with digits
    min_area_fraction: float = 0.2  # smallest part of the image shown
    brightness: float = 0.4  # factor uniform in 1 +- this
    contrast: float = 0.4  # factor uniform in 1 +- this
    saturation: float = 0.4  # factor uniform in 1 +- this
    hue: float = 0.1  # shift uniform in +- this, turns of the color circle
    jitter_fraction: float = 0.8  # probability of color jitter
    gray_fraction: float = 0.2  # probability of a gray image

    def __post_init__(self) -> None:
        for field in ("min_area_fraction", "brightness", "contrast", "saturation", "jitter_fraction", "gray_fraction"):
            in_range(field, getattr(self, field), 0, 1)
        in_range("hue", self.hue, 0, 0.5)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,3,H,W]; draws are ResizedCrop's, four factors, order, jitter or not, gray or not."""
        crop = ResizedCrop(self.min_area_fraction, flip_fraction=0.5 if self.flip else 0.0)
        images_B3HW = crop.apply(images_BCHW, draws_Bn[:, : crop.num_draws])
        draws_B7 = draws_Bn[:, crop.num_draws :].to(images_B3HW.dtype)
        neutral_4 = draws_B7.new_tensor([1, 1, 1, 0])
        reach_4 = draws_B7.new_tensor([self.brightness, self.contrast, self.saturation, self.hue])
        jittered_B1 = draws_B7[:, 5:6] < self.jitter_fraction
        factors_B4 = torch.where(jittered_B1, neutral_4 + reach_4 * between(draws_B7[:, :4], -1, 1), neutral_4)
        order_B4 = torch.tensor(_ORDERS, device=images_B3HW.device)[whole(draws_B7[:, 4], len(_ORDERS))]
        images_B3HW = jitter(images_B3HW, factors_B4, order_B4)
        return blend(images_B3HW, luma(images_B3HW), (draws_B7[:, 6] >= self.gray_fraction).to(images_B3HW.dtype))
