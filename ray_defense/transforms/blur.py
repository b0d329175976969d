"""Gaussian blur of random strength (the paper's App. C.5)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import conv2d, pad

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.errors import Refused
from ray_defense.transforms.draws import between


@dataclass(frozen=True)
class Blur:
    """Blurs each image with its own sigma, edges reflected, as torchvision does; a short side shortens the kernel."""

    name: ClassVar[str] = "blur"
    num_draws: ClassVar[int] = 1

    kernel_px: int = 15  # taps along each side, odd (the authors' code)
    min_sigma: float = 0.1  # pixels (the authors' code)
    max_sigma: float = 2.0  # pixels (the authors' code)

    def __post_init__(self) -> None:
        at_least("kernel_px", self.kernel_px, 1)
        if self.kernel_px % 2 == 0:
            raise Refused(f"kernel_px must be odd, not {self.kernel_px}: take {self.kernel_px + 1}")
        at_least("min_sigma", self.min_sigma, 0.01)
        in_range("min_sigma", self.min_sigma, 0, self.max_sigma)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draw 0 is sigma."""
        batch, channels, height, width = images_BCHW.shape
        if batch == 0:
            return images_BCHW.clone()  # a convolution needs a group
        sigma_B = between(draws_Bn[:, 0].float(), self.min_sigma, self.max_sigma)
        # Reflection can mirror no more than the side less one.
        down, across = min(self.kernel_px // 2, height - 1), min(self.kernel_px // 2, width - 1)
        rows = _gaussian(sigma_B, down, images_BCHW).repeat_interleave(channels, 0)[:, None, :, None]
        columns = _gaussian(sigma_B, across, images_BCHW).repeat_interleave(channels, 0)[:, None, None, :]
        padded = pad(images_BCHW, (across, across, down, down), mode="reflect").flatten(0, 1)[None]
        blurred = conv2d(conv2d(padded, rows, groups=batch * channels), columns, groups=batch * channels)
        return blurred.reshape(images_BCHW.shape)


def _gaussian(sigma_B: torch.Tensor, half: int, like: torch.Tensor) -> torch.Tensor:
    offset = torch.arange(-half, half + 1, device=sigma_B.device)
    weight = torch.exp(-0.5 * (offset / sigma_B[:, None]) ** 2)
    return (weight / weight.sum(dim=1, keepdim=True)).to(like.dtype)
