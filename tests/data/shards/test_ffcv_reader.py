"""The reader through FFCV gives the tensors of NumPy's, and ends where FFCV would hang."""

import gc
import importlib.util
import queue
import sys
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.ffcv_reader import FfcvReader, receive_batch
from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.shards.reader import ShardReader
from ray_defense.data.suspect_dataset import SuspectDataset, shard_name
from tests.support.random_datasets import RandomDataset, write_random_dataset
from tests.support.shard_batches import check_batches, check_random_passes, check_refusals

needs_ffcv = pytest.mark.skipif(
    importlib.util.find_spec("ffcv") is None, reason="FFCV is not installed"
)


@pytest.fixture(scope="module")
def ffcv_reader(dataset: RandomDataset) -> ShardReader:
    return open_reader(dataset.directory, "ffcv")


@needs_ffcv
def test_ffcv_reads_every_sample_in_the_order_asked_for(dataset, ffcv_reader):
    num_threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        check_random_passes(ffcv_reader, dataset)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(num_threads)


@needs_ffcv
def test_unknown_shards_rows_and_batch_sizes_are_refused_at_the_call(dataset):
    reader = open_reader(dataset.directory, "ffcv")
    assert reader.backend == "ffcv"
    check_refusals(reader)


@needs_ffcv
def test_both_readers_give_the_same_tensors(dataset, ffcv_reader):
    rows = np.concatenate([np.arange(600)[::-1], [5, 5, 5]])
    numpy_batches = open_reader(dataset.directory, "numpy").batches(0, rows, 100)
    ffcv_batches = ffcv_reader.batches(0, rows, 100)
    for ours, theirs in zip(numpy_batches, ffcv_batches, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(ours.index, theirs.index)


@needs_ffcv
def test_both_readers_give_the_same_large_images(tmp_path: Path):
    write_random_dataset(tmp_path, [30], side=224)
    rows = np.random.default_rng(0).permutation(30)
    numpy_batches = list(open_reader(tmp_path, "numpy").batches(0, rows, 8))
    ffcv_batches = list(open_reader(tmp_path, "ffcv").batches(0, rows, 8))
    assert len(numpy_batches) == 4
    for ours, theirs in zip(numpy_batches, ffcv_batches, strict=True):
        assert torch.equal(ours.images, theirs.images)


@needs_ffcv
def test_an_epoch_of_ffcv_left_early_leaves_no_thread_and_the_next_is_whole(dataset, ffcv_reader):
    threads_before = set(threading.enumerate())
    batches = ffcv_reader.batches(0, np.arange(700), 2)
    next(batches)
    new_threads = set(threading.enumerate()) - threads_before
    batches.close()
    for thread in new_threads:
        thread.join(120)
    assert new_threads
    assert not any(thread.is_alive() for thread in new_threads)
    index = ffcv_reader.dataset.open_shard(0).index
    next_epoch = list(ffcv_reader.batches(0, np.arange(700), 100))
    check_batches(next_epoch, index, dataset, batch_size=100)


@needs_ffcv
def test_two_epochs_of_ffcv_may_run_side_by_side(dataset, ffcv_reader):
    batches_0 = ffcv_reader.batches(0, np.arange(50), 10)
    batches_1 = ffcv_reader.batches(1, np.arange(50), 25)
    first_0 = next(batches_0)
    first_1 = next(batches_1)
    index_0 = ffcv_reader.dataset.open_shard(0).index[:50]
    index_1 = ffcv_reader.dataset.open_shard(1).index
    check_batches([first_0, *batches_0], index_0, dataset, batch_size=10)
    check_batches([first_1, *batches_1], index_1, dataset, batch_size=25)


@needs_ffcv
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc")
def test_ffcv_keeps_no_shard_in_memory_but_the_last(tmp_path: Path, ffcv_reader):
    write_random_dataset(tmp_path, [3] * 6, side=8)
    usual_dataset = ffcv_reader.dataset
    ffcv_reader.dataset = SuspectDataset(tmp_path)
    mapped = set()
    gc.disable()  # cycles stay: without a large heap the collector may not run for hours
    try:
        for shard in range(1, 6):  # from 1, since the reader may be at another shard 0
            assert len(list(ffcv_reader.batches(shard, np.arange(3), 2))) == 2
        for line in Path("/proc/self/maps").read_text().splitlines():
            if str(tmp_path) in line:
                mapped.add(line.split("/")[-1])
    finally:
        gc.enable()
        ffcv_reader.dataset = usual_dataset
        ffcv_reader._shard = None
    assert mapped == {shard_name(5)}


@needs_ffcv
def test_a_crafted_shard_is_refused_before_ffcv_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_random_dataset(tmp_path, [4, 4])
    reader = open_reader(tmp_path, "ffcv")
    monkeypatch.setattr("ffcv.loader.Loader", None)
    for shard in (1, 0):
        path = tmp_path / shard_name(shard)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1  # the size of the last image
        path.write_bytes(data)
        with pytest.raises(InputError, match="another size"):
            reader.batches(shard, np.arange(4), 2)
    with pytest.raises(InputError, match="another size"):
        open_reader(tmp_path, "ffcv")


class StubEpoch:
    """Stands in for FFCV's EpochIterator: a thread, alive or dead, and the queue that it filled."""

    def __init__(self, alive: bool, *items: object) -> None:
        self.output_queue: queue.Queue = queue.Queue()
        self.terminate_event = threading.Event()
        self.is_alive = lambda: alive
        for item in items:
            self.output_queue.put(item)


def test_a_dead_reading_thread_is_a_failure_once_its_batches_are_delivered():
    epoch = StubEpoch(False, (0, "batch"))
    assert receive_batch(epoch, 60.0) == "batch"
    with pytest.raises(RunError, match="thread died"):
        receive_batch(epoch, 60.0)


def test_a_stuck_reading_thread_is_a_failure_after_the_time_limit():
    epoch = StubEpoch(True)
    with pytest.raises(RunError, match=r"no batch within 0\.05 s"):
        receive_batch(epoch, 0.05)
    assert epoch.terminate_event.is_set()


def test_ffcv_that_cannot_be_imported_is_refused(dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "ffcv.loader", None)
    monkeypatch.setitem(sys.modules, "ffcv", None)
    with pytest.raises(InputError, match="cannot be imported"):
        FfcvReader(SuspectDataset(dataset.directory))


@needs_ffcv
def test_ffcvs_own_reader_finds_our_jpeg_pages(tmp_path: Path):
    from ffcv.reader import Reader

    write_random_dataset(tmp_path, [5], side=24, jpeg_quality=80)
    path = tmp_path / shard_name(0)
    data = path.read_bytes()
    file = BetonFile(path)
    reader = Reader(str(path))
    offsets = reader.alloc_table["ptr"].tolist()
    size_at = dict(zip(offsets, reader.alloc_table["size"].tolist(), strict=True))
    for row, (mode, width, height, offset) in enumerate(reader.metadata["f0"].tolist()):
        assert (mode, width, height) == (0, 24, 24)
        decoded = Image.open(BytesIO(data[offset : offset + size_at[offset]]))
        np.testing.assert_array_equal(np.asarray(decoded), file.images(np.array([row]))[0])
