"""The reader that needs NumPy alone gives every sample, raw or JPEG."""

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ray_defense.core.errors import InputError
from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.suspect_dataset import MANIFEST, shard_name
from tests.support.encoded_images import encode_image
from tests.support.random_datasets import write_random_dataset
from tests.support.shard_batches import check_random_passes, check_refusals


def test_numpy_reads_every_sample_in_the_order_asked_for(dataset):
    check_random_passes(open_reader(dataset.directory, "numpy"), dataset)


def test_unknown_shards_rows_and_batch_sizes_are_refused_at_the_call(dataset):
    reader = open_reader(dataset.directory, "numpy")
    assert reader.backend == "numpy"
    check_refusals(reader)


def test_jpeg_shards_are_read_as_pillow_decodes_them_and_hashed_so(tmp_path: Path):
    counts = [20, 1, 9]
    dataset = write_random_dataset(tmp_path, counts, side=24, jpeg_quality=80)
    reader = open_reader(tmp_path)
    batches = []
    for shard, count in enumerate(counts):
        batches += reader.batches(shard, np.arange(count), 8)
    images = torch.cat([batch.images for batch in batches]).numpy()
    index = torch.cat([batch.index for batch in batches]).numpy()
    manifest = pq.read_table(tmp_path / MANIFEST).to_pylist()
    hash_of = {row["index"]: row["sha256"] for row in manifest}
    assert reader.backend == "numpy"
    assert reader.dataset.jpeg
    assert reader.dataset.num_bytes == dataset.images.nbytes
    assert sorted(index) == list(range(10, 100, 3))
    for image, number in zip(images, index, strict=True):
        original = dataset.images[(number - 10) // 3]
        encoded = encode_image(original, "JPEG", quality=80, subsampling=0)
        np.testing.assert_array_equal(image, np.asarray(Image.open(BytesIO(encoded))))
        assert hash_of[number] == hashlib.sha256(image.tobytes()).hexdigest()


def test_a_damaged_jpeg_is_refused_and_no_other_sample_stands_in_for_it(tmp_path: Path):
    write_random_dataset(tmp_path, [6], side=24, jpeg_quality=80)
    path = tmp_path / shard_name(0)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"\xff\xd8\xff")] = 0
    path.write_bytes(data)
    batches = open_reader(tmp_path).batches(0, np.arange(6), 5)
    assert len(next(batches).images) == 5
    with pytest.raises(InputError, match="image 5 is no page"):
        next(batches)
