"""Laws of a directory of shards: the manifest locates every sample, and both readers give the same tensors."""

import gc
import hashlib
import importlib.util
import io
import queue
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ray_defense.core.errors import Failed, Refused
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.beton_writer import write_beton
from ray_defense.data.shards.ffcv_reader import FfcvReader, receive
from ray_defense.data.suspect_dataset import (
    MANIFEST,
    ImageBatch,
    Reader,
    ShardSet,
    open_reader,
    shard_name,
    write_manifest,
    write_rejected,
    write_shard,
)

needs_ffcv = pytest.mark.skipif(importlib.util.find_spec("ffcv") is None, reason="FFCV is not installed")


def make(
    directory: Path, counts: list[int], side: int = 32, jpeg_quality: int | None = None
) -> tuple[np.ndarray, np.ndarray, list[pa.Table]]:
    """Writes shards of `counts` samples and returns images and labels by index (10, 13, 16, ...), and the parts."""
    rng = np.random.default_rng(0)
    num = sum(counts)
    images, labels = rng.integers(0, 256, (num, side, side, 3), dtype=np.uint8), rng.integers(0, 10, num)
    parts = []
    for shard, places in enumerate(np.split(rng.permutation(num), np.cumsum(counts)[:-1])):
        origin = [f"image {place}" for place in places]
        chosen = (images[places], labels[places], 10 + 3 * places, origin)
        parts.append(write_shard(directory, shard, *chosen, jpeg_quality))
    write_manifest(directory, parts)
    return images, labels, parts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("shards")
    return directory, *make(directory, [700, 50, 1])


@pytest.fixture(scope="module")
def readers(made) -> tuple[Reader, Reader]:
    return open_reader(made[0], "numpy"), open_reader(made[0], "ffcv")


def check(batches: list[ImageBatch], index: np.ndarray, made, batch_size: int) -> None:
    _, images, labels, _ = made
    for number, batch in enumerate(batches):
        wanted = index[number * batch_size : (number + 1) * batch_size]
        places = (wanted - 10) // 3
        assert (batch.images.dtype, batch.labels.dtype, batch.index.dtype) == (torch.uint8, torch.int64, torch.int64)
        np.testing.assert_array_equal(batch.images.numpy(), images[places])
        np.testing.assert_array_equal(batch.labels.numpy(), labels[places])
        np.testing.assert_array_equal(batch.index.numpy(), wanted)
    assert sum(len(batch.index) for batch in batches) == len(index)


def check_passes(reader: Reader, made) -> None:
    for seed, batch_size in ((0, 64), (1, 256), (2, 7), (3, 1)):
        for shard in (0, 1, 2, 0):
            mine = np.sort(reader.shards.row[reader.shards.shard == shard])
            rows = np.random.default_rng(seed).permutation(mine)[:130]
            index = reader.shards.open(shard).index[rows]
            check(list(reader.batches(shard, rows, batch_size)), index, made, batch_size)


def test_numpy_reads_every_sample_in_the_order_asked_for(made):
    check_passes(open_reader(made[0], "numpy"), made)


@needs_ffcv
def test_ffcv_reads_every_sample_in_the_order_asked_for(made, readers):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        check_passes(readers[1], made)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


