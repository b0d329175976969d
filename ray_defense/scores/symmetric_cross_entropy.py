"""Symmetric cross-entropy, by which DBD parts clean from poisoned samples.

Sources: Wang et al., "Symmetric cross entropy for robust learning with noisy labels", ICCV 2019;
Huang et al., "Backdoor defense via decoupling the training process" (DBD), ICLR 2022. Shapes: B
samples, N classes.
"""

from typing import TYPE_CHECKING

import numpy as np

from ray_defense.scores.log_softmax import log_softmax

if TYPE_CHECKING:
    from torch import Tensor

_CROSS_ENTROPY_WEIGHT = 0.1
_REVERSE_WEIGHT = 1.0
_LOG_ZERO = -4.0


def symmetric_cross_entropy(logits_BN: np.ndarray, labels_B: np.ndarray) -> np.ndarray:
    """Returns 0.1 CE + 1 RCE of each sample.

    CE is -log p(y|x). RCE, the reverse, is `-sum_k p(k|x) log q(k)`, where q is 1 for the label and
    0 else, and log 0 counts as -4: so it is 4 (1 - p(y|x)).

    Two directions are in use. DBD scores with a classifier on a frozen extractor that never saw a
    label, takes the half with the lowest loss as clean, and so holds large losses suspicious. A
    model that learned the trigger has small losses on poisoned samples; there the score is minus
    this loss.

    Args:
        logits_BN: Finite logits.
        labels_B: Labels as received, int in [0, N).

    Returns:
        float64 [B], not negative.
    """
    _, of_label_B, _ = log_softmax(logits_BN, labels_B)
    cross_entropy_B = -of_label_B
    reverse_B = -_LOG_ZERO * -np.expm1(of_label_B)
    loss_B: np.ndarray = _CROSS_ENTROPY_WEIGHT * cross_entropy_B + _REVERSE_WEIGHT * reverse_B
    return loss_B


def symmetric_cross_entropy_loss(logits_BN: "Tensor", labels_B: "Tensor") -> "Tensor":
    """Returns the mean of 0.1 CE + 1 RCE over a batch, with a gradient.

    Args:
        logits_BN: The logits, float.
        labels_B: int64 labels in [0, N).
    """
    from torch.nn import functional

    cross_entropy_B = functional.cross_entropy(logits_BN, labels_B, reduction="none")
    reverse_B = -_LOG_ZERO * -(-cross_entropy_B).expm1()
    return (_CROSS_ENTROPY_WEIGHT * cross_entropy_B + _REVERSE_WEIGHT * reverse_B).mean()
