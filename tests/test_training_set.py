"""Laws of an epoch: every sample once, in an order that is a function of the key, shared evenly among workers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.core.errors import Refused
from ray_defense.data.suspect_dataset import write_manifest, write_shard
from ray_defense.data.training_set import Share, TrainingSet

CPU = torch.device("cpu")
COUNTS = (37, 1, 20, 42)  # samples of each shard
needs_ffcv = pytest.mark.skipif(importlib.util.find_spec("ffcv") is None, reason="FFCV is not installed")


def write(directory: Path, counts: tuple[int, ...]) -> None:
    """Writes shards whose sample of index i (5, 8, 11, ...) has label i % 7 and pixels i % 256."""
    parts, first = [], 0
    for shard, count in enumerate(counts):
        index = 5 + 3 * np.arange(first, first + count)
        images = np.zeros((count, 8, 8, 3), np.uint8) + (index % 256).astype(np.uint8)[:, None, None, None]
        parts.append(write_shard(directory, shard, images, index % 7, index, [""] * count))
        first += count
    write_manifest(directory, parts)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("shards")
    write(directory, COUNTS)
    return directory


@pytest.fixture(scope="module", params=[1 << 20, 0], ids=["resident", "streamed"])
def data(request, directory) -> TrainingSet:
    data = TrainingSet(directory, CPU, "numpy", request.param)
    assert data.resident is (request.param > 0)
    return data


def indices(batches) -> list[list[int]]:
    """Returns the indices of each batch, after a look at its labels and pixels."""
    found = []
    for batch in batches:
        assert torch.equal(batch.labels, batch.index % 7)
        assert batch.images.dtype == torch.uint8 and batch.images.shape[1:] == (8, 8, 3)
        assert (batch.images == (batch.index % 256)[:, None, None, None]).all()
        found.append(batch.index.tolist())
    return found


def test_an_epoch_holds_every_sample_once_with_its_own_label_and_pixels(data):
    batches = indices(data.epoch(3, 16))
    assert [len(batch) for batch in batches] == [16] * 6 + [4]
    assert sorted(sum(batches, [])) == data.index.tolist() == list(range(5, 305, 3))


def test_the_last_smaller_batch_is_dropped_only_on_request(data):
    kept = indices(data.epoch(3, 16))
    assert indices(data.epoch(3, 16, drop_last=True)) == kept[:-1]
    assert indices(data.epoch(3, 25, drop_last=True)) == indices(data.epoch(3, 25))
    with pytest.raises(Refused, match="make it smaller"):
        data.epoch(3, 101, drop_last=True)
    assert len(indices(data.epoch(3, 101))[0]) == 100


def test_the_order_is_a_function_of_the_key(data):
    first = indices(data.epoch(3, 16))
    indices(data.epoch(4, 7))
    assert indices(data.epoch(3, 16)) == first
    assert indices(data.epoch(4, 16)) != first
    assert sum(indices(data.epoch(3, 10)), []) == sum(first, [])  # the batch size cuts the same order


def test_the_order_is_shuffled_within_and_across_shards(data):
    order = np.array(sum(indices(data.epoch(3, 16)), []))
    assert 0.3 < np.mean(np.diff(order) > 0) < 0.7
    assert (order == data.index).sum() < 10


def test_shares_of_a_resident_batch_are_disjoint_equally_long_and_together_the_batch(directory):
    data = TrainingSet(directory, CPU, "numpy", 1 << 20)
    whole = indices(data.epoch(3, 12))
    parts = [indices(data.epoch(3, 12, Share(rank, 4))) for rank in range(4)]
    assert len({len(part) for part in parts}) == 1 and len(parts[0]) == 9
    for batch, *shares in zip(whole, *parts, strict=True):
        assert len({len(share) for share in shares}) == 1
        assert sorted(sum(shares, [])) == sorted(batch)


def test_a_share_leaves_out_fewer_positions_than_workers():
    positions = np.arange(11)
    shares = [Share(rank, 4).of(positions) for rank in range(4)]
    assert [len(share) for share in shares] == [2] * 4
    assert sorted(np.concatenate(shares)) == list(range(8))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1 << 20, 0]),
    st.lists(st.integers(0, 99), min_size=1, max_size=100, unique=True),
    st.integers(1, 9),
    st.integers(1, 5),
    st.booleans(),
)
def test_every_worker_yields_num_steps_batches_of_equal_sizes(directory, resident_bytes, chosen, local, workers, drop_last):
    data = TrainingSet(directory, CPU, "numpy", resident_bytes, 5 + 3 * np.array(chosen))
    shares = [Share(rank, workers) for rank in range(workers)]
    if not data.num_steps(local * workers, shares[0], drop_last):
        with pytest.raises(Refused, match="make it smaller"):
            data.epoch(1, local * workers, shares[0], drop_last)
        return
    parts = [indices(data.epoch(1, local * workers, share, drop_last)) for share in shares]
    steps = {data.num_steps(local * workers, share, drop_last) for share in shares}
    assert steps == {len(part) for part in parts}
    sizes = [[len(batch) for batch in part] for part in parts]
    assert all(size == sizes[0] for size in sizes)
    assert all(size == local for size in sizes[0][:-1]) and 0 not in sizes[0]
    seen = sum((sum(part, []) for part in parts), [])
    assert len(set(seen)) == len(seen) and set(seen) <= set(data.index.tolist())
    if drop_last:
        assert all(size == local for size in sizes[0])
    else:
        left_out = (workers - 1) * (1 if resident_bytes else len(COUNTS))  # of the epoch, or of every shard
        assert len(data) - len(seen) <= left_out


def test_only_the_selected_indices_come_in_any_order_of_the_selection(directory):
    select = np.array([302, 5, 8, 119, 116])  # of three shards, one of them shard 1 whole
    for resident_bytes in (1 << 20, 0):
        data = TrainingSet(directory, CPU, "numpy", resident_bytes, select)
        assert len(data) == 5 and data.index.tolist() == sorted(select)
        assert sorted(sum(indices(data.epoch(0, 2)), [])) == sorted(select)


def test_an_unknown_index_an_empty_selection_and_an_uneven_batch_are_refused(directory, data):
    with pytest.raises(Refused, match="index 6 is not among"):
        TrainingSet(directory, CPU, "numpy", 0, np.array([5, 6]))
    with pytest.raises(Refused, match="nothing to train on"):
        TrainingSet(directory, CPU, "numpy", 0, np.array([], np.int64))
    with pytest.raises(Refused, match="a batch of 10 cannot be shared by 4 workers"):
        data.epoch(0, 10, Share(0, 4))


def test_a_set_is_resident_up_to_the_limit_and_not_a_byte_beyond(directory):
    size = 100 * 8 * 8 * 3
    assert TrainingSet(directory, CPU, "numpy", size).resident
    assert not TrainingSet(directory, CPU, "numpy", size - 1).resident


def test_a_change_to_a_batch_does_not_reach_the_set(data):
    before = indices(data.epoch(3, 16))
    for batch in data.epoch(3, 16):
        batch.images.zero_()
        batch.labels.zero_()
    assert indices(data.epoch(3, 16)) == before


@needs_ffcv
def test_the_batches_are_the_same_through_ffcv_and_numpy(directory):
    sets = [TrainingSet(directory, CPU, backend, 0) for backend in ("ffcv", "numpy")]
    for share in (Share(), Share(1, 2)):
        for fast, plain in zip(*(data.epoch(3, 16, share) for data in sets), strict=True):
            assert all(torch.equal(getattr(fast, n), getattr(plain, n)) for n in ("images", "labels", "index"))