@needs_ffcv
def test_both_readers_give_the_same_tensors(readers):
    rows = np.concatenate([np.arange(600)[::-1], [5, 5, 5]])
    for ours, theirs in zip(*(reader.batches(0, rows, 100) for reader in readers), strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(ours.index, theirs.index)


@needs_ffcv
def test_both_readers_give_the_same_large_images(tmp_path: Path):
    make(tmp_path, [30], side=224)
    rows = np.random.default_rng(0).permutation(30)
    pairs = zip(*(open_reader(tmp_path, backend).batches(0, rows, 8) for backend in ("numpy", "ffcv")), strict=True)
    assert [torch.equal(ours.images, theirs.images) for ours, theirs in pairs] == [True] * 4


@needs_ffcv
def test_an_epoch_of_ffcv_left_early_leaves_no_thread_and_the_next_is_whole(made, readers):
    before = set(threading.enumerate())
    batches = readers[1].batches(0, np.arange(700), 2)
    next(batches)
    left = set(threading.enumerate()) - before
    batches.close()
    for thread in left:
        thread.join(5)
    assert left and not any(thread.is_alive() for thread in left)
    index = readers[1].shards.open(0).index
    check(list(readers[1].batches(0, np.arange(700), 100)), index, made, 100)


@needs_ffcv
def test_two_epochs_of_ffcv_may_run_side_by_side(made, readers):
    shards = readers[1].shards
    one, two = readers[1].batches(0, np.arange(50), 10), readers[1].batches(1, np.arange(50), 25)
    first, other = [next(one)], [next(two)]
    check(first + list(one), shards.open(0).index[:50], made, 10)
    check(other + list(two), shards.open(1).index, made, 25)


@needs_ffcv
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc")
def test_ffcv_keeps_no_shard_in_memory_but_the_last(tmp_path: Path, readers):
    make(tmp_path, [3] * 6, side=8)
    reader = readers[1]
    was, reader.shards = reader.shards, ShardSet(tmp_path)
    gc.disable()  # cycles stay: without a large heap the collector may not run for hours
    try:
        for shard in range(1, 6):  # from 1: the reader stands at some shard 0
            assert len(list(reader.batches(shard, np.arange(3), 2))) == 2
        mapped = {line.split("/")[-1] for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line}
    finally:
        gc.enable()
        reader.shards = was
        reader._shard = None
    assert mapped == {shard_name(5)}


@needs_ffcv
def test_a_crafted_shard_is_refused_before_ffcv_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path, [4, 4])
    reader = open_reader(tmp_path, "ffcv")
    monkeypatch.setattr("ffcv.loader.Loader", None)
    for shard in (1, 0):
        path = tmp_path / shard_name(shard)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1  # the size of the last image
        path.write_bytes(data)
        with pytest.raises(Refused, match="another size"):
            reader.batches(shard, np.arange(4), 2)
    with pytest.raises(Refused, match="another size"):
        open_reader(tmp_path, "ffcv")


class Stub:
    def __init__(self, alive: bool, *items: object) -> None:
        self.output_queue: queue.Queue = queue.Queue()
        self.terminate_event = threading.Event()
        self.is_alive = lambda: alive
        for item in items:
            self.output_queue.put(item)


def test_a_dead_reading_thread_is_a_failure_once_its_batches_are_delivered():
    epoch = Stub(False, (0, "batch"))
    assert receive(epoch, 60.0) == "batch"
    with pytest.raises(Failed, match="thread died"):
        receive(epoch, 60.0)


def test_a_stuck_reading_thread_is_a_failure_after_the_time_limit():
    epoch = Stub(True)
    with pytest.raises(Failed, match=r"no batch within 0\.05 s"):
        receive(epoch, 0.05)
    assert epoch.terminate_event.is_set()


def test_ffcv_asked_for_but_missing_is_refused_with_the_line_that_installs_it(made, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refused, match=r"pip install ffcv==1\.0\.2"):
        open_reader(made[0], "ffcv")
    assert open_reader(made[0]).backend == "numpy"


def test_ffcv_that_cannot_be_imported_is_refused(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "ffcv.loader", None)
    monkeypatch.setitem(sys.modules, "ffcv", None)
    with pytest.raises(Refused, match="cannot be imported"):
        FfcvReader(ShardSet(made[0]))


def test_an_unknown_back_end_is_refused_with_the_nearest_name(made):
    with pytest.raises(Refused, match="did you mean 'numpy'"):
        open_reader(made[0], "nunpy")


@pytest.mark.parametrize("backend", ["numpy", pytest.param("ffcv", marks=needs_ffcv)])
def test_unknown_shards_rows_and_batch_sizes_are_refused_at_the_call(made, backend):
    reader = open_reader(made[0], backend)
    assert reader.backend == backend
    for shard, rows, batch_size in ((9, [0], 1), (0, [700], 1), (0, [-1], 1), (0, [0.5], 1), (0, [0], 0)):
        with pytest.raises(Refused):
            reader.batches(shard, np.array(rows), batch_size)
    assert list(reader.batches(0, np.array([], np.int64), 4)) == []


