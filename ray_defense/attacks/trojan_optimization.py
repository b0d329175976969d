"""The Trojan patch: gradient ascent on the activation of chosen neurons (Liu et al., NDSS 2018).

Shapes: B images of H x W pixels and C colors, D features, a patch of h x w pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ray_defense.attacks.trojan import Trojan, patch_slices
from ray_defense.core.errors import InputError
from ray_defense.core.random import uniform

Features = Callable[[torch.Tensor], torch.Tensor]
"""float [B, 3, H, W] in [0, 1] -> [B, D]."""


@dataclass(frozen=True)
class Optimized:
    """A pattern and what it does to the neurons."""

    pattern: np.ndarray  # uint8 [H, W, 3], 0 outside the patch
    neurons: tuple[int, ...]  # the features that are driven
    before: float  # their mean activation under the random patch that the ascent starts from
    after: float  # their mean activation under `pattern`


def optimize_patch(
    features: Features,
    strength_D: torch.Tensor,
    canvas_BHWC: np.ndarray,
    attack: Trojan,
    key: int,
) -> Optimized:
    """Maximizes the mean activation of the neurons over canvas + pattern.

    The neurons are the `attack.neurons` features of largest strength. Liu et al. descend to a
    target activation; here the activation is only pushed up, since the range of the patch already
    bounds it and a target activation would have to be known.

    Args:
        features: The network that is attacked.
        strength_D: How strongly each feature is connected to the layer before it, float [D]; the
            images are moved to the device of this tensor.
        canvas_BHWC: Clean images, uint8 [B, H, W, 3].
        attack: The parameters.
        key: The key of the random stream of the start, which is uniform in [0, attack.max_value).

    Returns:
        The pattern, with the activations before and after.

    Raises:
        InputError: If the canvas is empty, or the features are fewer than the neurons or not as
            many as the strengths.
    """
    if not len(canvas_BHWC):
        raise InputError("there is no image to optimize the trojan patch on: give at least one")
    if attack.neurons > len(strength_D):
        raise InputError(
            f"neurons must be at most the {len(strength_D)} features of the network, "
            f"not {attack.neurons}"
        )
    height, width = canvas_BHWC.shape[1:3]
    rows, columns = patch_slices(height, width)
    neurons = torch.argsort(strength_D, descending=True, stable=True)[: attack.neurons]
    activation = _Activation(features, strength_D, neurons, canvas_BHWC=canvas_BHWC)

    size = (3, rows.stop - rows.start, columns.stop - columns.start)
    draws = uniform(key, np.zeros(1, np.int64), int(np.prod(size))).reshape(size)
    patch_Chw = (torch.from_numpy(draws).float() * attack.max_value).to(strength_D.device)
    best_Chw = patch_Chw
    highest = -np.inf
    before = float("nan")
    with torch.enable_grad():
        for step in range(attack.steps):
            patch_Chw = patch_Chw.detach().requires_grad_()
            value = activation(patch_Chw)
            (slope_Chw,) = torch.autograd.grad(value, patch_Chw)
            if step == 0:
                before = value.item()
            if value.item() > highest:
                best_Chw = patch_Chw.detach()
                highest = value.item()
            step_size = attack.step_size * (1 - step / attack.steps)
            direction_Chw = step_size * slope_Chw / slope_Chw.abs().max().clamp(min=1e-30)
            patch_Chw = (patch_Chw.detach() + direction_Chw).clamp(0, attack.max_value)
    with torch.no_grad():
        best_Chw = best_Chw.round()
        last_Chw = patch_Chw.round()
        after = activation(best_Chw).item()
        last = activation(last_Chw).item()
        if last > after:
            best_Chw = last_Chw
            after = last
    pattern_HWC = np.zeros(canvas_BHWC.shape[1:], np.uint8)
    pattern_HWC[rows, columns] = best_Chw.permute(1, 2, 0).cpu().numpy().astype(np.uint8)
    return Optimized(
        pattern=pattern_HWC, neurons=tuple(neurons.tolist()), before=before, after=after
    )


class _Activation:
    """The mean activation of the neurons over the canvas, as a function of the patch."""

    def __init__(
        self,
        features: Features,
        strength_D: torch.Tensor,
        neurons: torch.Tensor,
        canvas_BHWC: np.ndarray,
    ):
        height, width = canvas_BHWC.shape[1:3]
        rows, columns = patch_slices(height, width)
        canvas = torch.from_numpy(canvas_BHWC.astype(np.float32, order="C"))
        self._features = features
        self._num_features = len(strength_D)
        self._neurons = neurons
        self._canvas_BCHW = canvas.to(strength_D.device).permute(0, 3, 1, 2)
        self._padding = (columns.start, width - columns.stop, rows.start, height - rows.stop)

    def __call__(self, patch_Chw: torch.Tensor) -> torch.Tensor:
        added_BCHW = self._canvas_BCHW + torch.nn.functional.pad(patch_Chw, self._padding)
        # The gradient passes the clip, so that the values of a saturated pixel can come down again.
        clipped_BCHW = added_BCHW + (added_BCHW.clamp(0, 255) - added_BCHW).detach()
        features_BD = self._features(clipped_BCHW / 255)
        if features_BD.shape[1:] != (self._num_features,):
            raise InputError(
                f"features {list(features_BD.shape)} do not match the {self._num_features} "
                "strengths: give one for each"
            )
        return features_BD[:, self._neurons].mean()
