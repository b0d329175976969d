"""Out of fold means out of fold: what a network reads has no part in what it learned."""

import numpy as np
import pytest

from ray_defense.detectors import DETECTORS
from ray_defense.detectors.folds import fold_key, folds_of
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.execution.steps import make_steps
from ray_defense.models.file_names import WEIGHTS
from ray_defense.stages.detect import DetectConfig
from tests.support import blobs
from tests.support.small_detectors import Pictures, ingest_pictures, small_detector
from tests.support.steps import local_executor

NUM_PICTURES = 160
CHANGED = 7  # the sample whose pixels or label change


def leading_with_folds() -> list[str]:
    """Returns the detectors that have networks by folds and follow no other detector."""
    names = []
    for name in DETECTORS:
        detector = small_detector(name)
        networks = [model for model in detector.models if isinstance(model, SmallNetworks)]
        if not hasattr(detector, "follows") and any(each.num_folds > 1 for each in networks):
            names.append(name)
    return names


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pictures]:
    """The same pictures three times: as they are, with other pixels, with another label."""
    root = tmp_path_factory.mktemp("folds")
    index = np.arange(NUM_PICTURES)
    images = blobs.draw_blobs(index)
    labels = blobs.labels_of(index)
    other_pixels = images.copy()
    other_pixels[CHANGED] = 255 - images[CHANGED]
    other_label = labels.copy()
    other_label[CHANGED] = (labels[CHANGED] + 1) % blobs.NUM_CLASSES
    return {
        "as they are": ingest_pictures(root / "as_they_are", images, labels),
        "pixels": ingest_pictures(root / "pixels", other_pixels, labels),
        "label": ingest_pictures(root / "label", images, other_label),
    }


def weights_by_fold(pictures: Pictures, name: str) -> dict[str, bytes]:
    """Returns the weight files of all networks of a detector, by stage."""
    planned = pictures.plan(DetectConfig((small_detector(name),), batch_size=20, block_size=20))
    networks = {stage: step for stage, step in planned.steps.items() if "_fold_" in stage}
    make_steps(networks.values(), pictures.context.store, local_executor())
    return {stage: (step.artifact.path / WEIGHTS).read_bytes() for stage, step in networks.items()}


def test_several_detectors_learn_out_of_fold() -> None:
    assert "mirror" in leading_with_folds()


@pytest.mark.parametrize("changed", ["pixels", "label"])
@pytest.mark.parametrize("name", leading_with_folds())
def test_a_sample_changes_no_network_that_reads_it(
    name: str, changed: str, datasets: dict[str, Pictures]
) -> None:
    before = weights_by_fold(datasets["as they are"], name)
    after = weights_by_fold(datasets[changed], name)
    num_changed = 0
    for networks in small_detector(name).models:
        assert isinstance(networks, SmallNetworks)
        key = fold_key(datasets[changed].context.seed, networks.name)
        fold = int(folds_of(np.array([CHANGED]), key, networks.num_folds)[0])
        reader = f"{networks.name}_fold_{fold}"
        assert after[reader] == before[reader]
        num_changed += sum(after[stage] != before[stage] for stage in before)
    assert num_changed > 0 or changed == "label"


def test_folds_depend_on_key_and_index_alone_and_are_about_equal() -> None:
    index = np.arange(3000)
    folds = folds_of(index, 5, 3)
    assert np.array_equal(folds_of(index[::-7], 5, 3), folds[::-7])
    assert set(folds.tolist()) == {0, 1, 2}
    assert (np.abs(np.bincount(folds) - 1000) < 120).all()
    assert (folds_of(index, 6, 3) != folds).any()
    assert (folds_of(index, 5, 1) == 0).all()