def test_the_manifest_locates_every_sample(made):
    directory, images, labels, parts = made
    shards = ShardSet(directory)
    assert (shards.num_samples, shards.num_shards, shards.image_shape) == (751, 3, (32, 32, 3))
    assert shards.nbytes == images.nbytes
    np.testing.assert_array_equal(shards.index, 10 + 3 * np.arange(751))
    np.testing.assert_array_equal(shards.labels, labels)
    for place in (0, 1, 400, 750):
        file = shards.open(int(shards.shard[place]))
        np.testing.assert_array_equal(file.images(shards.row[[place]])[0], images[place])
    wanted = np.array([13, 10, 2260, 13])
    np.testing.assert_array_equal(shards.index[shards.locate(wanted)], wanted)


def test_the_manifest_holds_the_hash_and_the_origin_of_every_sample(made):
    directory, images, *_ = made
    table = pq.read_table(directory / MANIFEST).to_pydict()
    assert table["sha256"] == [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    assert table["origin"] == [f"image {place}" for place in range(751)]


def test_jpeg_shards_are_read_as_pillow_decodes_them_and_hashed_so(tmp_path: Path):
    images, labels, _ = make(tmp_path, [20, 1, 9], side=24, jpeg_quality=80)
    reader = open_reader(tmp_path)
    batches = [batch for shard, count in enumerate([20, 1, 9]) for batch in reader.batches(shard, np.arange(count), 8)]
    found, index = (torch.cat([getattr(batch, name) for batch in batches]).numpy() for name in ("images", "index"))
    hashes = {row["index"]: row["sha256"] for row in pq.read_table(tmp_path / MANIFEST).to_pylist()}
    assert reader.backend == "numpy" and reader.shards.jpeg and reader.shards.nbytes == images.nbytes
    assert sorted(index) == list(range(10, 100, 3))
    for image, number in zip(found, index, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(images[(number - 10) // 3]).save(buffer, "JPEG", quality=80, subsampling=0)
        np.testing.assert_array_equal(image, np.asarray(Image.open(buffer)))
        assert hashes[number] == hashlib.sha256(image.tobytes()).hexdigest()


def test_jpeg_shards_never_reach_ffcv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path, [3], side=8, jpeg_quality=80)
    for installed in (object(), None):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, found=installed: found)
        assert open_reader(tmp_path, "auto").backend == "numpy"
        with pytest.raises(Refused, match="two thirds of the pixel values"):
            open_reader(tmp_path, "ffcv")


def test_a_damaged_jpeg_is_refused_and_no_other_sample_stands_in_for_it(tmp_path: Path):
    make(tmp_path, [6], side=24, jpeg_quality=80)
    path = tmp_path / shard_name(0)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"\xff\xd8\xff")] = 0
    path.write_bytes(data)
    batches = open_reader(tmp_path).batches(0, np.arange(6), 5)
    assert len(next(batches).images) == 5
    with pytest.raises(Refused, match="image 5 is no page"):
        next(batches)


def test_a_raw_shard_among_jpeg_shards_is_refused(tmp_path: Path):
    images, labels, _ = make(tmp_path, [4, 4], side=8, jpeg_quality=80)
    index = ShardSet(tmp_path).open(1).index
    places = (index - 10) // 3
    write_beton(tmp_path / shard_name(1), images[places], labels[places], index)
    with pytest.raises(Refused, match="not the shard its manifest describes"):
        ShardSet(tmp_path).open(1)


@needs_ffcv
def test_ffcvs_own_reader_finds_our_jpeg_pages(tmp_path: Path):
    from ffcv.reader import Reader as FfcvsReader

    make(tmp_path, [5], side=24, jpeg_quality=80)
    path, file = tmp_path / shard_name(0), BetonFile(tmp_path / shard_name(0))
    reader, data = FfcvsReader(str(path)), path.read_bytes()
    size = dict(zip(reader.alloc_table["ptr"].tolist(), reader.alloc_table["size"].tolist(), strict=True))
    for row, (mode, width, height, at) in enumerate(reader.metadata["f0"].tolist()):
        assert (mode, width, height) == (0, 24, 24)
        decoded = Image.open(io.BytesIO(data[at : at + size[at]]))
        np.testing.assert_array_equal(np.asarray(decoded), file.images(np.array([row]))[0])


