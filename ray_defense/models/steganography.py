"""The configuration of the networks that hide bits in an image (see `steganography_networks`)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_at_least, check_in_range

if TYPE_CHECKING:
    from ray_defense.models.steganography_networks import SteganographyPair


@dataclass(frozen=True)
class Steganography:
    """A U-Net that adds a bounded residual, and a convolutional decoder.

    Images may have any size from 16 pixels a side.
    """

    name: ClassVar[str] = "steganography"

    num_bits: int = 30  # L
    encoder_width: int = 16  # channels at full size; 2 and 4 times as many at a half and a quarter
    decoder_width: int = 32  # channels at a half; 2 times as many from a quarter on
    max_residual: float = 0.1  # of any pixel and channel, images being in [0, 1]

    def __post_init__(self) -> None:
        check_at_least("num_bits", self.num_bits, 1)
        check_at_least("encoder_width", self.encoder_width, 1)
        check_at_least("decoder_width", self.decoder_width, 1)
        check_in_range("max_residual", self.max_residual, 0, 1)

    def build(self) -> "SteganographyPair":
        """Returns both networks, initialized from torch's global generator."""
        from ray_defense.models.steganography_networks import (
            SteganographyDecoder,
            SteganographyEncoder,
            SteganographyPair,
        )

        return SteganographyPair(
            SteganographyEncoder(self.num_bits, self.encoder_width, self.max_residual),
            SteganographyDecoder(self.num_bits, self.decoder_width),
        )
