"""The networks that hide bits in an image and read them back.

Source: StegaStamp (Tancik et al., CVPR 2020); SSBA (Li et al., ICCV 2021).

Shapes: B images, C channels, L bits.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from ray_defense.core.errors import InputError

# Pixels of an image's side; also the side of the map that the bits are first drawn on.
MIN_SIDE = 16

GRID = 4  # the decoder pools each image to GRID x GRID cells


class SteganographyEncoder(nn.Module):
    """Hides bits in images by a U-Net, whose bounded output is added to them and clipped."""

    def __init__(self, num_bits: int, width: int, max_residual: float):
        super().__init__()
        self.num_bits = num_bits
        self.max_residual = max_residual
        self.drawing = nn.Linear(num_bits, 3 * MIN_SIDE**2)
        # The number at the end of a name: 1 works at full size, 2 at a half, 4 at a quarter.
        self.down_1 = _convolution(6, width)
        self.down_2 = _convolution(width, 2 * width, stride=2)
        self.down_4 = _convolution(2 * width, 4 * width, stride=2)
        self.up_2 = _convolution(4 * width, 2 * width)
        self.join_2 = _convolution(4 * width, 2 * width)
        self.up_1 = _convolution(2 * width, width)
        self.join_1 = _convolution(2 * width + 6, width)
        self.residual = nn.Conv2d(width, 3, 1)

    def forward(self, images_BCHW: Tensor, bits_BL: Tensor) -> Tensor:
        """Returns the images with hidden bits, each made from its own image and bits alone.

        Args:
            images_BCHW: Images, float [B,3,H,W] in [0, 1].
            bits_BL: The bits of each image, 0 or 1.

        Returns:
            Images [B,3,H,W] in [0, 1]; no value differs from the input by more than
            `max_residual`.

        Raises:
            InputError: For images below 16 pixels a side, or another number of bits.
        """
        height, width = images_BCHW.shape[2:]
        if min(height, width) < MIN_SIDE:
            raise InputError(
                f"images of {height} x {width} pixels are too small to hide bits in: "
                f"give {MIN_SIDE} a side or more"
            )
        if bits_BL.shape != (len(images_BCHW), self.num_bits):
            raise InputError(
                f"{self.num_bits} bits are hidden in each of {len(images_BCHW)} images, "
                f"not {list(bits_BL.shape)}"
            )
        drawn = relu(self.drawing(2 * bits_BL.to(images_BCHW) - 1))
        drawn = drawn.reshape(len(images_BCHW), 3, MIN_SIDE, MIN_SIDE)
        inputs = torch.cat((images_BCHW - 0.5, interpolate(drawn, (height, width))), 1)
        down_1 = relu(self.down_1(inputs))
        down_2 = relu(self.down_2(down_1))
        down_4 = relu(self.down_4(down_2))
        up = relu(self.up_2(interpolate(down_4, down_2.shape[2:])))
        up = relu(self.join_2(torch.cat((down_2, up), 1)))
        up = relu(self.up_1(interpolate(up, (height, width))))
        up = relu(self.join_1(torch.cat((down_1, up, inputs), 1)))
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
        """Returns the logits [B, L] of the bits hidden in images, float [B,3,H,W] in [0, 1]."""
        logits_BL: Tensor = self.layers(images_BCHW - 0.5)
        return logits_BL


class SteganographyPair(nn.Module):
    """Encoder and decoder as they are trained, with the rounding to uint8 between them."""

    def __init__(self, encoder: SteganographyEncoder, decoder: SteganographyDecoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images_BCHW: Tensor, bits_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Returns images with hidden bits, and what the decoder reads in them after rounding.

        The gradient passes the rounding unchanged.

        Args:
            images_BCHW: Images, float [B,3,H,W] in [0, 1].
            bits_BL: The bits of each image, 0 or 1.

        Returns:
            The images [B,3,H,W] before rounding, and the logits [B, L] of the bits after it.
        """
        stamped_BCHW = self.encoder(images_BCHW, bits_BL)
        rounded_BCHW = (255 * stamped_BCHW).round() / 255
        passed_BCHW = stamped_BCHW + (rounded_BCHW - stamped_BCHW).detach()
        return stamped_BCHW, self.decoder(passed_BCHW)


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
