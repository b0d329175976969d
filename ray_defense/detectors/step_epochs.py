"""Epochs of trainings that are as long for small datasets as for large ones: counted in steps."""

from math import ceil

STEPS_AN_EPOCH = 100  # a checkpoint is kept after each


def num_epochs_of(steps: int) -> int:
    """Returns how many epochs some steps make; the last one may be shorter."""
    return ceil(steps / STEPS_AN_EPOCH)
