"""Local gradient ascent of ABL: a loss that holds clean samples up, and the score it leaves.

Source: Li et al., "Anti-backdoor learning: training clean models on poisoned data" (ABL), NeurIPS
2021; flooding: Ishida et al., ICML 2020. Shapes: B samples, N classes.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

from ray_defense.core.errors import unknown_name
from ray_defense.scores.log_softmax import log_softmax

if TYPE_CHECKING:
    from torch import Tensor

AscentVariant = Literal["sign", "flooding"]


def local_gradient_ascent_loss(
    logits_BN: "Tensor",
    labels_B: "Tensor",
    gamma: float = 0.5,
    variant: AscentVariant = "sign",
) -> "Tensor":
    """Returns a loss to minimize that does not fall below gamma on clean samples.

    Args:
        logits_BN: The logits, float.
        labels_B: int64 labels in [0, N).
        gamma: Where the loss is to stay.
        variant: "sign", the mean over samples of `sign(CE - gamma) * CE`, Eq. (3) of the paper
            (its code takes the sign of the batch's mean); or "flooding", `|mean CE - gamma| +
            gamma`.

    Returns:
        A scalar with a gradient.

    Raises:
        InputError: For another variant.
    """
    from torch.nn import functional

    if variant not in ("sign", "flooding"):
        raise unknown_name("variant", variant, ("sign", "flooding"))
    if variant == "flooding":
        mean = functional.cross_entropy(logits_BN, labels_B)
        return (mean - gamma).abs() + gamma
    loss_B = functional.cross_entropy(logits_BN, labels_B, reduction="none")
    sign_B = (loss_B.detach() - gamma).sign()
    return (sign_B * loss_B).mean()


def minus_loss(logits_BN: np.ndarray, labels_B: np.ndarray) -> np.ndarray:
    """Returns minus the cross-entropy of each sample, after training with local gradient ascent.

    Poisoned samples keep the smallest loss; ABL isolates the 1 % of samples with the smallest.

    Args:
        logits_BN: Finite logits.
        labels_B: Labels as received, int in [0, N).

    Returns:
        float64 [B], at most 0; larger is more suspicious.
    """
    _, of_label_B, _ = log_softmax(logits_BN, labels_B)
    return of_label_B
