"""Laws of an epoch: every sample once, in an order given by the key, shared evenly by workers."""

import importlib.util
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.suspect_dataset import write_manifest, write_shard
from ray_defense.data.training_set import TrainingSet, WorkerShare

CPU = torch.device("cpu")
COUNTS = (37, 1, 20, 42)  # samples of each shard
RESIDENT = 1 << 20
STREAMED = 0
needs_ffcv = pytest.mark.skipif(
    importlib.util.find_spec("ffcv") is None, reason="FFCV is not installed"
)


def write_dataset(directory: Path, counts: tuple[int, ...]) -> None:
    """Writes shards whose sample of index i (5, 8, 11, ...) has label i % 7 and pixels i % 256."""
    parts = []
    first = 0
    for shard, count in enumerate(counts):
        index = 5 + 3 * np.arange(first, first + count)
        gray = (index % 256).astype(np.uint8)
        images = np.zeros((count, 8, 8, 3), np.uint8) + gray[:, None, None, None]
        origin = [""] * count
        part = write_shard(directory, shard, images, labels=index % 7, index=index, origin=origin)
        parts.append(part)
        first += count
    write_manifest(directory, parts)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("shards")
    write_dataset(directory, COUNTS)
    return directory


@pytest.fixture(scope="module", params=[RESIDENT, STREAMED], ids=["resident", "streamed"])
def data(request, directory) -> TrainingSet:
    data = TrainingSet(directory, CPU, "numpy", resident_bytes=request.param)
    assert data.resident is (request.param > 0)
    return data


def batch_indices(batches: Iterable[ImageBatch]) -> list[list[int]]:
    """Returns the indices of each batch, after a look at its labels and pixels."""
    indices = []
    for batch in batches:
        assert torch.equal(batch.labels, batch.index % 7)
        assert batch.images.dtype == torch.uint8
        assert batch.images.shape[1:] == (8, 8, 3)
        assert (batch.images == (batch.index % 256)[:, None, None, None]).all()
        indices.append(batch.index.tolist())
    return indices


def flatten(batches: Iterable[list[int]]) -> list[int]:
    return list(chain.from_iterable(batches))


def test_an_epoch_holds_every_sample_once_with_its_own_label_and_pixels(data):
    batches = batch_indices(data.epoch(3, 16))
    assert [len(batch) for batch in batches] == [16] * 6 + [4]
    assert sorted(flatten(batches)) == data.index.tolist() == list(range(5, 305, 3))


def test_the_last_smaller_batch_is_dropped_only_on_request(data):
    kept = batch_indices(data.epoch(3, 16))
    assert batch_indices(data.epoch(3, 16, drop_last=True)) == kept[:-1]
    even = batch_indices(data.epoch(3, 25))
    assert batch_indices(data.epoch(3, 25, drop_last=True)) == even
    with pytest.raises(InputError, match="make it smaller"):
        data.epoch(3, 101, drop_last=True)
    assert len(batch_indices(data.epoch(3, 101))[0]) == 100


def test_the_order_is_a_function_of_the_key(data):
    first = batch_indices(data.epoch(3, 16))
    batch_indices(data.epoch(4, 7))
    assert batch_indices(data.epoch(3, 16)) == first
    assert batch_indices(data.epoch(4, 16)) != first
    # The batch size cuts the same order.
    assert flatten(batch_indices(data.epoch(3, 10))) == flatten(first)


def test_the_order_is_shuffled_within_and_across_shards(data):
    order = np.array(flatten(batch_indices(data.epoch(3, 16))))
    assert 0.3 < np.mean(np.diff(order) > 0) < 0.7
    assert (order == data.index).sum() < 10


def test_shares_of_a_resident_batch_are_disjoint_equally_long_and_together_the_batch(directory):
    data = TrainingSet(directory, CPU, "numpy", resident_bytes=RESIDENT)
    batches = batch_indices(data.epoch(3, 12))
    shares = [batch_indices(data.epoch(3, 12, WorkerShare(rank, 4))) for rank in range(4)]
    assert [len(share) for share in shares] == [9] * 4
    for step in range(9):
        parts = [share[step] for share in shares]
        assert len({len(part) for part in parts}) == 1
        assert sorted(flatten(parts)) == sorted(batches[step])
    assert len(batches) == 9


