"""Checks whether a classifier can be trained on the labels of a dataset at all."""

import numpy as np

from ray_defense.core.errors import InputError

# A larger fraction of invalid labels is a mistake in the dataset, not in a few samples.
MAX_INVALID_FRACTION = 0.01
_NUM_SHOWN = 10  # classes or values that a message names


def check_labels(labels: np.ndarray, num_classes: int) -> tuple[str, ...]:
    """Returns notes on classes that have no sample or only one.

    Args:
        labels: The labels of the training set as given, int64 [N].
        num_classes: Labels outside range(num_classes) are invalid.

    Raises:
        InputError: If there are no samples, if more than 1 % of the labels are invalid, or if the
            valid ones name one class only.
    """
    if len(labels) == 0:
        raise InputError("the training set has no samples: check the path of the source")
    valid = (labels >= 0) & (labels < num_classes)
    num_invalid = int(len(labels) - valid.sum())
    if num_invalid > MAX_INVALID_FRACTION * len(labels):
        examples = _first_few(np.unique(labels[~valid]))
        raise InputError(
            f"{num_invalid} of {len(labels)} labels are outside 0..{num_classes - 1}, such as "
            f"{examples} (-1 may be a missing or fractional one): correct them or num_classes"
        )
    counts = np.bincount(labels[valid], minlength=num_classes)
    if np.count_nonzero(counts) < 2:
        raise InputError(
            f"every sample has label {int(counts.argmax())}: "
            "a classifier needs at least two classes"
        )
    notes = []
    empty_classes = np.flatnonzero(counts == 0)
    if len(empty_classes):
        notes.append(f"classes without a sample: {_first_few(empty_classes)}")
    classes_of_one = np.flatnonzero(counts == 1)
    if len(classes_of_one):
        notes.append(f"classes with a single sample: {_first_few(classes_of_one)}")
    return tuple(notes)


def check_accepted_labels(
    labels: np.ndarray, accepted: np.ndarray, num_classes: int
) -> tuple[str, ...]:
    """Returns notes on classes of which samples were given and none was accepted.

    Args:
        labels: The labels of the training set as given, int64 [N].
        accepted: The positions of the samples that were accepted, int64 [M].
        num_classes: The number of classes.

    Raises:
        InputError: If the accepted samples are of one class only.
    """
    valid = (labels >= 0) & (labels < num_classes)
    given = np.bincount(labels[valid], minlength=num_classes)
    left = np.bincount(labels[accepted], minlength=num_classes)
    if np.count_nonzero(left) < 2:
        raise InputError(
            f"every sample that was accepted has label {int(left.argmax())}, the others were "
            "rejected: a classifier needs at least two classes"
        )
    lost_classes = np.flatnonzero((given > 0) & (left == 0))
    if not len(lost_classes):
        return ()
    return (f"classes of which no sample was accepted: {_first_few(lost_classes)}",)


def _first_few(values: np.ndarray) -> str:
    text = ", ".join(str(value) for value in values[:_NUM_SHOWN].tolist())
    if len(values) > _NUM_SHOWN:
        text += f" and {len(values) - _NUM_SHOWN} more"
    return text
