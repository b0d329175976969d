"""Which samples are seeds, and which pseudo-seeds."""

import numpy as np

from ray_defense.detectors.seeds import SeedRule, choose_seeds, pseudo_seeds

# 30 finds far above the largest of 100 statistics whose signs are balanced.
NULL = np.array([(-1) ** number * (1 + number / 100) for number in range(100)])
STATISTICS = np.concatenate((NULL, np.full(30, 9.0)))


def test_seeds_by_a_rate_are_the_finds_of_knockoff_plus() -> None:
    assert choose_seeds(SeedRule("mirror", rate=0.05), STATISTICS).tolist() == list(range(100, 130))
    assert choose_seeds(SeedRule("mirror", rate=0.01), STATISTICS).tolist() == []


def test_seeds_by_number_are_the_highest_scores() -> None:
    scores = np.array([0.5, 3.0, 1.0, 2.0])
    assert choose_seeds(SeedRule("fct", num_highest=2), scores).tolist() == [1, 3]


def test_seeds_above_zero_are_no_others() -> None:
    scores = np.array([0.5, 0.0, -1.0, 2.0])
    assert choose_seeds(SeedRule("grow", above_zero=True), scores).tolist() == [0, 3]


def test_pseudo_seeds_are_as_many_next_in_the_order_of_scores() -> None:
    scores = np.array([9.0, 8.0, 1.0, 7.0, 6.0, 5.0])
    assert pseudo_seeds(scores, 2, 1).tolist() == [3, 4]
    assert pseudo_seeds(scores, 2, 2).tolist() == [2, 5]
    assert pseudo_seeds(scores, 2, 3).tolist() == []
    assert pseudo_seeds(scores, 0, 1).tolist() == []
