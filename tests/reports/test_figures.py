"""Plots of any data, the same for the same data, and images whose pixels stay what they are."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ray_defense.reports import figures


def test_the_same_scores_give_the_same_plot_without_date_and_creator():
    scores = np.arange(10.0)
    svg = figures.draw_roc_curve(scores, scores > 6)
    assert figures.draw_roc_curve(scores, scores > 6) == svg
    assert "dc:date" not in svg
    assert "dc:creator" not in svg


def test_a_dollar_in_a_class_name_is_drawn_and_not_read_as_mathematics():
    with_dollars = figures.draw_class_balance([1, 2], ["$\\frac{", "$x$"])
    without_dollars = figures.draw_class_balance([1, 2], ["$\\frac{", "x"])
    assert with_dollars != without_dollars


@pytest.mark.parametrize(
    "scores",
    [
        [0.0] * 20,
        [1e20] * 20,
        [2.0],
        [1.0, 1.0 + 2**-52],
        [0.0] * 19 + [3.0],
        [0.0, 5e-324],
        [0.0, 1e-300, 1e-12, 1.0, 1e30],
        [-1.0, 5.0],
        [-1e38, 1e38],
        np.arange(20.0),
        np.geomspace(1e-3, 1e3, 20),
    ],
)
def test_a_histogram_is_drawn_of_any_finite_scores_and_every_score_is_in_it(scores):
    scores = np.asarray(scores, dtype=np.float64)
    edges, _ = figures.histogram_bins(scores)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    assert np.histogram(scores, edges)[0].sum() == len(scores)
    svg = figures.draw_score_histogram(
        scores,
        scores > scores.mean(),
        trusted_threshold=scores.min(),
        flagged_threshold=scores.max(),
    )
    assert "<svg" in svg


def test_zero_scores_have_a_bin_of_their_own_on_a_logarithmic_axis():
    scores = np.array([0.0, 0.0, 0.0, 1e-6, 1.0])
    edges, linear_until = figures.histogram_bins(scores)
    assert linear_until == 1e-6
    assert np.histogram(scores, edges)[0][0] == 3


def test_a_class_is_called_by_its_number_where_the_font_cannot_draw_its_name():
    assert figures.drawable(3, "zero") == "zero"
    assert figures.drawable(3, "日本") == "class 3"
    assert figures.drawable(3, "a\nb") == "class 3"
    assert figures.drawable(3, "a" * 24) == "a" * 24
    assert figures.drawable(3, "a" * 25) == "a" * 24 + "…"


def test_a_png_data_uri_holds_the_very_pixels():
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)[:, ::-1]
    _, _, encoded = figures.png_uri(image).partition(",")
    stored = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert stored.format == "PNG"
    assert np.array_equal(np.asarray(stored), image)
