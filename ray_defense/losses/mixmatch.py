"""MixMatch: guessed labels are sharpened, samples are mixed, two losses are added.

Source: Berthelot et al., "MixMatch: a holistic approach to semi-supervised learning", NeurIPS 2019.
Shapes: B samples, N classes.
"""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax


def sharpen(probabilities_BN: Tensor, temperature: float) -> Tensor:
    """Returns p^(1/T) / sum of p^(1/T), Eq. (7); T above 0, below 1 makes the largest larger."""
    powered_BN = probabilities_BN.pow(1 / temperature)
    return powered_BN / powered_BN.sum(dim=1, keepdim=True)


def mix_up(values: Tensor, order_B: Tensor, share: float) -> Tensor:
    """Returns share * values + (1 - share) * values[order], Eq. (8) to (11).

    Args:
        values: [B, ...]: images, or their targets.
        order_B: A permutation of the samples.
        share: lambda', in [0.5, 1], so that each sample stays the larger part of itself.
    """
    return share * values + (1 - share) * values[order_B]


def mixmatch_losses(
    labeled_BN: Tensor, targets_BN: Tensor, unlabeled_UN: Tensor, guesses_UN: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns both losses, Eq. (3) and (4).

    The first is the cross-entropy of the labeled samples to their targets, the second the mean over
    unlabeled samples and classes of the squared difference of probability and guess.

    Args:
        labeled_BN: Logits.
        targets_BN: Distributions over the classes.
        unlabeled_UN: Logits of U samples.
        guesses_UN: Distributions over the classes.
    """
    labeled = -(targets_BN * log_softmax(labeled_BN, dim=1)).sum(dim=1).mean()
    unlabeled = (torch.softmax(unlabeled_UN, dim=1) - guesses_UN).square().mean()
    return labeled, unlabeled


def ramp_up(weight: float, position: float, epochs: int) -> float:
    """Returns the weight of the second loss, which rises linearly from 0 over all epochs.

    Args:
        weight: lambda_u, at the end.
        position: How far the training is, in epochs.
        epochs: How long it is.
    """
    return weight * min(1.0, max(0.0, position / epochs))
