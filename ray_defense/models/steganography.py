"""Networks that hide bits in an image and read them back (StegaStamp, Tancik et al., CVPR 2020; SSBA, Li et al., ICCV 2021).

Shapes: B images, L bits.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.errors import Refused

MIN_SIDE = 16  # pixels of an image's side; also the side of the map that the bits are first drawn on
GRID = 4  # the decoder pools each image to GRID x GRID cells


@dataclass(frozen=True)
class Steganography:
    """A U-Net that adds a bounded residual, and a convolutional decoder; images of any size from 16 pixels a side."""

    name: ClassVar[str] = "steganography"

    num_bits: int = 30  # L
    encoder_width: int = 16  # channels at full size; 2 and 4 times as many at a half and a quarter
    decoder_width: int = 32  # channels at a half; 2 times as many from a quarter on
    max_residual: float = 0.1  # of any pixel and channel, images being in [0, 1]

    def __post_init__(self) -> None:
        at_least("num_bits", self.num_bits, 1)
        at_least("encoder_width", self.encoder_width, 1)
        at_least("decoder_width", self.decoder_width, 1)
        in_range("max_residual", self.max_residual, 0, 1)

    def build(self) -> "SteganographyPair":
        """Returns both networks, initialized from torch's global generator."""
        return SteganographyPair(
            SteganographyEncoder(self.num_bits, self.encoder_width, self.max_residual),
            SteganographyDecoder(self.num_bits, self.decoder_width),
        )


class SteganographyEncoder(nn.Module):
    """Hides bits: image and bits -> U-Net -> residual in (-max_residual, max_residual) -> their sum, clipped."""

    def __init__(self, num_bits: int, width: int, max_residual: float):
        super().__init__()
        self.num_bits, self.max_residual = num_bits, max_residual
        self.drawing = nn.Linear(num_bits, 3 * MIN_SIDE**2)
        self.down_1 = _convolution(6, width)  # the digit: at full size, at a half, at a quarter
        self.down_2 = _convolution(width, 2 * width, stride=2)
        self.down_4 = _convolution(2 * width, 4 * width, stride=2)
        self.up_2 = _convolution(4 * width, 2 * width)
        self.join_2 = _convolution(4 * width, 2 * width)
        self.up_1 = _convolution(2 * width, width)
        self.join_1 = _convolution(2 * width + 6, width)
        self.residual = nn.Conv2d(width, 3, 1)

    def forward(self, images_BCHW: Tensor, bits_BL: Tensor) -> Tensor:
        """Returns images float [B, 3, H, W] in [0, 1] that hide bits [B, L] in {0, 1}; every image on its own.

        Raises Refused for images below 16 pixels a side or another number of bits.
        """
        size = images_BCHW.shape[2:]
        if min(size) < MIN_SIDE:
            raise Refused(
                f"images of {size[0]} x {size[1]} pixels are too small to hide bits in: give {MIN_SIDE} a side or more"
            )
        if bits_BL.shape != (len(images_BCHW), self.num_bits):
            raise Refused(f"{self.num_bits} bits are hidden in each of {len(images_BCHW)} images, not {list(bits_BL.shape)}")
        drawn = relu(self.drawing(2 * bits_BL.to(images_BCHW) - 1)).unflatten(1, (3, MIN_SIDE, MIN_SIDE))
        given = torch.cat((images_BCHW - 0.5, interpolate(drawn, size)), 1)
        down_1 = relu(self.down_1(given))
        down_2 = relu(self.down_2(down_1))
        down_4 = relu(self.down_4(down_2))
        up = relu(self.up_2(interpolate(down_4, down_2.shape[2:])))
        up = relu(self.join_2(torch.cat((down_2, up), 1)))
        up = relu(self.up_1(interpolate(up, size)))
        up = relu(self.join_1(torch.cat((down_1, up, given), 1)))
        return (images_BCHW + self.max_residual * torch.tanh(self.residual(up))).clamp(0, 1)


class SteganographyDecoder(nn.Module):
    """Reads bits: strided convolutions, a mean over each of 4x4 cells, one linear layer."""

    def __init__(self, num_bits: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(3, width, stride=2),
            nn.ReLU(),
            _convolution(width, width),
            nn.ReLU(),
            _convolution(width, 2 * width, stride=2),
            nn.ReLU(),
            _convolution(2 * width, 2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(GRID),
            nn.Flatten(),
            nn.Linear(2 * width * GRID**2, num_bits),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Returns logits [B, L] of the bits hidden in images float [B, 3, H, W] in [0, 1]."""
        return self.layers(images_BCHW - 0.5)


class SteganographyPair(nn.Module):
    """Encoder and decoder as they are trained, with the rounding to uint8 between them."""

    def __init__(self, encoder: SteganographyEncoder, decoder: SteganographyDecoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images_BCHW: Tensor, bits_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the stamped images [B, 3, H, W] before rounding, and the logits [B, L] of the bits after it.

        The gradient passes the rounding unchanged.
        """
        stamped_BCHW = self.encoder(images_BCHW, bits_BL)
        rounded_BCHW = (255 * stamped_BCHW).round() / 255
        return stamped_BCHW, self.decoder(stamped_BCHW + (rounded_BCHW - stamped_BCHW).detach())


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
