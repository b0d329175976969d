"""How many samples of each class are flagged, and how odd that is: a hypergeometric test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassCount:
    """The samples of one class.

    Attributes:
        label: The number of the class.
        name: The name of the class.
        num_samples: How many it has.
        num_flagged: How many of them are flagged.
        share: The flagged of its samples, in [0, 1]; None for a class without samples.
        expected: How many would be flagged if the flagged lay evenly over all samples.
        p_value: The probability that chance alone gives this class so many flagged or more.
    """

    label: int
    name: str
    num_samples: int
    num_flagged: int
    share: float | None
    expected: float
    p_value: float


def count_by_class(
    labels: np.ndarray, flagged: np.ndarray, class_names: Sequence[str]
) -> list[ClassCount]:
    """Returns the counts of every class, the one with the smallest p-value first.

    If the flagged were drawn from all samples without looking at the class, their number in a class
    would be hypergeometric. The p-values are of one class each; nothing corrects for their number.

    Args:
        labels: The label of each sample, int64 [N], each in [0, number of classes).
        flagged: Which samples are flagged, bool [N].
        class_names: The name of each class.
    """
    from scipy.stats import hypergeom

    num_samples = np.bincount(labels, minlength=len(class_names))
    num_flagged = np.bincount(labels[flagged], minlength=len(class_names))
    total = len(labels)
    total_flagged = int(flagged.sum())
    # sf(k) is the probability of more than k.
    p_values = hypergeom.sf(num_flagged - 1, total, total_flagged, num_samples)
    counts = []
    for label, name in enumerate(class_names):
        size = int(num_samples[label])
        count = ClassCount(
            label=label,
            name=name,
            num_samples=size,
            num_flagged=int(num_flagged[label]),
            share=num_flagged[label] / size if size else None,
            expected=size * total_flagged / max(total, 1),
            p_value=min(float(p_values[label]), 1.0) if total else 1.0,
        )
        counts.append(count)
    return sorted(counts, key=lambda count: (count.p_value, -count.num_flagged, count.label))
