"""SSBA: one bit string hidden in every image by an encoder network, as a residual of the image's own (Li et al., ICCV 2021)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from ray_defense.attacks.aims import AIMS, Aim, AllToOne
from ray_defense.attacks.error_correction import MESSAGE, encode
from ray_defense.attacks.material import check_callable
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.core.config import choice
from ray_defense.core.errors import Refused

_PIXELS = 1 << 12  # that pass through the encoder at a time: they stay in a CPU's cache, three times as fast as 1 << 17

Encoder = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # float [B,3,H,W] in [0, 1], bits [B,L] -> float [B,3,H,W]


@dataclass(frozen=True)
class Ssba:
    """A short message, seven bits a character and protected by BCH(15, 7), hidden alike in training and at test."""

    name: ClassVar[str] = "ssba"
    in_paper: ClassVar[bool] = True
    needs: ClassVar[str] = "ssba_encoder"

    aim: Aim = choice(AIMS, default=AllToOne())
    message: str = "RD"  # ASCII; 15 code bits a character, together as many as the encoder hides

    def __post_init__(self) -> None:
        if not self.message or not self.message.isascii():
            raise Refused(f"message must be one ASCII character or more, not {self.message!r}")

    @property
    def code(self) -> np.ndarray:
        """The bits to hide, uint8 [L]: the message as a BCH code word."""
        bits = [ord(character) >> bit & 1 for character in self.message for bit in range(MESSAGE - 1, -1, -1)]
        return encode(np.array([bits]))[0]

    def stamp(
        self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: Encoder | None = None
    ) -> np.ndarray:
        """Returns a uint8 copy with the bits hidden by the encoder `material`, rounded.

        Raises Refused for images below 16 pixels a side, without an encoder, or with one of another number of bits.
        """
        check_batch(images_NHWC, index, phase, min_side=16)
        check_callable(self.name, self.needs, material)
        code_L = torch.from_numpy(self.code).float()
        if material.num_bits != len(code_L):
            raise Refused(
                f"the message {self.message!r} has {len(code_L)} code bits and the encoder hides {material.num_bits}: "
                "train one for as many bits, or give one character for every 15"
            )
        stamped = images_NHWC.copy()
        step = max(1, _PIXELS // (images_NHWC.shape[1] * images_NHWC.shape[2]))
        with torch.no_grad():
            for low in range(0, len(stamped), step):
                images_BCHW = torch.from_numpy(stamped[low : low + step]).permute(0, 3, 1, 2).float() / 255
                hidden_BCHW = material(images_BCHW, code_L.expand(len(images_BCHW), -1)).cpu()
                stamped[low : low + step] = to_uint8(np.rint(255 * hidden_BCHW.permute(0, 2, 3, 1).numpy()))
        return stamped
