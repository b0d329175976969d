"""Trusted images follow those of the data, under the same class names."""

import numpy as np
import pytest

from ray_defense.core.config import from_plain, to_plain
from ray_defense.core.errors import InputError
from ray_defense.data.image_sides import measured_side
from ray_defense.data.sources.backdoorbench import BackdoorBench
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.with_trusted import WithTrusted
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.store.artifacts import Store
from ray_defense.training.normalization import NORMALIZATIONS
from tests.support.source_files import write_class_folders


@pytest.fixture
def source(tmp_path) -> WithTrusted:
    data = write_class_folders(tmp_path / "data", {"ant": 2, "bee": 2, "cat": 1})
    trusted = write_class_folders(tmp_path / "trusted", {"bee": 1, "cat": 2})
    (trusted / "cat" / "0.png").write_bytes(b"broken")
    return WithTrusted(ImageFolder(str(data)), ImageFolder(str(trusted)))


def test_trusted_images_follow_the_data_with_its_labels_and_another_origin(source):
    assert source.first_vouched() == 5
    assert source.info().class_names == ("ant", "bee", "cat")
    assert source.labels("train").tolist() == [0, 0, 1, 1, 2, 1, 2, 2]
    batch = source.read("train", 3, 8)
    assert batch.index.tolist() == [3, 4, 5, 7]
    assert batch.labels.tolist() == [1, 2, 1, 2]
    assert batch.origin == ("bee/1.png", "cat/0.png", "(trusted) bee/0.png", "(trusted) cat/1.png")
    assert [(sample.index, sample.origin) for sample in batch.rejected] == [
        (6, "(trusted) cat/0.png")
    ]
    encoded = list(source.read_encoded("train", 4, 6))
    assert [(sample.index, sample.label) for sample in encoded] == [(4, 2), (5, 1)]
    assert np.array_equal(source.decode(encoded[1].content), batch.images[2])
    assert source.labels("test").tolist() == []
    assert measured_side(source, 5) == 32


def test_it_says_what_it_is_and_survives_being_written_down(source):
    assert "3 more images are trusted" in source.describe().recognized[0]
    assert from_plain(WithTrusted, to_plain(source)) == source
    assert source.has_files()
    assert not WithTrusted(Digits(), Digits()).has_files()


def test_a_class_that_the_data_has_not_is_refused_with_both_lists(source, tmp_path):
    write_class_folders(tmp_path / "trusted", {"dog": 1})
    with pytest.raises(InputError, match="1 classes that the data has not .'dog'; .*'ant', 'bee'"):
        source.labels("train")


def test_trusted_images_change_the_signature_and_no_record_is_mixed_with_them(source, tmp_path):
    before = source.signature("train")
    write_class_folders(tmp_path / "trusted", {"ant": 1})
    assert source.signature("train") != before
    with pytest.raises(InputError, match="'backdoorbench' and 'image_folder' do not go together"):
        WithTrusted(BackdoorBench(), source.trusted)


def test_a_store_in_the_trusted_images_is_refused(source, tmp_path):
    context = PlanContext(
        Store(tmp_path / "trusted" / "store"), seed=0, normalization=NORMALIZATIONS["half"]
    )
    with pytest.raises(InputError, match="would become a class"):
        ingest_step(IngestConfig(), source, context)