@pytest.mark.parametrize("index", [9, 11, 2261, -1])
def test_an_unknown_index_is_refused(made, index):
    with pytest.raises(Refused, match=f"index {index} is not among"):
        ShardSet(made[0]).locate(np.array([10, index]))


def test_the_order_of_the_parts_does_not_change_the_bytes_of_the_manifest(made, tmp_path: Path):
    directory, *_, parts = made
    write_manifest(tmp_path, parts[::-1])
    assert (tmp_path / MANIFEST).read_bytes() == (directory / MANIFEST).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_an_index_in_two_shards_is_refused(made, tmp_path: Path):
    with pytest.raises(Refused, match="occurs twice"):
        write_manifest(tmp_path, [made[3][1], made[3][1]])
    with pytest.raises(Refused, match="at least one shard"):
        write_manifest(tmp_path, [])


def test_an_origin_that_is_no_text_is_kept_escaped(tmp_path: Path):
    images, ones = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1])
    part = write_shard(tmp_path, 0, images, ones, ones, ["\udcff\n-rf", "é"])
    assert part["origin"].to_pylist() == ["\\udcff\n-rf", "é"]
    with pytest.raises(Refused, match="one string for each of 2"):
        write_shard(tmp_path, 0, images, ones, ones, "ab")


def test_the_rejected_are_listed_by_index(tmp_path: Path):
    write_rejected(tmp_path, [7, 3], ["b.jpg", "a.jpg"], ["empty", "truncated"])
    rows = pq.read_table(tmp_path / "rejected.parquet").to_pylist()
    assert rows == [
        {"index": 3, "origin": "a.jpg", "reason": "truncated"},
        {"index": 7, "origin": "b.jpg", "reason": "empty"},
    ]
    write_rejected(tmp_path, [], [], [])
    assert pq.read_table(tmp_path / "rejected.parquet").num_rows == 0


def column(name: str, values: list, kind: pa.DataType | None = None):
    def mutate(table: pa.Table) -> pa.Table:
        field = pa.field(name, kind or table.schema.field(name).type)
        return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))

    return mutate


@pytest.mark.parametrize(
    "mutate",
    [
        lambda table: table.slice(0, 0),
        lambda table: table.slice(1),
        lambda table: table.drop_columns(["row"]),
        lambda table: table.take([1, 0, 2]),
        column("index", [10, 13, None]),
        column("index", [10, 13, 13]),
        column("index", [-10, 13, 16]),
        column("index", [10.0, 13.0, 16.0], pa.float64()),
        column("row", [0, 0, 1]),
        column("row", [1, 2, 3]),
        column("shard", [-1, -1, -1]),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, mutate):
    make(tmp_path, [3], side=4)
    table = pq.read_table(tmp_path / MANIFEST)
    table = column("row", [0, 1, 2])(table)
    pq.write_table(mutate(table), tmp_path / MANIFEST)
    with pytest.raises(Refused):
        ShardSet(tmp_path)


def test_a_directory_without_a_manifest_or_with_garbage_is_refused(tmp_path: Path):
    with pytest.raises(Refused, match="has no manifest"):
        ShardSet(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"PAR1 garbage PAR1")
    with pytest.raises(Refused, match="as Parquet"):
        ShardSet(tmp_path)


def test_a_shard_that_is_not_the_one_in_the_manifest_is_refused(tmp_path: Path):
    make(tmp_path, [3], side=4)
    images = np.zeros((3, 4, 4, 3), np.uint8)
    write_beton(tmp_path / shard_name(0), images, np.zeros(3, np.int64), np.arange(3))
    with pytest.raises(Refused, match="not the shard its manifest describes"):
        ShardSet(tmp_path).open(0)
