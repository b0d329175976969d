"""Log-probabilities of classes in float64, each row by itself.

Shapes: B samples, N classes.
"""

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.scores.labeled_rows import check_labeled_rows


def log_softmax(
    logits_BN: np.ndarray, labels_B: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns log p(k|x) as float64 [B, N], log p(y|x) as float64 [B], and the labels as int64.

    Args:
        logits_BN: Finite logits.
        labels_B: Labels as received, int in [0, N).

    Raises:
        InputError: For other shapes, logits that are not finite, or a label that is no class.
    """
    logits_BN, labels_B = check_labeled_rows("logits", logits_BN, labels_B)
    num_classes = logits_BN.shape[1]
    if len(labels_B) and not 0 <= labels_B.min() <= labels_B.max() < num_classes:
        raise InputError(f"labels must lie in [0, {num_classes - 1}]: see {np.unique(labels_B)}")
    # Contiguous, so that the bits of a row do not depend on the batch it came in.
    logits_BN = np.ascontiguousarray(logits_BN, dtype=np.float64)
    labels_B = labels_B.astype(np.int64)
    shifted_BN = logits_BN - logits_BN.max(axis=1, keepdims=True)
    log_total_B1 = np.log(np.exp(shifted_BN).sum(axis=1, keepdims=True))
    log_probabilities_BN = shifted_BN - log_total_B1
    of_label_B = log_probabilities_BN[np.arange(len(labels_B)), labels_B]
    return log_probabilities_BN, of_label_B, labels_B
