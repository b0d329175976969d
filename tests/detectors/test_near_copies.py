"""Near-copies are told from images that share a trigger alone."""

from pathlib import Path

import numpy as np

from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.near_copies import copies_of_earlier
from tests.detectors.test_fixed_pattern import LABELS
from tests.support.cloudy_pictures import draw_pictures, with_cross
from tests.support.small_detectors import ingest_pictures


def test_copies_are_found_and_pictures_with_one_trigger_are_none(tmp_path: Path) -> None:
    images = with_cross(draw_pictures())
    generator = np.random.default_rng(1)
    for position in (510, 700):  # one is read together with the picture it copies, one is not
        noise = generator.integers(-6, 7, images[3].shape)
        images[position] = np.clip(images[3].astype(int) + noise, 0, 255)
    pictures = ingest_pictures(tmp_path, images, LABELS, shard_size=400)
    dataset = SuspectDataset(pictures.suspect.artifact.path)
    found = copies_of_earlier(dataset, np.arange(len(images)))
    assert np.flatnonzero(found).tolist() == [510, 700]
    assert not copies_of_earlier(dataset, np.zeros(0, dtype=np.int64)).any()
