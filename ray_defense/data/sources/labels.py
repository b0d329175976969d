"""Whether the labels of a dataset can be worked with at all."""

import numpy as np

from ray_defense.core.errors import Refused

MAX_INVALID_FRACTION = 0.01  # above it the mistake is in the dataset, not in a few samples
_SHOWN = 10  # classes or values named in a message


def check_labels(labels: np.ndarray, num_classes: int) -> tuple[str, ...]:
    """Returns notes on empty classes and classes of one; `labels` is int64 [N].

    Raises Refused without samples, with more than 1 % of the labels outside range(num_classes), or with one class only.
    """
    if len(labels) == 0:
        raise Refused("the training set has no samples: check the path of the source")
    valid = (labels >= 0) & (labels < num_classes)
    num_invalid = int(len(labels) - valid.sum())
    if num_invalid > MAX_INVALID_FRACTION * len(labels):
        raise Refused(
            f"{num_invalid} of {len(labels)} labels are outside 0..{num_classes - 1}, such as "
            f"{_some(np.unique(labels[~valid]))} (-1 may be a missing or fractional one): correct them or num_classes"
        )
    counts = np.bincount(labels[valid], minlength=num_classes)
    if np.count_nonzero(counts) < 2:
        raise Refused(f"every sample has label {int(counts.argmax())}: a classifier needs at least two classes")
    found = (("without a sample", np.flatnonzero(counts == 0)), ("with a single sample", np.flatnonzero(counts == 1)))
    return tuple(f"classes {what}: {_some(classes)}" for what, classes in found if len(classes))


def _some(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN].tolist())
    return shown + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")
