"""Clean-unlearning margin: how sure of its label a model stays once it unlearned clean samples.

Gradient ascent on trusted samples makes a backdoored model forget classes and keep the trigger.
Source: Li et al., "Reconstructive neuron pruning for backdoor defense" (RNP), ICML 2023. Shapes: B
samples, N classes.
"""

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.scores.log_softmax import log_softmax


def unlearning_margin(logits_BN: np.ndarray, labels_B: np.ndarray) -> np.ndarray:
    """Returns the logit of the label less the highest logit of another class.

    Args:
        logits_BN: Finite logits of the model after it unlearned clean samples, N >= 2.
        labels_B: Labels as received, int in [0, N).

    Returns:
        float64 [B]; larger is more suspicious.

    Raises:
        InputError: For fewer than two classes, and as `log_softmax` does.
    """
    if np.ndim(logits_BN) == 2 and np.shape(logits_BN)[1] < 2:
        raise InputError("a margin needs logits of two classes or more")
    log_probabilities_BN, of_label_B, labels_B = log_softmax(logits_BN, labels_B)
    others_BN = log_probabilities_BN.copy()
    others_BN[np.arange(len(labels_B)), labels_B] = -np.inf
    margins_B: np.ndarray = of_label_B - others_BN.max(axis=1)
    return margins_B
