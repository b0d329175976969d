"""The clean share: how it is chosen, and that its images are those of the source."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ray_defense.attacks.badnets import BadNets
from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.data.sources.digits import Digits
from ray_defense.defenses.ft import FineTuning
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.validate import check_recipe
from ray_defense.stages.clean_share import (
    CLEAN_SHARE,
    CleanShareConfig,
    choose_clean_samples,
    clean_share_step,
)
from ray_defense.stages.ingest import IngestConfig
from ray_defense.store.artifacts import Store
from tests.support.noise import read_all, write_noise
from tests.support.steps import make_step, plan_context

LABELS = np.array([0, 1, 2, -1] * 50 + [1] * 100)


@pytest.mark.parametrize(("fraction", "of_each"), [(0.0, 1), (0.01, 1), (0.1, 10), (1.0, 50)])
def test_every_class_gives_equally_many_samples_as_far_as_it_has_them(fraction, of_each):
    chosen = choose_clean_samples(LABELS, 3, fraction, key=4)
    counts = np.bincount(LABELS[chosen], minlength=3)
    assert counts.tolist() == [of_each, min(150, int(fraction * 300 // 3) or 1), of_each]
    assert (np.diff(chosen) > 0).all()


def test_the_choice_is_a_function_of_its_key_and_grows_with_the_fraction():
    few = choose_clean_samples(LABELS, 3, 0.05, key=4)
    assert np.array_equal(few, choose_clean_samples(LABELS, 3, 0.05, key=4))
    assert not np.array_equal(few, choose_clean_samples(LABELS, 3, 0.05, key=5))
    assert set(few) <= set(choose_clean_samples(LABELS, 3, 0.1, key=4))


def test_a_source_without_a_sample_of_some_class_gives_the_others():
    chosen = choose_clean_samples(np.array([0, 0, 2, 2]), 3, 0.5, key=0)
    assert len(chosen) == 2


def test_the_images_and_labels_are_those_of_the_source(tmp_path: Path):
    context = plan_context(tmp_path / "store")
    step = clean_share_step(CleanShareConfig(0.02), IngestConfig(400), Digits(), context)
    dataset, images = read_all(make_step(step, context))
    source = Digits().read("train", 0, len(Digits().labels("train")))
    assert np.array_equal(images, source.images[dataset.index])
    assert np.array_equal(dataset.labels, source.labels[dataset.index])
    assert np.bincount(dataset.labels).tolist() == [len(dataset.index) // 10] * 10
    assert dataset.num_classes == 10


def test_a_chosen_image_that_cannot_be_read_is_left_out(tmp_path: Path):
    source = write_noise(tmp_path / "train.parquet", {7: b"no image"}, count=12)
    context = plan_context(tmp_path / "store")
    step = clean_share_step(CleanShareConfig(1.0), IngestConfig(5), source, context)
    dataset, _ = read_all(make_step(step, context))
    assert dataset.index.tolist() == [index for index in range(12) if index != 7]


def test_another_seed_gives_another_share_and_another_place(tmp_path: Path):
    steps = []
    for seed in (0, 1):
        context = plan_context(tmp_path, seed)
        steps.append(clean_share_step(CleanShareConfig(), IngestConfig(), Digits(), context))
    assert steps[0].key != steps[1].key


def test_a_plan_has_the_clean_share_only_where_a_defense_takes_it(tmp_path: Path):
    recipe = replace(named_recipe("digits_badnets"), defenses=(FineTuning(),))
    plan = plan_recipe(recipe, Store(tmp_path))
    assert list(plan.steps())[-4:] == ["backdoored", CLEAN_SHARE, "ft", "evaluation"]
    assert CLEAN_SHARE not in plan.steps("split")
    trusting = plan_recipe(override(recipe, "ft.clean", "trusted"), Store(tmp_path))
    assert CLEAN_SHARE not in trusting.steps()
    larger = plan_recipe(override(recipe, "clean.fraction", 0.05), Store(tmp_path))
    assert larger.defenses["ft"].key != plan.defenses["ft"].key


def test_of_a_source_that_nobody_poisons_for_us_no_image_is_known_as_clean():
    recipe = replace(named_recipe("digits_badnets"), defenses=(FineTuning(),))
    assert isinstance(recipe.attack, BadNets)
    check_recipe(recipe)
    unknown = override(recipe, "attack", "none")
    with pytest.raises(InputError, match="ft needs clean images.*set ft.clean=trusted"):
        check_recipe(unknown)
    check_recipe(override(unknown, "ft.clean", "trusted"))
