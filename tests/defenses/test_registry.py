"""Laws of every registered defense."""

from dataclasses import replace
from importlib import import_module

import pytest

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.defenses import DEFENSES
from ray_defense.defenses.clean_data import takes_clean_share
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import load_model
from ray_defense.training.settings import SupervisedConfig
from tests.support.defended_noise import (
    MODEL,
    NUM_CLASSES,
    ONE_WORKER,
    TINY_DEFENSES,
    changed_modules,
    weights_of,
)
from tests.support.import_cost import heavy_imports_of_units
from tests.support.killed import KilledAndResumed

# The modules whose `run_epochs` trains a defense, where they are not called like it.
TRAININGS = {"simclr": "contrastive_baseline", "supcon": "contrastive_baseline"}


@pytest.fixture(params=DEFENSES)
def name(request) -> str:
    return request.param


@pytest.fixture
def defense(name):
    """A defense that is trained in a second; a new one needs an entry in TINY_DEFENSES."""
    return TINY_DEFENSES[name]


def test_a_defense_knows_its_name_and_title(name):
    defense = DEFENSES[name]()
    assert defense.name == name
    assert defense.title
    assert defense.version >= 1
    assert set(defense.parts_used) <= {"trusted", "flagged", "uncertain"}
    assert defense.needs in {"nothing", "clean data", "a split"}
    assert (defense.needs == "a split") is bool(defense.parts_used)
    assert (defense.needs == "clean data") is takes_clean_share(defense)


def test_a_configuration_imports_no_heavy_package():
    assert heavy_imports_of_units("ray_defense.defenses", "DEFENSES") == []


def test_a_defense_leaves_a_model_and_the_history_of_its_epochs(noise, defense):
    artifact = noise.train(defense)
    config = SupervisedConfig(MODEL, workers=ONE_WORKER)
    load_model(artifact.path / WEIGHTS, defense.network(config), NUM_CLASSES)
    assert artifact.stage == defense.name
    assert len(read_json(artifact.path / "metrics.json")["history"]) == defense.num_epochs


def test_a_defense_gives_the_same_bytes_in_another_store(noise, defense, tmp_path):
    again = noise.in_store(tmp_path / "again").train(defense)
    assert again.hashes == noise.train(defense).hashes


def test_a_defense_that_repairs_is_refused_without_a_backdoored_model(noise, defense):
    if not defense.repairs:
        noise.plan(defense, repairable=False)
        return
    message = f"{defense.name} repairs the backdoored model.*--set {defense.name}=none"
    with pytest.raises(InputError, match=message):
        noise.plan(defense, repairable=False)


def test_a_defense_that_does_not_repair_does_not_depend_on_the_backdoored_model(noise, defense):
    step = noise.plan(defense)
    assert ("backdoored" in step.artifact.inputs) is defense.repairs
    if not defense.repairs:
        assert noise.plan(defense, repairable=False).key == step.key


def test_a_defense_depends_on_the_split_only_if_it_uses_a_part_of_it(noise, defense):
    inputs = noise.plan(defense).artifact.inputs
    assert ("split" in inputs) is bool(defense.parts_used)
    assert ("clean" in inputs) is takes_clean_share(defense)


def test_a_defense_that_takes_clean_images_is_refused_without_them(noise, defense):
    if not takes_clean_share(defense):
        noise.plan(defense, has_clean_share=False)
        return
    message = f"{defense.name} needs clean images.*set {defense.name}.clean=trusted"
    with pytest.raises(InputError, match=message):
        noise.plan(defense, has_clean_share=False)


def test_a_defense_that_takes_clean_images_can_take_the_trusted_split(noise, defense, tmp_path):
    if not takes_clean_share(defense):
        return
    trusting = replace(defense, clean="trusted")
    step = noise.plan(trusting, has_clean_share=False)
    assert "split" in step.artifact.inputs
    assert "clean" not in step.artifact.inputs
    trained = weights_of(noise.train(trusting))
    uncertain = noise.repainted("uncertain", tmp_path / "uncertain")
    assert changed_modules(trained, weights_of(uncertain.train(trusting))) == set()
    trusted = noise.repainted("trusted", tmp_path / "trusted")
    assert changed_modules(trained, weights_of(trusted.train(trusting))) != set()


@pytest.mark.parametrize("epoch", [0, -1])
def test_a_killed_defense_resumes_to_the_same_bits(noise, defense, tmp_path, monkeypatch, epoch):
    whole = noise.in_store(tmp_path / "whole").train(defense)
    stem = TRAININGS.get(defense.name, defense.name)
    module = import_module(f"ray_defense.defenses.{stem}_training")
    killed = KilledAndResumed(module, epoch % defense.num_epochs, monkeypatch)
    assert noise.train(defense, executor=killed).hashes == whole.hashes


@pytest.mark.parametrize("part", ["trusted", "flagged"])
def test_a_defense_is_refused_where_a_part_that_it_needs_is_empty(noise, defense, part):
    empty = noise.without_part(part)
    if part not in defense.parts_used:
        assert empty.train(defense).exists
        return
    with pytest.raises(InputError, match=f"the {part} split is empty, and {defense.name}"):
        empty.train(defense)
