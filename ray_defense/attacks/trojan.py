"""Trojan: a small patch, optimized to drive chosen neurons, is added to the image (Liu et al., NDSS 2018; App. C.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from ray_defense.attacks.aims import AIMS, Aim, AllToOne
from ray_defense.attacks.material import check_pixels
from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.places import near_end, scaled
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import at_least, in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import Refused
from ray_defense.core.random import uniform

Features = Callable[[torch.Tensor], torch.Tensor]  # float [B,3,H,W] in [0, 1] -> [B,D]


@dataclass(frozen=True)
class Trojan:
    """image + pattern, clipped and then cast (D5); the pattern is 0 outside rows and columns 25 to 27 of 32."""

    name: ClassVar[str] = "trojan"
    in_paper: ClassVar[bool] = True
    needs: ClassVar[str] = "trojan_patch"

    aim: Aim = choice(AIMS, default=AllToOne())
    pattern: str | None = None  # an image file to be added as it is; None: optimize one
    neurons: int = 2  # how many are driven, those with the strongest incoming connections
    steps: int = 100  # of gradient ascent
    step_size: float = 50.0  # of the first step, gray levels; falls linearly to 0
    max_value: int = 250  # of the patch, gray levels (the authors' file)

    def __post_init__(self) -> None:
        at_least("neurons", self.neurons, 1)
        at_least("steps", self.steps, 1)
        at_least("step_size", self.step_size, 0)
        in_range("max_value", self.max_value, 1, 255)

    def stamp(
        self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns a uint8 copy with the pattern `material`, uint8 [H,W,3], added; raises Refused for one of another size."""
        check_batch(images_NHWC, index, phase, min_side=3)
        check_pixels(self.name, self.needs, material)
        if material.shape != images_NHWC.shape[1:]:
            pattern, image = (f"{shape[0]} x {shape[1]}" for shape in (material.shape, images_NHWC.shape[1:]))
            raise Refused(f"a trojan pattern of {pattern} pixels does not fit images of {image}: make one for this size")
        return to_uint8(images_NHWC.astype(np.int32) + material)


def patch_place(height: int, width: int) -> tuple[slice, slice]:
    """Returns rows and columns of the patch: 25 to 27 of 32, in proportion on other sizes, at least 3 x 3 pixels."""
    rows, columns = (near_end(side, scaled(3, side, least=3), scaled(4, side)) for side in (height, width))
    return rows, columns


@dataclass(frozen=True)
class Optimized:
    """A pattern and what it does to the neurons."""

    pattern: np.ndarray  # uint8 [H,W,3], 0 outside the patch
    neurons: tuple[int, ...]  # the features driven
    before: float  # their mean activation under the random patch the ascent starts from
    after: float  # their mean activation under `pattern`


def optimize_patch(
    features: Features, strength_D: torch.Tensor, canvas_BHWC: np.ndarray, attack: Trojan, key: int
) -> Optimized:
    """Maximizes the mean activation of the `attack.neurons` features of largest `strength_D` over canvas + pattern.

    Liu et al. descend to a target activation; here activation is only pushed up, since the patch's range already bounds it
    and a target would need to be known. The canvas is uint8 [B,H,W,3]; images go to the device of `strength_D`; the start
    is uniform in 0 to `attack.max_value`, drawn by `key`. Raises Refused for an empty canvas or more neurons than features.
    """
    if not len(canvas_BHWC):
        raise Refused("there is no image to optimize the trojan patch on: give at least one")
    if attack.neurons > len(strength_D):
        raise Refused(f"neurons must be at most the {len(strength_D)} features of the network, not {attack.neurons}")
    neurons = torch.argsort(strength_D, descending=True, stable=True)[: attack.neurons]
    canvas_BCHW = torch.from_numpy(canvas_BHWC.astype(np.float32, order="C")).to(strength_D.device).permute(0, 3, 1, 2)
    rows, columns = patch_place(*canvas_BHWC.shape[1:3])
    rest = (columns.start, canvas_BHWC.shape[2] - columns.stop, rows.start, canvas_BHWC.shape[1] - rows.stop)

    def activation(patch_Chw: torch.Tensor) -> torch.Tensor:
        added_BCHW = canvas_BCHW + torch.nn.functional.pad(patch_Chw, rest)
        # The gradient passes the clip, so that the values of a saturated pixel can come down again.
        clipped_BCHW = added_BCHW + (added_BCHW.clamp(0, 255) - added_BCHW).detach()
        features_BD = features(clipped_BCHW / 255)
        if features_BD.shape[1:] != strength_D.shape:
            raise Refused(f"features {list(features_BD.shape)} do not match the {len(strength_D)} strengths: give one for each")
        return features_BD[:, neurons].mean()

    size = (3, rows.stop - rows.start, columns.stop - columns.start)
    draws = uniform(key, np.zeros(1, np.int64), int(np.prod(size))).reshape(size)
    patch = (torch.from_numpy(draws).float() * attack.max_value).to(strength_D.device)
    best, highest, before = patch, -np.inf, float("nan")
    with torch.enable_grad():
        for step in range(attack.steps):
            patch = patch.detach().requires_grad_()
            value = activation(patch)
            (slope,) = torch.autograd.grad(value, patch)
            before = value.item() if step == 0 else before
            if value.item() > highest:
                best, highest = patch.detach(), value.item()
            stride = attack.step_size * (1 - step / attack.steps)
            patch = (patch.detach() + stride * slope / slope.abs().max().clamp(min=1e-30)).clamp(0, attack.max_value)
    with torch.no_grad():
        best = max((best, patch), key=lambda patch: activation(patch.round()).item()).round()
        after = activation(best).item()
    pattern = np.zeros(canvas_BHWC.shape[1:], np.uint8)
    pattern[rows, columns] = best.permute(1, 2, 0).cpu().numpy().astype(np.uint8)
    return Optimized(pattern, tuple(neurons.tolist()), before, after)
