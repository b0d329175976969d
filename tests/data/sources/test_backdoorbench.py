"""A record of BackdoorBench is put into its clean training set, or refused with what is missing."""

import os
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.image_sides import measured_side
from ray_defense.data.sources.backdoorbench import BackdoorBench
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.protocol import AttackedSource
from ray_defense.data.sources.recognize import recognize
from tests.support.backdoorbench_records import write_record
from tests.support.encoded_images import random_picture
from tests.support.source_files import write_class_folders

POSITIONS = (1, 4, 6)  # of cat, cat and dog, in 4 cats, then 4 dogs, then 2 of an owl
BEFORE = {1: 0, 4: 1, 6: 1}


def write_both(root: Path) -> tuple[Path, Path, dict[int, np.ndarray]]:
    """Writes a clean set and a record of it; returns both and the poisoned pictures."""
    clean = write_class_folders(root / "clean", {"cat": 4, "dog": 4, "owl": 2})
    pictures = {position: random_picture() for position in POSITIONS}
    return clean, write_record(root / "record", pictures, BEFORE), pictures


def test_the_poisoned_images_stand_in_their_places_with_the_label_of_the_attacker(tmp_path):
    clean, record, pictures = write_both(tmp_path)
    for path in (record, record / "bd_train_dataset"):
        settings = {"clean": str(clean), "target_label": "2"}
        recognized = recognize(str(path), settings)
        source = recognized.source
        assert source == BackdoorBench(str(path), ImageFolder(str(clean)), "2")
        assert "a record of BackdoorBench, 3 classes" in recognized.sentences[0]
        assert "3 of the 10 clean images" in recognized.sentences[1]
        assert source.labels("train").tolist() == [0, 2, 0, 0, 2, 1, 2, 1, 2, 2]
        batch = source.read("train", 0, 10)
        before = source.clean_source().read("train", 0, 10)
        assert batch.index.tolist() == list(range(10))
        assert batch.labels.tolist() == source.labels("train").tolist()
        assert batch.origin == tuple(f"row {row}" for row in range(10))
        for row in range(10):
            assert np.array_equal(batch.images[row], pictures.get(row, before.images[row]))
        assert source.read("train", 4, 6).index.tolist() == [4, 5]
        assert np.array_equal(source.read("train", 4, 6).images[0], pictures[4])


def test_who_is_poisoned_is_known_and_the_next_label_can_be_the_target(tmp_path):
    clean, record, _ = write_both(tmp_path)
    source = BackdoorBench(str(record), ImageFolder(str(clean)), "next")
    assert isinstance(source, AttackedSource)
    assert source.poisoned_index().tolist() == list(POSITIONS)
    assert source.labels("train").tolist() == [0, 1, 0, 0, 2, 1, 2, 1, 2, 2]
    assert source.clean_source().labels("train").tolist() == [0] * 4 + [1] * 4 + [2] * 2
    assert measured_side(source, 10) == 32


def test_what_a_record_lacks_is_said_with_the_options_that_give_it(tmp_path):
    clean, record, _ = write_both(tmp_path)
    with pytest.raises(InputError, match="the poisoned images alone.*--clean.*--target-label"):
        recognize(str(record))
    with pytest.raises(InputError, match="outside of a pickle.*--target-label"):
        recognize(str(record), {"clean": str(clean)}).source.labels("train")
    for target in ("3", "dog", "-1"):
        with pytest.raises(InputError, match="target_label"):
            settings = {"clean": str(clean), "target_label": target}
            recognize(str(record), settings).source.labels("train")
    with pytest.raises(InputError, match="the poisoned images alone"):
        recognize(str(record), {"clean": str(record), "target_label": "0"})


def test_a_clean_set_in_another_order_is_refused(tmp_path):
    _, record, _ = write_both(tmp_path)
    other = write_class_folders(tmp_path / "other", {"a": 1, "b": 9})
    with pytest.raises(InputError, match="'0/1.png' of the record has the label 0, and image 1"):
        BackdoorBench(str(record), ImageFolder(str(other)), "0").labels("train")
    short = write_class_folders(tmp_path / "short", {"a": 4, "b": 1})
    with pytest.raises(InputError, match="image 6 .* has None"):
        BackdoorBench(str(record), ImageFolder(str(short)), "0").labels("train")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1/name.png", "no image that is called by its position"),
        ("1/007.png", "no image that is called by its position"),
        ("1/7.pt", "no image that is called by its position"),
        ("cat/7.png", "is called by no label"),
        ("2/4.png", "a second image of the position 4"),
        ("1/99999999999999.png", "no image that is called by its position"),
    ],
)
def test_files_that_are_named_otherwise_are_refused(tmp_path, name, message):
    clean, record, _ = write_both(tmp_path)
    file = record / "bd_train_dataset" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"content")
    with pytest.raises(InputError, match=message):
        BackdoorBench(str(record), ImageFolder(str(clean)), "0").labels("train")


def test_links_and_fifos_are_refused_and_junk_is_skipped(tmp_path):
    clean, record, _ = write_both(tmp_path)
    folder = record / "bd_train_dataset" / "1"
    (folder / ".DS_Store").write_bytes(b"junk")
    source = BackdoorBench(str(record), ImageFolder(str(clean)), "0")
    assert len(source.poisoned_index()) == 3
    (folder / "7.png").symlink_to(folder / "4.png")
    with pytest.raises(InputError, match="a link or no regular file"):
        source.labels("train")
    (folder / "7.png").unlink()
    os.mkfifo(folder / "7.png")
    with pytest.raises(InputError, match="a link or no regular file"):
        source.labels("train")


def test_a_damaged_image_of_the_record_is_rejected_and_the_clean_one_does_not_take_its_place(
    tmp_path,
):
    clean, record, _ = write_both(tmp_path)
    source = BackdoorBench(str(record), ImageFolder(str(clean)), "0")
    before = source.signature("train")
    (record / "bd_train_dataset" / "1" / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (clean / "dog" / "1.png").write_bytes(b"broken too")
    assert source.signature("train") != before
    batch = source.read("train", 0, 10)
    assert batch.index.tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    assert [sample.index for sample in batch.rejected] == [4, 5]
    assert [sample.origin for sample in batch.rejected] == ["row 4", "row 5"]
