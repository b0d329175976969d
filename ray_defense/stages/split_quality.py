"""How well scores and a split tell poisoned from clean samples, against the truth."""

import numpy as np


def split_quality(
    scores: np.ndarray, part: np.ndarray, poisoned: np.ndarray | None
) -> dict[str, float | None]:
    """Returns the AUROC of the scores and the precision of two parts of the split.

    Args:
        scores: float64 [N], larger is more suspicious.
        part: The part that each sample is in, str [N].
        poisoned: The truth, bool [N]; None where nobody knows it.

    Returns:
        `auroc`, `trusted_precision` (clean among the trusted) and `flagged_precision` (poisoned
        among the flagged); None without a truth, or for an empty part.
    """
    quality: dict[str, float | None] = {
        "auroc": None,
        "trusted_precision": None,
        "flagged_precision": None,
    }
    if poisoned is None:
        return quality
    if poisoned.any() and not poisoned.all():
        # Its import takes a second and draws from Python's global generator.
        from sklearn.metrics import roc_auc_score

        quality["auroc"] = float(roc_auc_score(poisoned, scores))
    is_trusted = part == "trusted"
    if is_trusted.any():
        quality["trusted_precision"] = float((~poisoned[is_trusted]).mean())
    is_flagged = part == "flagged"
    if is_flagged.any():
        quality["flagged_precision"] = float(poisoned[is_flagged].mean())
    return quality
