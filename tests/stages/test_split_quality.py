"""The quality of scores and a split against the truth: AUROC and two precisions."""

import numpy as np
import pytest

from ray_defense.stages.split_quality import split_quality

NOTHING = {"auroc": None, "trusted_precision": None, "flagged_precision": None}


def quality(
    scores: list[float], part: list[str], poisoned: list[bool] | None
) -> dict[str, float | None]:
    truth = None if poisoned is None else np.array(poisoned)
    return split_quality(np.array(scores), np.array(part), truth)


def test_the_quality_of_a_split_is_auroc_and_two_precisions():
    part = ["trusted", "trusted", "uncertain", "uncertain", "flagged"]
    poisoned = [False, True, False, False, True]
    # The scores of every poisoned sample against those of every clean sample.
    pairs = [(0.2, 0.1), (0.2, 0.3), (0.2, 0.4), (0.5, 0.1), (0.5, 0.3), (0.5, 0.4)]
    auroc = np.mean([of_poisoned > of_clean for of_poisoned, of_clean in pairs])
    expected = {"auroc": auroc, "trusted_precision": 0.5, "flagged_precision": 1.0}
    assert quality([0.1, 0.2, 0.3, 0.4, 0.5], part, poisoned) == pytest.approx(expected)


def test_the_quality_is_unknown_without_truth_poison_or_members():
    scores = [0.1, 0.2]
    assert quality(scores, ["trusted", "flagged"], None) == NOTHING
    clean = quality(scores, ["trusted", "flagged"], [False, False])
    assert clean == {"auroc": None, "trusted_precision": 1.0, "flagged_precision": 0.0}
    no_members = quality(scores, ["uncertain", "uncertain"], [False, True])
    assert no_members == {**NOTHING, "auroc": 1.0}
