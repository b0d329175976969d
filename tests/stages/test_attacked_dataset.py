"""A dataset that came attacked is ingested as it is, and what its source knows is sealed apart."""

import numpy as np
import pytest

from ray_defense.attacks.badnets import BadNets
from ray_defense.core.errors import InputError
from ray_defense.data.sources.backdoorbench import BackdoorBench
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.plan import plan_dataset, plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Store
from ray_defense.store.truth import unseal
from ray_defense.training.normalization import NORMALIZATIONS
from tests.support.backdoorbench_records import write_record
from tests.support.encoded_images import random_picture
from tests.support.source_files import write_class_folders


@pytest.fixture
def source(tmp_path) -> BackdoorBench:
    clean = write_class_folders(tmp_path / "clean", {"cat": 4, "dog": 4})
    (clean / "dog" / "0.png").write_bytes(b"broken")
    pictures = {position: random_picture() for position in (1, 6)}
    record = write_record(tmp_path / "record", pictures, {1: 0, 6: 1})
    return BackdoorBench(str(record), ImageFolder(str(clean)), "1")


def test_the_truth_of_the_source_is_sealed_by_the_indices_of_accepted_samples(source, tmp_path):
    store = Store(tmp_path / "store")
    context = PlanContext(store, seed=0, normalization=NORMALIZATIONS["half"])
    step = plan_dataset(Recipe("attacked", source=source), context).step
    make_steps([step], store, LocalExecutor("numpy"))
    truth = unseal(store, step.artifact.key)
    assert truth.index.tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert truth.index[truth.poisoned].tolist() == [1, 6]
    assert truth.true_label.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert not truth.cover.any()
    dataset = SuspectDataset(step.artifact.path)
    assert dataset.labels.tolist() == [0, 1, 0, 0, 1, 1, 1]
    assert np.array_equal(dataset.index, truth.index)
    table = (step.artifact.path / "manifest.parquet").read_bytes()
    assert b"6.png" not in table


def test_a_source_that_is_poisoned_already_is_not_poisoned_again(source, tmp_path):
    with pytest.raises(InputError, match="the source backdoorbench is poisoned already"):
        plan_recipe(Recipe("twice", source=source, attack=BadNets()), Store(tmp_path / "store"))
