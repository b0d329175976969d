"""WaNet: a smooth warp of the whole image, too small to see, is the trigger (Nguyen and Tran, ICLR 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn.functional import grid_sample, interpolate

from ray_defense.attacks.aims import AIMS, Aim, AllToOne
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import at_least
from ray_defense.core.config import choice
from ray_defense.core.random import stream, uniform


@dataclass(frozen=True)
class WaNet:
    """Warps by one field, drawn once and upsampled from k x k points; cover samples get noise on top and keep their labels.

    Here it poisons data before training; the authors' attacker controls the training too and warps anew in every epoch.
    Warped pixels are rounded, not truncated.
    """

    name: ClassVar[str] = "wanet"
    in_paper: ClassVar[bool] = False
    needs: ClassVar[None] = None

    aim: Aim = choice(AIMS, default=AllToOne(cover_ratio=2.0))  # the authors' 10 % poisoned, 20 % noise
    grid_side: int = 4  # k, control points a side
    strength: float = 0.5  # s: control points move s / 2 pixels along each axis on the average
    seed: int = 0  # of the field and of the noise

    def __post_init__(self) -> None:
        at_least("grid_side", self.grid_side, 2)
        at_least("strength", self.strength, 0)

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: None = None) -> np.ndarray:
        """Returns a warped uint8 copy; raises Refused for anything but uint8 [N, H >= 2, W >= 2, 3]."""
        check_batch(images_NHWC, index, phase, min_side=2)
        count, height, width = images_NHWC.shape[:3]
        grid_NHW2 = self.grid(height, width).expand(count, -1, -1, -1)
        if phase == "cover":
            draws = uniform(stream(self.seed, self.name, "noise"), index, height * width * 2)
            noise_NHW2 = torch.from_numpy(2 * draws - 1).view(count, height, width, 2)
            grid_NHW2 = (grid_NHW2 + noise_NHW2 / _sides(height, width)).clamp(-1, 1)
        images_NCHW = torch.from_numpy(images_NHWC.astype(np.float64, order="C")).permute(0, 3, 1, 2)
        warped_NCHW = grid_sample(images_NCHW, grid_NHW2, mode="bilinear", padding_mode="zeros", align_corners=True)
        return to_uint8(warped_NCHW.permute(0, 2, 3, 1).numpy().round())

    def grid(self, height: int, width: int) -> torch.Tensor:
        """Returns float64 [1,H,W,2]: for each pixel the place (x, y) it is taken from, -1 to 1 over each side."""
        draws = uniform(stream(self.seed, self.name, "field"), np.zeros(1, np.int64), 2 * self.grid_side**2)
        control_12kk = torch.from_numpy(2 * draws - 1).view(1, 2, self.grid_side, self.grid_side)
        control_12kk = control_12kk / control_12kk.abs().mean()
        field_12HW = interpolate(control_12kk, size=(height, width), mode="bicubic", align_corners=True)
        y, x = (torch.linspace(-1, 1, side, dtype=torch.float64) for side in (height, width))
        upright_HW2 = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        return (upright_HW2 + self.strength * field_12HW.permute(0, 2, 3, 1) / _sides(height, width)).clamp(-1, 1)


def _sides(height: int, width: int) -> torch.Tensor:
    return torch.tensor([width, height], dtype=torch.float64)
