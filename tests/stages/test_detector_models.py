"""The models that detectors need, planned as steps: shared where they are the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.fct_draws import FctBackdoored, FctDraws
from ray_defense.detectors.grow import Grow
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.protocol import Detector
from ray_defense.detectors.required_models import Probe
from ray_defense.detectors.spectral_signatures import SpectralSignatures
from ray_defense.stages.detect import DetectConfig, PlannedDetection, plan_detection
from ray_defense.stages.detector_models import RecipeModels, plan_models
from tests.support import blobs
from tests.support.small_detectors import Pictures, ingest_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    index = np.arange(8)
    root = tmp_path_factory.mktemp("pictures")
    return ingest_pictures(root, blobs.draw_blobs(index), blobs.labels_of(index))


def plan(pictures: Pictures, *detectors: Detector) -> PlannedDetection:
    return pictures.plan(DetectConfig(detectors, batch_size=4, block_size=4))


def test_a_plan_trains_what_its_detectors_need_and_nothing_else(pictures: Pictures) -> None:
    assert list(plan(pictures, Fct()).steps) == ["probe", "evidence"]
    of_mirror = ["mirror_fold_0", "mirror_fold_1", "evidence"]
    assert list(plan(pictures, Mirror()).steps) == of_mirror
    assert list(plan(pictures, FctBackdoored()).steps) == ["backdoored", "evidence"]


def test_detectors_that_read_the_same_probe_share_its_step(pictures: Pictures) -> None:
    shared = plan(pictures, FctDraws(), SpectralSignatures())
    assert list(shared.steps) == ["probe_cross_entropy", "evidence"]


def test_without_l_intra_both_probes_are_one(pictures: Pictures) -> None:
    plain = replace(pictures, probe=replace(pictures.probe, intra_epochs=0))
    both = plan(plain, Fct(), FctDraws())
    assert list(both.steps) == ["probe", "evidence"]
    shared = RecipeModels(plain.probe, None)
    models = plan_models(
        [Probe(), Probe(intra=False)], plain.suspect, shared, context=plain.context
    )
    assert models[Probe()].weights == models[Probe(intra=False)].weights


def test_a_detector_of_the_backdoored_model_is_refused_without_one(pictures: Pictures) -> None:
    config = DetectConfig((FctBackdoored(),))
    shared = RecipeModels(pictures.probe, None)
    with pytest.raises(InputError, match="the recipe has none: set backdoored"):
        plan_detection(config, pictures.suspect, shared, pictures.context)


def test_a_detector_must_come_after_the_one_that_it_follows() -> None:
    for detectors in ((Grow(),), (Grow(), Mirror())):
        with pytest.raises(InputError, match="name mirror before it in detect.detectors"):
            DetectConfig(detectors)


def test_each_round_learns_from_the_evidence_of_the_round_before(pictures: Pictures) -> None:
    planned = plan(pictures, Mirror(), Grow(rounds=2, num_bands=0))
    networks = [f"grow_{number}_fold_{fold}" for number in (1, 2) for fold in range(3)]
    of_mirror = ["mirror_fold_0", "mirror_fold_1", "evidence"]
    expected = [*of_mirror, *networks[:3], "grow_1", *networks[3:], "grow_2"]
    assert list(planned.steps) == expected
    assert planned.evidence is planned.steps["grow_2"]
    for stage, former in (("grow_1_fold_0", "evidence"), ("grow_2_fold_0", "grow_1")):
        assert planned.steps[former] in planned.steps[stage].needs
    assert planned.steps["grow_1"] in planned.evidence.needs


def test_the_evidence_that_growing_starts_from_is_that_of_a_recipe_without_it(
    pictures: Pictures,
) -> None:
    alone = plan(pictures, Mirror())
    followed = plan(pictures, Mirror(), Grow())
    assert followed.steps["evidence"].key == alone.evidence.key
    assert followed.evidence.key != alone.evidence.key


def test_settings_of_a_detector_change_its_own_networks_alone(pictures: Pictures) -> None:
    before = plan(pictures, Mirror(), FctDraws())
    noisy = Mirror(replace(Mirror().training, noise=4.0))
    after = plan(pictures, noisy, FctDraws())
    changed = [stage for stage in before.steps if before.steps[stage].key != after.steps[stage].key]
    assert changed == ["mirror_fold_0", "mirror_fold_1", "evidence"]


def test_planning_makes_nothing(pictures: Pictures, tmp_path: Path) -> None:
    planned = plan(pictures.in_store(tmp_path), Mirror(), Grow())
    assert not any(step.artifact.exists for step in planned.steps.values())
