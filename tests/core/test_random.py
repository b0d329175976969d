"""Laws of the random streams: draws depend on (key, index) alone (D10) and are independent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.core.random import permutation, stream, uniform

KEYS = st.integers(0, 2**64 - 1)
INDICES = st.lists(st.integers(0, 2**62), min_size=1, max_size=40)
STREAM_NAMES = st.tuples(
    st.integers(0, 2**32), st.sampled_from(["probe", "d_st", "view"]), st.integers(0, 300)
)


def mix(z: int) -> int:
    """Returns the mixing function of SplitMix64 in whole numbers."""
    mask = 2**64 - 1
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
    return z ^ (z >> 31)


def splitmix64(key: int, index: int, column: int) -> float:
    """Returns the output of SplitMix64 (Steele et al., 2014) `column` steps after a mixed start."""
    mask = 2**64 - 1
    golden = 0x9E3779B97F4A7C15
    state = mix((index * golden + key) & mask)
    return (mix((state + column * golden) & mask) >> 11) / 2**53


@given(KEYS, INDICES, st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_a_draw_is_that_of_splitmix64_on_its_key_and_index(key, index, count):
    expected = []
    for i in index:
        expected.append([splitmix64(key, i, column) for column in range(1, count + 1)])
    assert uniform(key, np.array(index), count).tolist() == expected


@given(KEYS, INDICES, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_a_draw_does_not_depend_on_batch_or_order(key, index, shuffler, num_parts):
    index = np.array(index)
    whole = uniform(key, index, 3)
    parts = [uniform(key, part, 3) for part in np.array_split(index, num_parts)]
    assert np.array_equal(np.concatenate(parts), whole)
    order = list(range(len(index)))
    shuffler.shuffle(order)
    assert np.array_equal(uniform(key, index[order], 3), whole[order])


@given(KEYS, INDICES, st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_asking_for_more_columns_keeps_the_first(key, index, num_first, num_more):
    index = np.array(index)
    draws = uniform(key, index, num_first + num_more)
    assert np.array_equal(draws[:, :num_first], uniform(key, index, num_first))


def test_draws_of_another_integer_type_are_the_same():
    index = np.arange(100)
    assert np.array_equal(uniform(1, index.astype(np.int32), 2), uniform(1, index, 2))


@pytest.mark.parametrize("key", [0, 1, 2**64 - 1, stream(0, "probe"), stream(1, "probe")])
def test_draws_are_uniform_and_uncorrelated(key):
    draws = uniform(key, np.arange(100_000), 4)
    assert draws.min() >= 0
    assert draws.max() < 1
    for column in draws.T:
        counts, _ = np.histogram(column, 50, (0, 1))
        chi_square = ((counts - 2000) ** 2 / 2000).sum()
        assert chi_square < 100  # 49 degrees of freedom: p < 1e-5
    assert np.abs(draws.mean(0) - 1 / 2).max() < 5 / np.sqrt(12 * 100_000)
    assert np.abs(draws.var(0) - 1 / 12).max() < 0.002
    # The columns of each sample, and of the sample after it.
    neighbors = np.concatenate((draws[:-1], draws[1:]), axis=1)
    assert np.abs(np.corrcoef(neighbors.T) - np.eye(8)).max() < 0.02


def test_draws_of_two_streams_are_uncorrelated():
    index = np.arange(100_000)
    keys = [stream(0, "view", 0), stream(0, "view", 1), stream(1, "view", 0), stream(0, "order", 0)]
    draws = np.stack([uniform(key, index, 1)[:, 0] for key in keys])
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 0.02


@given(st.lists(STREAM_NAMES, unique=True))
@settings(max_examples=50, deadline=None)
def test_streams_of_another_seed_or_name_have_another_key(names):
    keys = [stream(*parts) for parts in names]
    assert len(set(keys)) == len(names)
    for key in keys:
        assert 0 <= key < 2**64


def test_names_of_a_stream_do_not_run_together():
    keys = {
        stream(0, "a", "bc"),
        stream(0, "ab", "c"),
        stream(0, "abc"),
        stream(0, "abc", 0),
        stream(0, "abc", 1, 1),
    }
    assert len(keys) == 5
    assert stream(1, 2) != stream(12)


@given(KEYS, st.integers(0, 200))
@settings(max_examples=50, deadline=None)
def test_a_permutation_holds_each_number_once_and_depends_on_its_key(key, count):
    order = permutation(key, count)
    assert sorted(order.tolist()) == list(range(count))
    assert np.array_equal(order, permutation(key, count))
    if count > 20:
        assert not np.array_equal(order, permutation(key ^ 1, count))


def test_streams_draws_and_permutations_are_those_recorded():
    assert stream(7) == 9407870976149377255
    assert stream(0, "probe", "ce", 3) == 14294468947030842690
    assert uniform(stream(0, "probe"), np.array([0, 1, 10**9]), 2).tolist() == [
        [0.4597649254222168, 0.27047587419817065],
        [0.7538763103446522, 0.5114521135141877],
        [0.09502896920953763, 0.27018076614623376],
    ]
    assert permutation(stream(0, "order"), 10).tolist() == [2, 0, 1, 9, 6, 5, 7, 8, 3, 4]
