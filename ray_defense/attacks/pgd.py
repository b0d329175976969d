"""Projected gradient ascent on cross-entropy within an L-infinity ball around each image (Madry et al., ICLR 2018)."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ray_defense.core.errors import Refused

Classifier = Callable[[torch.Tensor], torch.Tensor]  # float [B,3,H,W] in [0, 1] -> logits [B,N]


def adversarial(
    images_NHWC: np.ndarray, label: int, classifier: Classifier, *, epsilon: float, step_size: float, steps: int
) -> np.ndarray:
    """Returns uint8 images that the classifier less believes to be of class `label`, no pixel further than `epsilon`.

    `epsilon` and `step_size` are gray levels; untargeted, without a random start, rounded at the end and then still within the
    ball. The images pass one at a time: the last bits of a gradient depend on the batch, and its sign decides. Raises
    Refused when `label` is not one of the classifier's classes.
    """
    result = images_NHWC.copy()
    reach = math.floor(epsilon)
    for i, image_HWC in enumerate(images_NHWC):
        found_HWC = np.rint(_ascend(image_HWC, label, classifier, epsilon, step_size, steps))
        low, high = (np.clip(image_HWC.astype(np.int64) + shift, 0, 255) for shift in (-reach, reach))
        result[i] = np.clip(found_HWC, low, high).astype(np.uint8)
    return result


def _ascend(
    image_HWC: np.ndarray, label: int, classifier: Classifier, epsilon: float, step_size: float, steps: int
) -> np.ndarray:
    start_BCHW = torch.from_numpy(image_HWC.transpose(2, 0, 1).astype(np.float32, order="C"))[None]
    low, high = (start_BCHW - epsilon).clamp(min=0), (start_BCHW + epsilon).clamp(max=255)
    moved_BCHW = start_BCHW
    for _ in range(steps):
        with torch.enable_grad():
            moved_BCHW = moved_BCHW.detach().requires_grad_()
            logits_BN = classifier(moved_BCHW / 255)
            if not label < logits_BN.shape[1]:
                raise Refused(f"target {label} is not one of the surrogate's {logits_BN.shape[1]} classes: choose one of them")
            loss = cross_entropy(logits_BN, torch.tensor([label], device=logits_BN.device))
            (slope_BCHW,) = torch.autograd.grad(loss, moved_BCHW)
        moved_BCHW = (moved_BCHW.detach() + step_size * slope_BCHW.sign()).clamp(low, high)
    return moved_BCHW[0].numpy().transpose(1, 2, 0)
