"""Cross-entropy that learns trusted and unlearns poisoned samples: MCE (Eq. 3), unlearn (Eq. 4), relearn (Eq. 5).

Shapes: B samples, N classes.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ray_defense.core.errors import Refused


def _negative_log_likelihood(logits_BN: Tensor, labels_B: Tensor) -> Tensor:
    with torch.autocast(logits_BN.device.type, enabled=False):
        logits_BN = logits_BN.to(torch.promote_types(logits_BN.dtype, torch.float32))
        return cross_entropy(logits_BN, labels_B, reduction="none")


def mixed_cross_entropy(
    logits_BN: Tensor,
    labels_B: Tensor,
    trusted_B: Tensor,
    poisoned_B: Tensor,
    *,
    poisoned_weight: float,
    num_trusted: int | None = None,
    num_poisoned: int | None = None,
) -> Tensor:
    """Returns the mean over trusted of -log p(y|x) plus `poisoned_weight` times the mean over poisoned of log p(y|x).

    trusted_B and poisoned_B are bool and disjoint; samples in neither count nowhere; an empty set adds 0, never NaN.
    Without set sizes the means are the batch's. With `num_trusted` and `num_poisoned` (both) the batch counts as drawn
    uniformly from the union of the sets and the result estimates the sets' means without bias (D9).
    Raises Refused when one size is missing or negative. Source: Eq. (3), lambda_p = `poisoned_weight`.
    """
    if (num_trusted is None) != (num_poisoned is None) or min(num_trusted or 0, num_poisoned or 0) < 0:
        raise Refused(f"give both set sizes, >= 0, or neither: num_trusted={num_trusted}, num_poisoned={num_poisoned}")
    loss_B = _negative_log_likelihood(logits_BN, labels_B)
    drawn_trusted, drawn_poisoned = trusted_B.sum(dtype=loss_B.dtype), poisoned_B.sum(dtype=loss_B.dtype)
    size_trusted = drawn_trusted if num_trusted is None else torch.full_like(drawn_trusted, num_trusted)
    size_poisoned = drawn_poisoned if num_poisoned is None else torch.full_like(drawn_poisoned, num_poisoned)
    scale = (size_trusted + size_poisoned) / (drawn_trusted + drawn_poisoned).clamp(min=1)  # 1 for the batch's means
    attract = (loss_B * trusted_B).sum() / size_trusted.clamp(min=1)
    repel = (loss_B * poisoned_B).sum() / size_poisoned.clamp(min=1)
    return scale * (attract - poisoned_weight * repel)


def unlearning(logits_BN: Tensor, labels_B: Tensor) -> Tensor:
    """Returns the mean of log p(y|x), Eq. (4), of a batch of poisoned samples (not empty)."""
    return -_negative_log_likelihood(logits_BN, labels_B).mean()


def relearning(logits_BN: Tensor, labels_B: Tensor) -> Tensor:
    """Returns the mean of -log p(y|x), Eq. (5), of a batch of trusted samples (not empty)."""
    return _negative_log_likelihood(logits_BN, labels_B).mean()
