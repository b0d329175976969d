"""Cross-entropy that learns or unlearns samples: MCE (Eq. 3), unlearning (Eq. 4), plain (Eq. 5).

Beside the paper: unlearning with a bound.

Shapes: B samples, N classes.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ray_defense.core.errors import InputError


def mixed_cross_entropy(
    logits_BN: Tensor,
    labels_B: Tensor,
    trusted_B: Tensor,
    flagged_B: Tensor,
    *,
    flagged_weight: float,
    num_trusted: int | None = None,
    num_flagged: int | None = None,
) -> Tensor:
    """Returns MCE, which learns the trusted samples and unlearns the flagged ones, Eq. (3).

    MCE is the mean over the trusted samples of -log p(y|x), plus `flagged_weight` times the mean
    over the samples flagged of log p(y|x). An empty set adds 0, never NaN.

    The means are the batch's, unless the sizes of both sets are given. Then the batch counts as
    drawn uniformly from the union of the sets, and the result estimates the means over the whole
    sets without bias (D9).

    Args:
        logits_BN: The logits.
        labels_B: int64 labels in [0, N).
        trusted_B: bool, which samples are trusted.
        flagged_B: bool, which samples are flagged; disjoint from `trusted_B`. Samples
            in neither set are left out.
        flagged_weight: lambda_p.
        num_trusted: How many samples the whole trusted set has.
        num_flagged: How many samples the whole flagged set has.

    Returns:
        A scalar.

    Raises:
        InputError: If only one size is given, or one is negative.
    """
    _check_set_sizes(num_trusted, num_flagged)
    loss_B = _negative_log_likelihood(logits_BN, labels_B)
    drawn_trusted = trusted_B.sum(dtype=loss_B.dtype)
    drawn_flagged = flagged_B.sum(dtype=loss_B.dtype)
    size_trusted = drawn_trusted
    size_flagged = drawn_flagged
    if num_trusted is not None and num_flagged is not None:
        size_trusted = torch.full_like(drawn_trusted, num_trusted)
        size_flagged = torch.full_like(drawn_flagged, num_flagged)
    # The scale is 1 if the means are the batch's.
    scale = (size_trusted + size_flagged) / (drawn_trusted + drawn_flagged).clamp(min=1)
    attract = (loss_B * trusted_B).sum() / size_trusted.clamp(min=1)
    repel = (loss_B * flagged_B).sum() / size_flagged.clamp(min=1)
    return scale * (attract - flagged_weight * repel)


def unlearning(logits_BN: Tensor, labels_B: Tensor) -> Tensor:
    """Returns the mean of log p(y|x) over a batch, which must not be empty, Eq. (4)."""
    return -_negative_log_likelihood(logits_BN, labels_B).mean()


def cross_entropy(logits_BN: Tensor, labels_B: Tensor) -> Tensor:
    """Returns the mean of -log p(y|x) over a batch, which must not be empty, Eq. (5)."""
    return _negative_log_likelihood(logits_BN, labels_B).mean()


def cross_entropy_to_uniform(logits_BN: Tensor, labels_B: Tensor) -> Tensor:
    """Returns the mean of -log p(c|x) over a batch and all classes c.

    It is the cross-entropy to a uniform distribution, which is bounded from below: unlearning by it
    ends where a model knows nothing of the samples. The labels are not looked at.
    """
    with torch.autocast(logits_BN.device.type, enabled=False):
        logits_BN = logits_BN.to(torch.promote_types(logits_BN.dtype, torch.float32))
        return -functional.log_softmax(logits_BN, dim=1).mean()


def _negative_log_likelihood(logits_BN: Tensor, labels_B: Tensor) -> Tensor:
    """Returns -log p(y|x) [B], in float32 at least, under autocast too."""
    with torch.autocast(logits_BN.device.type, enabled=False):
        logits_BN = logits_BN.to(torch.promote_types(logits_BN.dtype, torch.float32))
        return functional.cross_entropy(logits_BN, labels_B, reduction="none")


def _check_set_sizes(num_trusted: int | None, num_flagged: int | None) -> None:
    if num_trusted is None and num_flagged is None:
        return
    if num_trusted is not None and num_flagged is not None:
        if num_trusted >= 0 and num_flagged >= 0:
            return
    raise InputError(
        "give both set sizes, >= 0, or neither: "
        f"num_trusted={num_trusted}, num_flagged={num_flagged}"
    )
