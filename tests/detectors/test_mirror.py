"""The mirror filter's statistic, and the views its networks learn from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ray_defense.detectors.folds import fold_key, folds_of
from ray_defense.detectors.held_out import samples_outside
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.pixel_noise import add_noise, standard_normal
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.execution.steps import SmallTrainingWork
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import load_model
from ray_defense.stages.detect import DetectConfig
from tests.support import blobs
from tests.support.noise import read_all
from tests.support.small_detectors import Pictures, ingest_pictures, small_detector

NUM_PICTURES = 50
MIRROR = small_detector("mirror")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    index = np.arange(NUM_PICTURES)
    root = tmp_path_factory.mktemp("mirror")
    return ingest_pictures(root, blobs.draw_blobs(index), blobs.labels_of(index))


def networks_of(detector: Mirror) -> SmallNetworks:
    (networks,) = detector.models
    return networks


def test_w_is_the_log_odds_of_the_image_less_those_of_its_mirror_image(
    pictures: Pictures,
) -> None:
    statistics = pictures.columns((MIRROR,))["mirror"]
    planned = pictures.plan(DetectConfig((MIRROR,), batch_size=20, block_size=40))
    networks = networks_of(MIRROR)
    dataset, images = read_all(pictures.suspect.artifact)
    folds = folds_of(dataset.index, fold_key(0, networks.name), networks.num_folds)
    for position in range(NUM_PICTURES):
        step = planned.steps[f"mirror_fold_{folds[position]}"]
        network = load_model(step.artifact.path / WEIGHTS, networks.network, 2).eval().double()
        image = torch.from_numpy(images[position]).permute(2, 0, 1)[None].double() / 255
        log_odds = []
        for view in (image, image.flip(3)):
            with torch.no_grad():
                _, logits = network((view - 0.5) / 0.5)
            probabilities = logits.softmax(1)[0]
            log_odds.append(float(torch.log(probabilities[1] / probabilities[0])))
        expected = log_odds[0] - log_odds[1]
        assert statistics[position] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_network_learns_from_all_samples_outside_of_its_fold(pictures: Pictures) -> None:
    planned = pictures.plan(DetectConfig((MIRROR,), batch_size=20, block_size=40))
    learned = []
    for fold in range(2):
        work = planned.steps[f"mirror_fold_{fold}"].work
        assert isinstance(work, SmallTrainingWork)
        learned.append(set(samples_outside(work.job.inputs).tolist()))
    assert learned[0] | learned[1] == set(range(NUM_PICTURES))
    assert not learned[0] & learned[1]


def test_noise_depends_on_key_and_index_alone_and_is_standard_normal() -> None:
    index = np.arange(100)
    normal = standard_normal(7, index, 301)
    assert normal.dtype == np.float32
    assert np.array_equal(standard_normal(7, index[40:50], 301), normal[40:50])
    assert not np.array_equal(standard_normal(8, index, 301), normal)
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert abs((normal**4).mean() - 3) < 0.15


def test_no_noise_changes_nothing() -> None:
    images = torch.rand(3, 3, 8, 8)
    assert add_noise(images, 0.0, 1, np.arange(3)) is images
    noisy = add_noise(images, 0.1, 1, np.arange(3))
    assert float((noisy - images).std()) == pytest.approx(0.1, rel=0.1)


def test_training_views_with_noise_still_train(pictures: Pictures) -> None:
    noisy = Mirror(replace(MIRROR.training, noise=6.0))
    statistics = pictures.columns((noisy,))["mirror"]
    assert np.isfinite(statistics).all()
    assert (statistics != pictures.columns((MIRROR,))["mirror"]).any()
