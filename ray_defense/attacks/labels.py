"""Labels in and out of an attack: class numbers, int64 [N], checked where they enter."""

import numpy as np

from ray_defense.core.errors import InputError


def as_labels(labels: np.ndarray) -> np.ndarray:
    """Returns the labels as int64 [N].

    Raises:
        InputError: Unless the labels are non-negative integers in one dimension.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise InputError(
            f"labels must be integers [N], not {array.dtype} {list(array.shape)}: "
            "one class number an image"
        )
    if array.size and array.min() < 0:
        raise InputError(
            f"labels must not be negative, found {array.min()}: number the classes from 0"
        )
    return array.astype(np.int64)


def check_classes(labels: np.ndarray, num_classes: int) -> None:
    """Raises InputError unless every label is below `num_classes`."""
    if labels.size and labels.max() >= num_classes:
        raise InputError(
            f"label {labels.max()} is not below the {num_classes} classes: correct one or the other"
        )


def all_to_label(labels: np.ndarray, label: int, num_classes: int) -> np.ndarray:
    """Returns one label for every sample.

    Args:
        labels: The labels of the samples, int [N].
        label: The class that all of them become.
        num_classes: The number of classes.

    Returns:
        int64 [N], filled with `label`.

    Raises:
        InputError: Unless `label` and all labels are in [0, num_classes).
    """
    labels = as_labels(labels)
    check_classes(labels, num_classes)
    if not 0 <= label < num_classes:
        raise InputError(
            f"target class {label} is not one of the {num_classes} classes: "
            f"choose 0 to {num_classes - 1}"
        )
    return np.full_like(labels, label)
