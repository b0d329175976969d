"""PGD: projected gradient ascent on cross-entropy, L-infinity (Madry et al., ICLR 2018)."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ray_defense.attacks.pixels import Overflow, to_uint8
from ray_defense.core.errors import InputError

Classifier = Callable[[torch.Tensor], torch.Tensor]
"""float [B, 3, H, W] in [0, 1] -> logits [B, N]."""


def adversarial_images(
    images_NHWC: np.ndarray,
    label: int,
    classifier: Classifier,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    overflow: Overflow = "clip",
) -> np.ndarray:
    """Returns images that the classifier is less ready to assign to a class.

    The attack is untargeted and starts at the image itself, not at a random point. Images pass
    one at a time, because the last bits of a gradient depend on the batch, and PGD takes its sign.

    Args:
        images_NHWC: The images, uint8 [N, H, W, 3].
        label: The class whose cross-entropy PGD maximizes.
        classifier: The network that is attacked.
        epsilon: The largest change of a pixel, gray levels.
        step_size: The change of a pixel in one step, gray levels.
        steps: The number of steps.
        overflow: With "wrap", pixels may leave [0, 255], and wrap round in the end (D5).

    Returns:
        uint8 [N, H, W, 3]; rounded values, which lie within the ball too.

    Raises:
        InputError: If `label` is not one of the classifier's classes.
    """
    result = images_NHWC.copy()
    reach = math.floor(epsilon)
    for position, image_HWC in enumerate(images_NHWC):
        moved_HWC = _ascend(
            image_HWC,
            label,
            classifier,
            epsilon=epsilon,
            step_size=step_size,
            steps=steps,
            overflow=overflow,
        )
        low_HWC = image_HWC.astype(np.int64) - reach
        high_HWC = image_HWC.astype(np.int64) + reach
        result[position] = to_uint8(np.clip(np.rint(moved_HWC), low_HWC, high_HWC), overflow)
    return result


def _ascend(
    image_HWC: np.ndarray,
    label: int,
    classifier: Classifier,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    overflow: Overflow,
) -> np.ndarray:
    image_CHW = image_HWC.transpose(2, 0, 1).astype(np.float32, order="C")
    start_BCHW = torch.from_numpy(image_CHW)[None]
    low_BCHW = start_BCHW - epsilon
    high_BCHW = start_BCHW + epsilon
    if overflow == "clip":
        low_BCHW = low_BCHW.clamp(min=0)
        high_BCHW = high_BCHW.clamp(max=255)
    moved_BCHW = start_BCHW
    for _ in range(steps):
        with torch.enable_grad():
            moved_BCHW = moved_BCHW.detach().requires_grad_()
            logits_BN = classifier(moved_BCHW / 255)
            num_classes = logits_BN.shape[1]
            if label >= num_classes:
                raise InputError(
                    f"target class {label} is not one of the surrogate's {num_classes} classes: "
                    "choose one of them"
                )
            loss = cross_entropy(logits_BN, torch.tensor([label], device=logits_BN.device))
            (slope_BCHW,) = torch.autograd.grad(loss, moved_BCHW)
        moved_BCHW = moved_BCHW.detach() + step_size * slope_BCHW.sign()
        moved_BCHW = moved_BCHW.clamp(low_BCHW, high_BCHW)
    moved_CHW: np.ndarray = moved_BCHW[0].numpy()
    return moved_CHW.transpose(1, 2, 0)
