"""SSBA: one bit string hidden in every image, by an encoder network (Li et al., ICCV 2021).

Shapes: B images of H x W pixels and C colors, L bits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from ray_defense.attacks.assets import check_callable
from ray_defense.attacks.error_correction import MESSAGE_BITS, encode
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    import torch

# The pixels that pass through the encoder at a time. They stay in a CPU's cache, which is three
# times as fast as 1 << 17 pixels.
_PIXELS_AT_A_TIME = 1 << 12


class Encoder(Protocol):
    """A network that hides bits in images."""

    @property
    def num_bits(self) -> int:
        """L, the number of bits that each image hides."""

    def __call__(self, images_BCHW: "torch.Tensor", bits_BL: "torch.Tensor") -> "torch.Tensor":
        """Returns float images [B, 3, H, W] in [0, 1], from such images and bits in {0, 1}.

        The result for an image must not depend on the others in the batch.
        """


@dataclass(frozen=True)
class Ssba:
    """Hides a short message, the same in training and at test.

    The message has seven bits a character and is protected by BCH(15, 7).
    """

    name: ClassVar[str] = "ssba"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = "ssba_encoder"

    target: Target = choice(TARGETS, default=AllToOne())
    message: str = "RD"  # ASCII; 15 code bits a character, together as many as the encoder hides

    def __post_init__(self) -> None:
        if not self.message or not self.message.isascii():
            raise InputError(f"message must be one ASCII character or more, not {self.message!r}")

    @property
    def code(self) -> np.ndarray:
        """The bits to hide, uint8 [L]: the message as a BCH code word."""
        bits: list[int] = []
        for character in self.message:
            for position in range(MESSAGE_BITS - 1, -1, -1):
                bits.append(ord(character) >> position & 1)
        code_L: np.ndarray = encode(np.array([bits]))[0]
        return code_L

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: Encoder | None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the bits hidden by the encoder `asset`, rounded.

        The encoder must hide as many bits as `code` has. Images need at least 16 pixels a side.
        """
        import torch

        check_batch(images_NHWC, index, phase, min_side=16)
        encoder = check_callable(self, asset)
        code_L = torch.from_numpy(self.code).float()
        if encoder.num_bits != len(code_L):
            raise InputError(
                f"the message {self.message!r} has {len(code_L)} code bits and the encoder hides "
                f"{encoder.num_bits}: train one for as many bits, or give one character for every "
                "15"
            )
        stamped = images_NHWC.copy()
        height, width = images_NHWC.shape[1:3]
        step = max(1, _PIXELS_AT_A_TIME // (height * width))
        with torch.no_grad():
            for low in range(0, len(stamped), step):
                images_BHWC = torch.from_numpy(stamped[low : low + step])
                images_BCHW = images_BHWC.permute(0, 3, 1, 2).float() / 255
                hidden_BCHW = encoder(images_BCHW, code_L.expand(len(images_BCHW), -1)).cpu()
                hidden_BHWC = hidden_BCHW.permute(0, 2, 3, 1).numpy()
                stamped[low : low + step] = to_uint8(np.rint(255 * hidden_BHWC))
        return stamped
