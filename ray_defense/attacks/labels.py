"""Labels in and out of an attack: class numbers, int64 [N], checked on entry."""

import numpy as np

from ray_defense.core.errors import Refused


def as_labels(labels: np.ndarray) -> np.ndarray:
    """Returns `labels` as int64 [N]; raises Refused unless they are non-negative integers in one dimension."""
    array = np.asarray(labels)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise Refused(f"labels must be integers [N], not {array.dtype} {list(array.shape)}: one class number an image")
    if array.size and array.min() < 0:
        raise Refused(f"labels must not be negative, found {array.min()}: number the classes from 0")
    return array.astype(np.int64)


def check_classes(labels: np.ndarray, num_classes: int) -> None:
    """Raises Refused unless every label is below `num_classes`."""
    if labels.size and labels.max() >= num_classes:
        raise Refused(f"label {labels.max()} is not below the {num_classes} classes: correct one or the other")


def all_to_target(labels: np.ndarray, target: int, num_classes: int) -> np.ndarray:
    """Returns int64 [N] filled with `target`; raises Refused unless it and the labels are below `num_classes`."""
    labels = as_labels(labels)
    check_classes(labels, num_classes)
    if not 0 <= target < num_classes:
        raise Refused(f"target {target} is not one of the {num_classes} classes: choose 0 to {num_classes - 1}")
    return np.full_like(labels, target)
