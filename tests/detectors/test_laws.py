"""Laws of every registered detector: what it reads off samples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ray_defense.detectors import DETECTORS
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import BlockJob
from ray_defense.stages.detect import DetectConfig
from tests.support import blobs
from tests.support.small_detectors import (
    SETTINGS,
    Pictures,
    ingest_pictures,
    small_detector,
    with_followed,
)
from tests.support.steps import CPU

NUM_PICTURES = 70
ALL_TOGETHER = tuple(small_detector(name) for name in SETTINGS)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    index = np.arange(NUM_PICTURES)
    root = tmp_path_factory.mktemp("pictures")
    return ingest_pictures(root, blobs.draw_blobs(index), blobs.labels_of(index))


def test_every_registered_detector_is_held_to_the_laws() -> None:
    assert set(SETTINGS) == set(DETECTORS)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_writes_the_columns_that_it_declares(name: str, pictures: Pictures) -> None:
    columns = pictures.columns(with_followed(name))
    declared: list[str] = []
    for detector in with_followed(name):
        declared.extend(detector.columns)
    assert list(columns) == declared
    for values in columns.values():
        assert values.dtype == np.float64
        assert values.shape == (NUM_PICTURES,)


@pytest.mark.parametrize("name", DETECTORS)
def test_columns_do_not_depend_on_the_batch(name: str, pictures: Pictures) -> None:
    # A detector that follows another learns from what that one read in other batches.
    detectors = with_followed(name)
    of_twenty = pictures.columns(detectors, batch_size=20)
    of_seven = pictures.columns(detectors, batch_size=7)
    for column, values in of_twenty.items():
        np.testing.assert_allclose(of_seven[column], values, rtol=1e-3, atol=1e-4)


class Backwards(LocalExecutor):
    """Runs the blocks from the last to the first, as actors might."""

    def __init__(self) -> None:
        super().__init__("numpy", CPU)

    def run_blocks(self, job: BlockJob) -> None:
        super().run_blocks(replace(job, blocks=list(job.blocks)[::-1]))


def test_the_bytes_depend_on_no_order_of_blocks_and_on_no_detector_beside(
    pictures: Pictures, tmp_path: Path
) -> None:
    config = DetectConfig(ALL_TOGETHER, batch_size=20, block_size=20)
    together = pictures.evidence(config)
    backwards = pictures.in_store(tmp_path).evidence(config, Backwards())
    assert backwards.artifact.hashes == together.artifact.hashes
    columns = pictures.columns(ALL_TOGETHER)
    for name in DETECTORS:
        for column, values in pictures.columns(with_followed(name)).items():
            assert values.tobytes() == columns[column].tobytes()


def test_leading_detectors_share_one_pass_over_the_images(
    pictures: Pictures, tmp_path: Path
) -> None:
    class CountingPasses(LocalExecutor):
        num_passes = 0

        def run_blocks(self, job: BlockJob) -> None:
            self.num_passes += 1
            super().run_blocks(job)

    leading = [each for each in ALL_TOGETHER if not hasattr(each, "follows")]
    executor = CountingPasses("numpy", CPU)
    config = DetectConfig(tuple(leading), batch_size=20, block_size=20)
    pictures.in_store(tmp_path).evidence(config, executor)
    assert executor.num_passes == 1


def test_equal_images_get_equal_columns_whatever_their_labels(tmp_path: Path) -> None:
    images = np.repeat(blobs.draw_blobs(np.array([5])), 40, axis=0)
    images[-1] = 255 - images[-1]  # a dataset whose images are all equal is not taken in
    equal = ingest_pictures(tmp_path, images, np.arange(40) % 2)
    for name in ("mirror", "grow"):
        for column, values in equal.columns(with_followed(name)).items():
            num_networks = 2  # one for each fold
            assert len(np.unique(values[:-1].round(4))) <= num_networks, column
