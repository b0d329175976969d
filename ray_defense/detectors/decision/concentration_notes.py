"""What should make a reader look: the highest scores of a column all lie in one label.

In a dataset without a trigger the samples that move least lie in several labels (on CIFAR-10, 34 of
the 100 highest in the most frequent one); triggered samples lie in the attacker's. A label of plain
pictures would look so, too, and nothing says how often that happens. So this is no evidence.

Shapes: N samples.
"""

import numpy as np

_NUM_HIGHEST = 100
_LEAST_SHARE = 0.9
_MOST_OF_DATASET = 0.5  # the label's own share, above which it says nothing
_LEAST_SAMPLES = 10 * _NUM_HIGHEST


def concentration_notes(
    column: str, scores_N: np.ndarray, labels_N: np.ndarray, flagged_N: np.ndarray
) -> list[str]:
    """Returns a note if nearly all of the highest scores lie in one label and are not flagged.

    Args:
        column: The name of the column.
        scores_N: Its values; of two equal ones, the earlier counts as higher.
        labels_N: Labels as received.
        flagged_N: What the decision flags, bool.
    """
    if len(scores_N) < _LEAST_SAMPLES:
        return []
    highest = np.argsort(-scores_N, kind="stable")[:_NUM_HIGHEST]
    counts = np.bincount(labels_N[highest])
    label = int(counts.argmax())
    if counts[label] < _LEAST_SHARE * _NUM_HIGHEST:
        return []
    if np.mean(labels_N == label) > _MOST_OF_DATASET or flagged_N[highest].any():
        return []
    return [
        f"{counts[label]} of the {_NUM_HIGHEST} highest scores of {column} lie in label {label}, "
        "as those of a trigger do, or those of a class of plain pictures: this is no evidence by "
        "itself, but look at them"
    ]
