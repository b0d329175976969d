"""The score of Eq. (1) and the laws of the split."""

import math
import pickle
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import Refused
from ray_defense.scores import SCORES, FeatureConsistency, feature_consistency, reduce_draws, split_by_score


def features(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_feature_consistency_equals_eq_1_as_loops():
    f, f_tau = features(7, 5, seed=0), features(7, 5, seed=1)
    expected = [
        math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in zip(f.tolist(), f_tau.tolist(), strict=True)
    ]
    score = feature_consistency(f, f_tau)
    assert score.dtype == torch.float64
    assert score.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 3, 64, 512, 2049])
def test_the_score_of_a_sample_has_the_same_bits_in_any_batch(dim):
    f, f_tau = features(33, dim, seed=2), features(33, dim, seed=3)
    whole = feature_consistency(f, f_tau)
    for size in (1, 2, 7, 32):
        parts = [feature_consistency(f[at : at + size], f_tau[at : at + size]) for at in range(0, 33, size)]
        assert torch.equal(torch.cat(parts), whole)


def test_features_of_different_shapes_are_refused():
    with pytest.raises(Refused, match=r"\[3, 4\] and \[3, 5\]"):
        feature_consistency(torch.zeros(3, 4), torch.zeros(3, 5))


@pytest.mark.parametrize("how", ["mean", 0, 0.1, 0.5, 1])
def test_reduced_draws_equal_numpys_and_have_the_same_bits_in_any_batch(how):
    distances = features(32, 9, seed=4).square().numpy().astype(np.float64)
    reduced = reduce_draws(distances, how)
    expected = distances.mean(axis=0) if how == "mean" else np.quantile(distances, how, axis=0)
    np.testing.assert_allclose(reduced, expected, rtol=1e-12)
    alone = np.concatenate([reduce_draws(distances[:, [b]], how) for b in range(9)])
    assert reduced.tobytes() == alone.tobytes()


@pytest.mark.parametrize("how", ["median", "", -0.1, 1.1, float("nan"), "nan"])
def test_another_reduction_is_refused(how):
    with pytest.raises(Refused, match="reduce"):
        reduce_draws(np.ones((2, 3)), how)
    with pytest.raises(Refused, match="reduce"):
        FeatureConsistency(reduce=how)


def test_no_draws_are_refused():
    for wrong in (np.empty((0, 3)), np.ones(3)):
        with pytest.raises(Refused, match="draws"):
            reduce_draws(wrong, "mean")
    with pytest.raises(Refused, match="draws"):
        FeatureConsistency(draws=0)


@pytest.mark.parametrize("name", SCORES)
def test_a_registered_score_knows_its_name_and_is_the_distance_itself_by_default(name):
    score = SCORES[name]()
    distances = np.array([[0.25, 4.0, 0.0]])
    assert score.name == name and score.draws == 1
    assert score.score(distances).tolist() == distances[0].tolist()
    with pytest.raises(Refused, match="1 draws"):
        score.score(np.ones((2, 3)))


def test_a_quantile_typed_as_text_is_the_number_in_the_configuration():
    typed = override(FeatureConsistency(draws=8), "reduce", "0.1")
    assert typed == FeatureConsistency(draws=8, reduce=0.1) == pickle.loads(pickle.dumps(typed))
    assert to_plain(typed) == {"kind": "fct", "draws": 8, "reduce": 0.1}


finite = st.floats(allow_nan=False, allow_infinity=False)
many_ties = st.lists(st.integers(-3, 3).map(float) | finite, min_size=1, max_size=60)
percents = st.tuples(st.integers(0, 100), st.integers(0, 100)).filter(lambda pair: sum(pair) <= 100)


@given(many_ties, percents)
def test_a_split_has_exact_counts_covers_every_position_once_and_orders_scores_then_positions(scores, pair):
    clean, poison = pair
    split = split_by_score(np.array(scores), clean / 100, poison / 100)
    assert len(split.trusted) == clean * len(scores) // 100
    assert len(split.poisoned) == poison * len(scores) // 100
    parts = [split.trusted, split.uncertain, split.poisoned]
    assert all(part.dtype == np.int64 and part.tolist() == sorted(part.tolist()) for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(scores)))
    ranked = [[(scores[position], position) for position in part] for part in parts]
    for low, high in ((0, 1), (1, 2), (0, 2)):
        assert not ranked[low] or not ranked[high] or max(ranked[low]) < min(ranked[high])


@given(st.integers(1, 10**6), st.decimals(0, 1, places=4, allow_nan=False))
def test_counts_are_the_floor_of_the_decimal_fraction(size, fraction):
    size = min(size, 5000)
    split = split_by_score(np.zeros(size), float(fraction), 0)
    assert len(split.trusted) == int(Decimal(size) * fraction)


def test_29_hundredths_of_a_hundred_are_29_and_seven_tenths_and_three_tenths_are_all():
    assert len(split_by_score(np.zeros(100), 0.29, 0).trusted) == 29
    split = split_by_score(np.arange(10.0), 0.7, 0.3)
    assert split.trusted.tolist() == [0, 1, 2, 3, 4, 5, 6] and split.poisoned.tolist() == [7, 8, 9]
    assert not len(split.uncertain)


@pytest.mark.parametrize("fractions", [(-0.1, 0.1), (0.1, 1.1), (0.7, 0.4), (float("nan"), 0.1), (0.1, float("inf"))])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(Refused, match="fraction"):
        split_by_score(np.arange(10.0), *fractions)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_refused_with_its_position(value):
    with pytest.raises(Refused, match="position 3 "):
        split_by_score(np.array([1.0, 2, 3, value, value]), 0.2, 0.05)


@pytest.mark.parametrize("scores", [[], [[1.0, 2.0]], 1.0])
def test_nothing_to_split_is_refused(scores):
    with pytest.raises(Refused, match="nothing to split"):
        split_by_score(np.array(scores), 0.2, 0.05)
