"""The folders that the study of audits writes: what is stamped, moved and named."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.audit.measure import AuditedFolder
from ray_defense.data.sources.backdoorbench import BackdoorBench
from ray_defense.data.sources.image_folder import ImageFolder
from tests.support.encoded_images import encode_image
from tests.support.source_files import write_parquet

GRAY = np.full((16, 16, 3), 100, np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    labels = [number % 6 for number in range(60)]
    write_parquet(tmp_path / "rows.parquet", [encode_image(GRAY)] * 60, labels)
    return tmp_path / "rows.parquet"


def make_folder(file: Path, **changes: object) -> AuditedFolder:
    fields = {"num_classes": 3, "num_images": 50, "num_stamped": 7, "patch": 4, "group": 2}
    return AuditedFolder(file, 16, **{**fields, **changes})


@pytest.mark.parametrize("trigger", ["square", "checkerboard"])
def test_a_folder_holds_stamped_images_in_the_first_class(trigger, file, tmp_path):
    written = make_folder(file, trigger=trigger).write(tmp_path / "out")
    (data,) = written.words
    source = ImageFolder(data, size=16)
    batch = source.read("train", 0, 50)
    assert len(batch.labels) == 50
    changed = (batch.images != 100).any(axis=(1, 2, 3))
    assert changed.sum() == len(written.stamped) == 7
    assert (batch.labels[changed] == 0).all()
    assert set(np.array(batch.origin)[changed]) == written.stamped
    corner = batch.images[changed][0, 11:15, 11:15, 0]
    assert corner[0, 0] == 255
    assert corner[0, 1] == (255 if trigger == "square" else 0)


def test_a_record_is_read_as_one_with_the_same_images_poisoned(file, tmp_path):
    written = make_folder(file, is_record=True).write(tmp_path / "out")
    record, *words = written.words
    clean = ImageFolder(words[1], size=16).read("train", 0, 50)
    assert (clean.images == 100).all()
    source = BackdoorBench(record, ImageFolder(words[1], size=16), words[3], size=16)
    batch = source.read("train", 0, 50)
    rows = np.flatnonzero((batch.images != 100).any(axis=(1, 2, 3)))
    assert {f"row {row}" for row in rows} == written.stamped
    assert (batch.labels[rows] == 0).all()


def test_too_few_images_are_refused(file, tmp_path):
    with pytest.raises(ValueError, match="has only 20 such images"):
        make_folder(file, num_classes=1).write(tmp_path / "out")
