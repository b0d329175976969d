"""Checks of arrays with one row a sample, beside the label of each sample."""

import numpy as np

from ray_defense.core.errors import InputError


def check_labeled_rows(
    what: str, rows_MD: np.ndarray, labels_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows and labels as arrays that agree.

    Args:
        what: What the rows are, for the message ("features", "logits").
        rows_MD: Finite numbers [M, D].
        labels_M: Integers [M].

    Raises:
        InputError: For other shapes, or rows that are not finite.
    """
    rows_MD = np.asarray(rows_MD)
    labels_M = np.asarray(labels_M)
    if rows_MD.ndim != 2 or labels_M.shape != rows_MD.shape[:1]:
        shapes = f"{list(rows_MD.shape)} and {list(labels_M.shape)}"
        raise InputError(f"{what} and labels must be [M, D] and [M], not {shapes}")
    if not np.isfinite(rows_MD).all():
        row = int(np.flatnonzero(~np.isfinite(rows_MD).all(axis=1))[0])
        raise InputError(
            f"the {what} at position {row} are not finite: look for a diverged network"
        )
    return rows_MD, labels_M
