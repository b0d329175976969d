"""Laws of every registered defense."""

import pytest

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.defenses import DEFENSES
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import load_model
from ray_defense.training.settings import SupervisedConfig
from tests.support.defended_noise import MODEL, NUM_CLASSES, ONE_WORKER, TINY_DEFENSES
from tests.support.import_cost import heavy_imports_of_units


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


@pytest.mark.parametrize("part", ["trusted", "flagged"])
def test_a_defense_is_refused_where_a_part_that_it_needs_is_empty(noise, defense, part):
    empty = noise.without_part(part)
    if part not in defense.parts_used:
        assert empty.train(defense).exists
        return
    with pytest.raises(InputError, match=f"the {part} split is empty, and {defense.name}"):
        empty.train(defense)
