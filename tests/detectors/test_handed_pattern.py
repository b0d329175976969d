"""Handed patterns: a trigger in all labels alike is found; one that is its own mirror image is not.

Shapes: N samples, B of them, D values of local contrast, P filters.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from ray_defense.detectors.decision.pattern_finds import PatternRule, find_over_all
from ray_defense.detectors.handed_pattern import HandedPattern, HandedSearch
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.local_contrast import LocalContrast
from tests.support.cloudy_pictures import draw_pictures, with_corner, with_cross, with_line
from tests.support.small_detectors import ingest_pictures

NUM_PICTURES = 800
POISONED = np.arange(1, NUM_PICTURES, 20)  # 40 of them, in four labels
DETECTORS = (HandedPattern(HandedSearch(exemplars=10, shares=(0.02, 0.05), min_enrichment=4)),)
RULE = PatternRule(rate=0.05, fewest=10)
LABELS = (np.arange(NUM_PICTURES) // 20) % 4


def test_a_trigger_in_all_labels_alike_is_found(tmp_path: Path) -> None:
    images = draw_pictures(NUM_PICTURES)
    images[POISONED] = with_corner(images[POISONED])
    pictures = ingest_pictures(tmp_path, images, LABELS, shard_size=400)
    columns = pictures.columns(DETECTORS, batch_size=100)
    finds = find_over_all(1 - columns["handed_pattern_rarity"], LABELS, RULE)
    assert finds.labels == (0, 1, 2, 3)
    assert finds.flagged_N[POISONED].sum() >= 38
    assert finds.flagged_N.sum() - finds.flagged_N[POISONED].sum() <= 2


def test_two_triggers_are_found_one_after_the_other(tmp_path: Path) -> None:
    images = draw_pictures(NUM_PICTURES)
    images[POISONED] = with_corner(images[POISONED])
    others = POISONED + 3
    images[others] = with_line(images[others])
    pictures = ingest_pictures(tmp_path, images, LABELS, shard_size=400)
    columns = pictures.columns(DETECTORS, batch_size=100)
    finds = find_over_all(1 - columns["handed_pattern_rarity"], LABELS, RULE)
    assert finds.flagged_N[POISONED].sum() >= 37
    assert finds.flagged_N[others].sum() >= 37
    assert finds.flagged_N.sum() <= 83


def test_nothing_is_found_where_mirror_images_have_it_too(tmp_path: Path) -> None:
    images = draw_pictures(NUM_PICTURES)
    images[POISONED] = with_cross(images[POISONED])
    for name, shown in (("clean", draw_pictures(NUM_PICTURES)), ("symmetric", images)):
        pictures = ingest_pictures(tmp_path / name, shown, LABELS, shard_size=400)
        columns = pictures.columns(DETECTORS, batch_size=100)
        finds = find_over_all(1 - columns["handed_pattern_rarity"], LABELS, RULE)
        assert not finds.flagged_N.any(), name


def test_the_second_filter_gives_what_the_first_gives_to_the_mirror_image(tmp_path: Path) -> None:
    images = draw_pictures(NUM_PICTURES)
    images[POISONED] = with_corner(images[POISONED])
    pictures = ingest_pictures(tmp_path, images, LABELS, shard_size=400)
    pictures.columns(DETECTORS, batch_size=100)
    (directory,) = (pictures.context.store.root / "handed_pattern_fold_0").glob("*/")
    state = load_file(directory / WEIGHTS)
    filters_PD, bias_P = state["classifier.weight"], state["classifier.bias"]
    images_BCHW = torch.from_numpy(images[:50]).permute(0, 3, 1, 2).float() / 255
    contrast = LocalContrast()
    scores_BP = contrast(images_BCHW) @ filters_PD.T + bias_P
    mirrored_BP = contrast(images_BCHW.flip(3)) @ filters_PD.T + bias_P
    assert float(filters_PD[0].abs().max()) > 0
    torch.testing.assert_close(scores_BP[:, 1::2], mirrored_BP[:, 0::2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(scores_BP[:, 0::2], mirrored_BP[:, 1::2], rtol=1e-3, atol=1e-3)