def test_a_share_leaves_out_fewer_positions_than_workers():
    positions = np.arange(11)
    shares = [WorkerShare(rank, 4).select(positions) for rank in range(4)]
    assert [len(share) for share in shares] == [2] * 4
    assert sorted(np.concatenate(shares)) == list(range(8))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([RESIDENT, STREAMED]),
    st.lists(st.integers(0, 99), min_size=1, max_size=100, unique=True),
    st.integers(1, 9),
    st.integers(1, 5),
    st.booleans(),
)
def test_every_worker_yields_num_steps_batches_of_equal_sizes(
    directory, resident_bytes, positions, local_size, num_workers, drop_last
):
    select = 5 + 3 * np.array(positions)
    data = TrainingSet(directory, CPU, "numpy", resident_bytes=resident_bytes, select=select)
    batch_size = local_size * num_workers
    shares = [WorkerShare(rank, num_workers) for rank in range(num_workers)]
    num_steps = data.num_steps(batch_size, shares[0], drop_last)
    if not num_steps:
        with pytest.raises(InputError, match="make it smaller"):
            data.epoch(1, batch_size, shares[0], drop_last=drop_last)
        return
    sizes_of_workers = []
    yielded = []
    for share in shares:
        assert data.num_steps(batch_size, share, drop_last) == num_steps
        batches = batch_indices(data.epoch(1, batch_size, share, drop_last=drop_last))
        assert len(batches) == num_steps
        sizes_of_workers.append([len(batch) for batch in batches])
        yielded += flatten(batches)
    sizes = sizes_of_workers[0]
    assert sizes_of_workers == [sizes] * num_workers
    assert sizes[:-1] == [local_size] * (num_steps - 1)
    assert 0 not in sizes
    assert len(set(yielded)) == len(yielded)
    assert set(yielded) <= set(data.index.tolist())
    if drop_last:
        assert sizes == [local_size] * num_steps
    else:
        # Fewer than one sample a worker is left out of the resident epoch, or of every shard.
        num_remainders = 1 if resident_bytes else len(COUNTS)
        assert len(data) - len(yielded) <= (num_workers - 1) * num_remainders


@pytest.mark.parametrize("resident_bytes", [RESIDENT, STREAMED])
def test_only_the_selected_indices_come_in_any_order_of_the_selection(directory, resident_bytes):
    select = np.array([302, 5, 8, 119, 116])  # of three shards; shard 1 is selected whole
    data = TrainingSet(directory, CPU, "numpy", resident_bytes=resident_bytes, select=select)
    assert len(data) == 5
    assert data.index.tolist() == sorted(select)
    assert sorted(flatten(batch_indices(data.epoch(0, 2)))) == sorted(select)


def test_an_unknown_index_an_empty_selection_and_an_uneven_batch_are_refused(directory, data):
    unknown = np.array([5, 6])
    with pytest.raises(InputError, match="index 6 is not among"):
        TrainingSet(directory, CPU, "numpy", resident_bytes=0, select=unknown)
    empty = np.array([], np.int64)
    with pytest.raises(InputError, match="nothing to train on"):
        TrainingSet(directory, CPU, "numpy", resident_bytes=0, select=empty)
    with pytest.raises(InputError, match="a batch of 10 cannot be shared by 4 workers"):
        data.epoch(0, 10, WorkerShare(0, 4))


def test_a_set_is_resident_up_to_the_limit_and_not_a_byte_beyond(directory):
    size = 100 * 8 * 8 * 3
    assert TrainingSet(directory, CPU, "numpy", resident_bytes=size).resident
    assert not TrainingSet(directory, CPU, "numpy", resident_bytes=size - 1).resident


def test_a_change_to_a_batch_does_not_reach_the_set(data):
    before = batch_indices(data.epoch(3, 16))
    for batch in data.epoch(3, 16):
        batch.images.zero_()
        batch.labels.zero_()
    assert batch_indices(data.epoch(3, 16)) == before


@needs_ffcv
@pytest.mark.parametrize("share", [WorkerShare(), WorkerShare(1, 2)])
def test_the_batches_are_the_same_through_ffcv_and_numpy(directory, share):
    through_ffcv = TrainingSet(directory, CPU, "ffcv", resident_bytes=0)
    through_numpy = TrainingSet(directory, CPU, "numpy", resident_bytes=0)
    ffcv_batches = through_ffcv.epoch(3, 16, share)
    numpy_batches = through_numpy.epoch(3, 16, share)
    for ffcv_batch, numpy_batch in zip(ffcv_batches, numpy_batches, strict=True):
        assert torch.equal(ffcv_batch.images, numpy_batch.images)
        assert torch.equal(ffcv_batch.labels, numpy_batch.labels)
        assert torch.equal(ffcv_batch.index, numpy_batch.index)
