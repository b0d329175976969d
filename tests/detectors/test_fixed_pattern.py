"""Fixed patterns: a trigger that is its own mirror image is found; nothing is where none is."""

from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.pattern_finds import PatternRule, find_by_pattern
from ray_defense.detectors.fixed_pattern import FixedPattern
from ray_defense.detectors.pattern_detector import PatternSearch
from tests.support.cloudy_pictures import draw_pictures, with_cross
from tests.support.small_detectors import ingest_pictures

NUM_PICTURES = 800
NUM_LABELS = 4
POISONED = np.arange(1, NUM_PICTURES, 20)  # 40 of them, given label 0
DETECTORS = (FixedPattern(PatternSearch(exemplars=10)),)
RULE = PatternRule(rate=0.05, fewest=10)
LABELS = np.arange(NUM_PICTURES) % NUM_LABELS


def test_a_symmetric_trigger_is_found(tmp_path: Path) -> None:
    images = draw_pictures()
    images[POISONED] = with_cross(images[POISONED])
    labels = LABELS.copy()
    labels[POISONED] = 0
    pictures = ingest_pictures(tmp_path, images, labels, shard_size=400)
    columns = pictures.columns(DETECTORS, batch_size=100)
    finds = find_by_pattern(1 - columns["fixed_pattern_rarity"], labels, RULE)
    assert finds.labels == (0,)
    assert finds.flagged_N[POISONED].sum() >= 38
    assert finds.flagged_N.sum() - finds.flagged_N[POISONED].sum() <= 2
    assert pictures.metrics(DETECTORS, batch_size=100)["fixed_pattern"]["alikeness"] < 0.02


def test_nothing_is_found_in_pictures_without_one(tmp_path: Path) -> None:
    pictures = ingest_pictures(tmp_path, draw_pictures(), LABELS, shard_size=400)
    columns = pictures.columns(DETECTORS, batch_size=100)
    assert find_by_pattern(1 - columns["fixed_pattern_rarity"], LABELS, RULE).labels == ()


def test_labels_with_a_picture_of_their_own_are_alike(tmp_path: Path) -> None:
    images = draw_pictures()
    templates = draw_pictures()[:NUM_LABELS]
    alike = (0.5 * images + 0.5 * templates[LABELS]).astype(np.uint8)
    pictures = ingest_pictures(tmp_path, alike, LABELS, shard_size=400)
    assert pictures.metrics(DETECTORS, batch_size=100)["fixed_pattern"]["alikeness"] > 0.05


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"kept": 0}, {"shares": (0.7,)}, {"fewest": 1}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="search"):
        PatternSearch(**wrong)
