"""Labels that no classifier can be trained on are refused, and odd ones are noted."""

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.labels import check_accepted_labels, check_labels


def test_labels_are_accepted_up_to_one_percent_invalid():
    labels = np.tile(np.arange(4), 25)
    labels[0] = -1
    assert check_labels(labels, 4) == ()
    labels[1] = 4
    with pytest.raises(InputError, match="2 of 100"):
        check_labels(labels, 4)


def test_empty_classes_and_classes_of_one_are_noted():
    assert check_labels(np.array([0, 0, 2, 4, 4]), 5) == (
        "classes without a sample: 1, 3",
        "classes with a single sample: 2",
    )


@pytest.mark.parametrize("labels", [[], [3, 3, 3], [-1, 0]])
def test_no_class_or_one_class_is_refused(labels):
    with pytest.raises(InputError):
        check_labels(np.array(labels, dtype=np.int64), 5)


def test_accepted_samples_of_one_class_are_refused_and_lost_classes_are_noted():
    """Input row 11, counted over what decodes."""
    labels = np.array([0, 0, 1, 1, 2, -1, 7])
    assert check_accepted_labels(labels, np.arange(5), 4) == ()
    assert check_accepted_labels(labels, np.array([0, 2, 3]), 4) == (
        "classes of which no sample was accepted: 2",
    )
    with pytest.raises(InputError, match="every sample that was accepted has label 1"):
        check_accepted_labels(labels, np.array([2, 3]), 4)
