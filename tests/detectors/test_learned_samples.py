"""What the networks of detectors that follow another learn from."""

from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ray_defense.data.evidence_table import EVIDENCE_FILE
from ray_defense.data.table_file import write_table
from ray_defense.data.training_set import TrainingSet
from ray_defense.detectors.clean_unlearning import lowest_of_each_label
from ray_defense.detectors.folds import fold_key, folds_of
from ray_defense.detectors.grow import Grow, GrowTraining
from ray_defense.detectors.grow_training import learned_samples
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.detectors.step_training import endless_batches
from tests.support import blobs
from tests.support.small_detectors import Pictures, ingest_pictures
from tests.support.steps import CPU, HALF, publish_step

NUM_PICTURES = 60
SCORES = np.arange(NUM_PICTURES, dtype=np.float64)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    index = np.arange(NUM_PICTURES)
    root = tmp_path_factory.mktemp("pictures")
    return ingest_pictures(root, blobs.draw_blobs(index), blobs.labels_of(index))


def inputs_of(pictures: Pictures, band: int, fold: int) -> NetworkInputs:
    """Returns the inputs of a network that grows from the ten highest of `SCORES`."""

    def fill(directory: Path) -> None:
        columns = {"index": np.arange(NUM_PICTURES), "mirror": SCORES}
        write_table(directory / EVIDENCE_FILE, pa.table(columns))

    evidence = publish_step(pictures.context, "evidence", fill)
    grow = Grow(num_highest=10, num_bands=2, training=GrowTraining(folds=2))
    return NetworkInputs(
        networks=grow.in_round(1).models[band],
        fold=fold,
        seed=0,
        suspect=pictures.suspect.artifact,
        normalization=HALF,
        evidence=evidence.artifact,
    )


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("band", [0, 1, 2])
def test_seeds_and_rest_are_apart_and_outside_of_the_fold(
    pictures: Pictures, band: int, fold: int
) -> None:
    inputs = inputs_of(pictures, band, fold)
    seeds, rest = learned_samples(inputs)
    index = np.arange(NUM_PICTURES)
    folds = folds_of(index, fold_key(0, inputs.networks.name), 2)
    members = index[NUM_PICTURES - 10 * (band + 1) : NUM_PICTURES - 10 * band]
    finds = index[-10:]
    assert seeds.tolist() == members[folds[members] != fold].tolist()
    left_out = np.union1d(members, finds)  # pseudo-seeds are not told from the seeds themselves
    expected_rest = [each for each in index if folds[each] != fold and each not in left_out]
    assert rest.tolist() == expected_rest


def test_endless_batches_are_full_and_repeat_a_small_set(pictures: Pictures) -> None:
    directory = pictures.suspect.artifact.path
    few = TrainingSet(directory, CPU, "numpy", 1 << 30, select=np.array([4, 8, 15]))
    many = TrainingSet(directory, CPU, "numpy", 1 << 30)
    for data in (few, many):
        batches = list(islice(endless_batches(data, 5, 8), 20))
        again = list(islice(endless_batches(data, 5, 8), 20))
        for batch, same in zip(batches, again, strict=True):
            assert len(batch.images) == len(batch.labels) == len(batch.index) == 8
            assert batch.index.tolist() == same.index.tolist()
            assert set(batch.index.tolist()) <= set(data.index.tolist())
    assert set(batches[0].index.tolist()) != set(batches[1].index.tolist())


def test_as_many_of_every_label_are_unlearned_and_the_lowest() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    scores = np.array([3.0, 1.0, 2.0, 9.0, 7.0, 8.0, 6.0, 5.0])
    assert lowest_of_each_label(scores, labels, 6).tolist() == [1, 2, 4, 6, 7]
    assert lowest_of_each_label(scores, labels, 1).tolist() == [1, 6, 7]
