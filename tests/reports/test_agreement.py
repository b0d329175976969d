"""Who agrees: shares and rank correlations against their definitions."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from ray_defense.reports.agreement import measure_agreement


def test_shares_and_correlations_are_those_of_their_definitions():
    draw = np.random.default_rng(0)
    first = draw.normal(0, 1, 200)
    second = np.round(first + draw.normal(0, 1, 200))  # with ties
    agreement = measure_agreement({"first": first, "second": second}, 20)
    top_of_first = set(np.argsort(-first, kind="stable")[:20].tolist())
    top_of_second = set(np.argsort(-second, kind="stable")[:20].tolist())
    assert agreement.shared[0][1] == len(top_of_first & top_of_second) / 20
    assert agreement.spearman[0][1] == pytest.approx(spearmanr(first, second).statistic)
    assert agreement.shared[0][0] == 1
    assert agreement.expected == 0.1


def test_a_column_without_an_order_agrees_with_none_and_a_missing_value_ranks_last():
    column = np.array([np.nan, 3.0, 2.0, 1.0])
    columns = {"flat": np.ones(4), "some": column, "same": np.array([-9.0, 3.0, 2.0, 1.0])}
    agreement = measure_agreement(columns, 1)
    assert agreement.shared[0] == (None, None, None)
    assert agreement.spearman[0] == (None, None, None)
    assert agreement.spearman[1][2] == pytest.approx(1)


def test_where_nothing_is_flagged_five_percent_of_the_samples_are_asked_for():
    assert measure_agreement({"a": np.arange(41.0)}, 0).num_top == 3
    assert measure_agreement({}, 0).columns == ()
