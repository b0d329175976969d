"""Coherence and AUROC against their definitions, written as loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.coherence import area_under_roc, next_bands, seed_coherence

SCORES = st.lists(st.integers(-3, 3).map(float) | st.floats(-4, 4), min_size=1, max_size=25)


def auroc_loop(positive, negative):
    wins = 0.0
    for high in positive:
        for low in negative:
            if high > low:
                wins += 1
            elif high == low:
                wins += 0.5
    return wins / (len(positive) * len(negative))


@given(SCORES, SCORES)
def test_an_auroc_counts_pairs(positive, negative):
    auroc = area_under_roc(np.array(positive), np.array(negative))
    assert auroc == pytest.approx(auroc_loop(positive, negative), abs=1e-12)
    swapped = area_under_roc(np.array(negative), np.array(positive))
    assert auroc + swapped == pytest.approx(1)


@given(SCORES, st.lists(SCORES, min_size=1, max_size=4))
def test_coherence_is_the_highest_auroc_of_seeds_against_a_band(seeds, bands):
    coherence = seed_coherence(np.array(seeds), [np.array(band) for band in bands])
    expected = [auroc_loop(seeds, band) for band in bands]
    assert coherence.auroc_of_bands == pytest.approx(tuple(expected), abs=1e-12)
    assert coherence.auroc == max(coherence.auroc_of_bands)


@given(
    st.lists(st.integers(0, 5).map(float), min_size=1, max_size=40),
    st.integers(1, 50),
    st.integers(1, 5),
)
def test_bands_follow_the_seeds_in_the_order_of_scores_then_positions(scores, num_seeds, num_bands):
    ranked = sorted(range(len(scores)), key=lambda position: (scores[position], position))
    ranked.reverse()
    expected = []
    for band in range(1, num_bands + 1):
        members = ranked[band * num_seeds : (band + 1) * num_seeds]
        if members:
            expected.append(sorted(members))
    bands = next_bands(np.array(scores), num_seeds, num_bands)
    assert [band.tolist() for band in bands] == expected


def test_seeds_with_a_trigger_are_coherent_though_the_nearest_band_has_it_too():
    generator = np.random.default_rng(0)
    with_trigger = generator.normal(loc=5, size=(2, 100))
    without = generator.normal(loc=-5, size=100)
    coherence = seed_coherence(with_trigger[0], [with_trigger[1], without])
    assert coherence.auroc_of_bands[0] < 0.65
    assert coherence.auroc > 0.99


def test_seeds_like_their_neighbors_are_not_coherent():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(4, 200))
    assert seed_coherence(scores[0], list(scores[1:])).auroc < 0.6


@pytest.mark.parametrize(
    ("seeds", "bands"),
    [([1.0], []), ([], [[1.0]]), ([1.0], [[]]), ([math.nan], [[1.0]]), ([1.0], [[math.inf]])],
)
def test_what_cannot_be_compared_is_refused(seeds, bands):
    with pytest.raises(InputError):
        seed_coherence(np.array(seeds), [np.array(band) for band in bands])
