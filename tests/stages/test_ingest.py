"""A source that nobody poisons for us, as a dataset; what is rejected, and what is refused."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import read_json
from ray_defense.core.random import stream
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet
from ray_defense.stages.ingest import IngestConfig, WriteShard, ingest_step
from ray_defense.store.truth import unseal
from tests.support.encoded_images import encode_image
from tests.support.noise import noise_images, noise_png, read_all, write_noise
from tests.support.source_files import write_class_folders
from tests.support.steps import make_step, plan_context


def test_a_dataset_that_nobody_poisoned_for_us_is_the_source_and_has_no_truth(tmp_path):
    for number in range(40):
        folder = tmp_path / "images" / "train" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        image = b"GIF89a" if number == 21 else noise_png(number)
        (folder / f"{number:02d}.png").write_bytes(image)
    source = ImageFolder(str(tmp_path / "images"), size=16)
    context = plan_context(tmp_path / "store")
    suspect = make_step(ingest_step(IngestConfig(10), source, context), context)
    dataset, images = read_all(suspect)
    clean = source.read("train", 0, 40)
    assert len(clean.index) == 39
    assert np.array_equal(dataset.index, clean.index)
    assert np.array_equal(dataset.labels, clean.labels)
    assert np.array_equal(images, clean.images)
    (rejected,) = pq.read_table(suspect.path / "rejected.parquet").to_pylist()
    assert rejected["origin"] == "train/a/21.png"
    assert rejected["reason"]
    assert not list((tmp_path / "store").rglob("truth*"))
    with pytest.raises(InputError, match="no sealed truth"):
        unseal(context.store, suspect.key)


def test_what_was_converted_is_listed_beside_the_shards(tmp_path):
    """Input rows 2 to 4: conversions were made, and nothing told of them."""
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "images" / name / f"{number}.png").write_bytes(noise_png(number))
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    (tmp_path / "images" / "cat" / "1.png").write_bytes(encode_image(gray))
    (tmp_path / "images" / "dog" / "9.png").write_bytes(encode_image(gray.astype(np.uint16) * 257))
    (tmp_path / "images" / "dog" / ".DS_Store").write_bytes(b"junk")
    source = ImageFolder(str(tmp_path / "images"), size=16)
    context = plan_context(tmp_path / "store")
    suspect = make_step(ingest_step(IngestConfig(3), source, context), context)
    assert pq.read_table(suspect.path / "converted.parquet").to_pylist() == [
        {"index": 1, "origin": "cat/1.png", "held": "gray"},
        {"index": 8, "origin": "dog/9.png", "held": "16 bits, gray"},
    ]
    description = read_json(suspect.path / "dataset.json")
    assert description["recognized"] == list(source.describe().recognized)
    notes = "\n".join(description["notes"])
    assert "2 images became 8-bit RGB (1 x 16 bits, gray; 1 x gray)" in notes
    assert "skipped as no part of the data: 1 x '.DS_Store'" in notes


def test_more_than_one_in_a_hundred_invalid_labels_are_refused(tmp_path):
    source = write_noise(tmp_path / "train.parquet", labels={1: 9, 2: None, 3: 9})
    context = plan_context(tmp_path / "store")
    with pytest.raises(InputError, match=r"3 of 250 labels are outside 0..2"):
        make_step(ingest_step(IngestConfig(), source, context), context)
    assert not list((tmp_path / "store").rglob("manifest.parquet"))


@pytest.mark.parametrize("kind", ["negative", "too large", "missing", "fractional"])
def test_row_input_10_invalid_labels_are_rejected_and_more_than_1_percent_refused(tmp_path, kind):
    wrong = {"negative": -1, "too large": 3, "missing": None, "fractional": 0.5}[kind]
    context = plan_context(tmp_path / "store")
    for num_wrong in (2, 3):
        labels: list[float | None] = [row % 3 for row in range(250)]
        for row in range(num_wrong):
            labels[7 * row] = wrong
        file = tmp_path / f"{num_wrong}.parquet"
        write_noise(file)
        table = pq.read_table(file)
        numbers = pa.array(labels, pa.float64() if kind == "fractional" else pa.int64())
        pq.write_table(table.set_column(1, "label", numbers), file)
        source = Parquet(str(file), size=16, num_classes=3)
        step = ingest_step(IngestConfig(), source, context)
        if num_wrong == 3:
            with pytest.raises(InputError, match=r"3 of 250 labels are outside 0..2"):
                make_step(step, context)
        else:
            suspect = make_step(step, context)
            rejected = pq.read_table(suspect.path / "rejected.parquet").to_pylist()
            assert [row["index"] for row in rejected] == [0, 7]
            assert all("label" in row["reason"] for row in rejected)
            assert len(read_all(suspect)[0].index) == 248


@pytest.mark.parametrize("kind", ["empty", "of one", "only"])
def test_row_input_11_a_class_that_is_empty_or_of_one_is_noted_and_one_class_refused(
    tmp_path, kind
):
    files = write_class_folders(tmp_path / "data", {"cat": 4, "owl": 3})
    (files / "dog").mkdir()
    if kind == "of one":
        (files / "dog" / "0.png").write_bytes(noise_png(0))
    elif kind == "only":
        shutil.rmtree(files / "owl")
    source = ImageFolder(str(files), size=16)
    context = plan_context(tmp_path / "store")
    step = ingest_step(IngestConfig(), source, context)
    if kind == "only":
        with pytest.raises(InputError, match="label 0"):
            make_step(step, context)
        return
    notes = read_json(make_step(step, context).path / "dataset.json")["notes"]
    noted = {"empty": "classes without a sample: 1", "of one": "classes with a single sample"}
    assert any(note.startswith(noted[kind]) for note in notes), notes


def test_a_range_without_an_accepted_sample_is_left_out(tmp_path):
    broken = [20, 21, 22, 23, 40]
    source = write_noise(tmp_path / "train.parquet", dict.fromkeys(broken, b""), count=41)
    context = plan_context(tmp_path / "store")
    dataset, images = read_all(make_step(ingest_step(IngestConfig(4), source, context), context))
    assert np.array_equal(dataset.index, np.delete(np.arange(41), broken))
    assert np.array_equal(images, source.read("train", 0, 41).images)


def test_a_source_without_an_accepted_sample_is_refused(tmp_path):
    source = write_noise(tmp_path / "train.parquet", dict.fromkeys(range(9), b""), count=9)
    context = plan_context(tmp_path / "store")
    with pytest.raises(InputError, match="all 9 samples were rejected, the first because: "):
        make_step(ingest_step(IngestConfig(4), source, context), context)


def test_no_seed_makes_another_dataset_of_a_source_that_nobody_poisons(tmp_path):
    source = write_noise(tmp_path / "train.parquet", count=6)
    steps = []
    for seed in (0, 1):
        steps.append(ingest_step(IngestConfig(), source, plan_context(tmp_path / "store", seed)))
    assert steps[0].key == steps[1].key


@pytest.mark.parametrize("index", [[3, 4], [0, 2], [1, 0]])
def test_rows_that_are_not_one_whole_range_are_not_written_as_a_shard(tmp_path, index):
    columns = {
        "index": np.array(index),
        "image": noise_images(stream(0, "image"), np.array(index)),
        "label": np.zeros(2, np.int64),
        "origin": np.full(2, "", object),
        "reason": np.full(2, "", object),
    }
    with pytest.raises(RunError, match="not one whole range"):
        WriteShard(str(tmp_path), shard_size=2)(columns)
    assert not list(tmp_path.iterdir())
