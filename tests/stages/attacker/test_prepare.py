"""What attacks need made: nothing, or a step of the right stage with the attacker's own seed."""

import numpy as np
import pytest
from PIL import Image

from ray_defense.attacks import ATTACKS
from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.label_consistent import LabelConsistent
from ray_defense.attacks.trojan import Trojan
from ray_defense.data.sources.digits import Digits
from ray_defense.stages.attacker.attacker_config import AttackerConfig
from ray_defense.stages.attacker.prepare import Preparation, prepare_attack
from ray_defense.stages.attacker.prepared_attack import PreparedAttack, eligible_samples
from ray_defense.stages.ingest import IngestConfig
from ray_defense.training.normalization import NO_NORMALIZATION
from tests.support.assets import random_images
from tests.support.noise import write_noise
from tests.support.steps import make_step, plan_context

REQUIRING_A_NETWORK = ("surrogate", "trojan_patch", "ssba_encoder")
WITH_ASSET = [name for name in ATTACKS if ATTACKS[name].requires is not None]


def prepare(attack, root, run_seed: int = 0, attacker_seed: int = 0) -> Preparation:
    return prepare_attack(
        attack,
        AttackerConfig(seed=attacker_seed),
        IngestConfig(),
        source=Digits(size=16),
        context=plan_context(root, run_seed),
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_the_asset_of_an_attack_is_made_by_the_stage_of_that_name(name, tmp_path):
    attack = ATTACKS[name]()
    preparation = prepare(attack, tmp_path)
    assert preparation.attack.attack == attack
    if attack.requires is None:
        assert preparation.step is None
        assert preparation.attack.asset is None
    else:
        assert preparation.step.artifact.stage == attack.requires
        assert preparation.attack.asset.artifact == preparation.step.artifact


@pytest.mark.parametrize("name", WITH_ASSET)
def test_runs_of_many_seeds_share_an_asset_and_networks_depend_on_the_attackers_seed(
    name, tmp_path
):
    attack = ATTACKS[name]()
    step = prepare(attack, tmp_path).step
    assert prepare(attack, tmp_path, run_seed=1).step.key == step.key
    other = prepare(attack, tmp_path, attacker_seed=1).step
    assert (other.key != step.key) is (attack.requires in REQUIRING_A_NETWORK)


def test_the_authors_surrogate_is_the_same_network_and_sees_pixels_as_they_are(tmp_path):
    normalized = prepare(LabelConsistent(), tmp_path)
    raw = prepare(LabelConsistent(pgd_sees="raw"), tmp_path)
    assert raw.step.key == normalized.step.key
    seen = [made.attack.asset.load.keywords["normalization"] for made in (normalized, raw)]
    assert seen == [plan_context(tmp_path, 0).normalization, NO_NORMALIZATION]


def test_a_trojan_pattern_that_is_given_is_not_optimized(tmp_path):
    pattern = random_images(0, 1, 16, width=16)[0]
    Image.fromarray(pattern).save(tmp_path / "pattern.png")
    attack = Trojan(pattern=str(tmp_path / "pattern.png"))
    preparation = prepare(attack, tmp_path / "store")
    make_step(preparation.step, plan_context(tmp_path / "store"))
    assert preparation.step.artifact.stage == "picture"
    np.testing.assert_array_equal(preparation.attack.asset.load(), pattern)


def test_a_prepared_attack_stamps_many_images_as_each_alone():
    images = random_images(0, 300, 16, width=16)
    index = np.arange(300)
    stamped = PreparedAttack(BadNets()).stamp(images, index, "train")
    np.testing.assert_array_equal(stamped, BadNets().stamp(images, index, "train"))


def test_samples_without_a_class_are_not_eligible(tmp_path):
    source = write_noise(tmp_path / "train.parquet", labels={4: 9, 5: None}, count=6)
    # Labels 0, 1, 2, 0 and two that are none; the target class is 0.
    eligible = eligible_samples(BadNets(), source)
    assert eligible.tolist() == [False, True, True, False, False, False]
