"""One view of SS-CTL: a resized crop with color jitter (paper, App. C.5; SimCLR, ICML 2020)."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range
from ray_defense.transforms.resized_crop import ResizedCrop

if TYPE_CHECKING:
    import torch

_ORDERS = tuple(itertools.permutations(range(4)))  # of the four color operations


@dataclass(frozen=True)
class Contrastive:
    """A resized crop, mirrored or not, with color jitter and sometimes gray.

    Set `flip` to False if a mirror image means something else, as with digits.
    """

    name: ClassVar[str] = "contrastive"
    num_draws: ClassVar[int] = ResizedCrop.num_draws + 7

    flip: bool = True  # mirror half of the images
    min_area_fraction: float = 0.2  # smallest part of the image shown
    brightness: float = 0.4  # factor uniform in 1 +- this
    contrast: float = 0.4  # factor uniform in 1 +- this
    saturation: float = 0.4  # factor uniform in 1 +- this
    hue: float = 0.1  # shift uniform in +- this, turns of the color circle
    jitter_fraction: float = 0.8  # probability of color jitter
    gray_fraction: float = 0.2  # probability of a gray image

    def __post_init__(self) -> None:
        check_in_range("min_area_fraction", self.min_area_fraction, 0, 1)
        check_in_range("brightness", self.brightness, 0, 1)
        check_in_range("contrast", self.contrast, 0, 1)
        check_in_range("saturation", self.saturation, 0, 1)
        check_in_range("jitter_fraction", self.jitter_fraction, 0, 1)
        check_in_range("gray_fraction", self.gray_fraction, 0, 1)
        check_in_range("hue", self.hue, 0, 0.5)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,3,H,W].

        The first draws are for ResizedCrop. Then come four factors, the order of the color
        operations, whether colors are jittered, and whether the image is gray.
        """
        import torch

        from ray_defense.core.on_device import constant
        from ray_defense.transforms.color import blend, jitter, luma
        from ray_defense.transforms.draws import to_integers, to_interval

        flip_fraction = 0.5 if self.flip else 0.0
        crop = ResizedCrop(self.min_area_fraction, flip_fraction=flip_fraction)
        images_B3HW = crop.apply(images_BCHW, draws_Bn[:, : crop.num_draws])
        draws_B7 = draws_Bn[:, crop.num_draws :].to(images_B3HW.dtype)
        dtype = images_B3HW.dtype
        device = images_B3HW.device
        neutral_4 = constant((1, 1, 1, 0), dtype, device)
        reach = (self.brightness, self.contrast, self.saturation, self.hue)
        reach_4 = constant(reach, dtype, device)
        random_B4 = neutral_4 + reach_4 * to_interval(draws_B7[:, :4], -1, 1)
        jittered_B1 = draws_B7[:, 5:6] < self.jitter_fraction
        factors_B4 = torch.where(jittered_B1, random_B4, neutral_4)
        orders = constant(_ORDERS, torch.int64, device).view(-1, 4)
        order_B4 = orders[to_integers(draws_B7[:, 4], len(_ORDERS))]
        images_B3HW = jitter(images_B3HW, factors_B4, order_B4)
        keeps_color_B = (draws_B7[:, 6] >= self.gray_fraction).to(images_B3HW.dtype)
        return blend(images_B3HW, luma(images_B3HW), keeps_color_B)
