"""SSIM against its formula at every pixel, and what it refuses."""

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.losses.similarity import structural_similarity


def gaussian_window() -> np.ndarray:
    profile = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(profile, profile)
    return window / window.sum()


def similarity_loops(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the mean over all pixels of the SSIM of two gray images."""
    window = gaussian_window()
    padded_a = np.pad(a, 5, mode="reflect")
    padded_b = np.pad(b, 5, mode="reflect")
    height, width = a.shape
    total = 0.0
    for row in range(height):
        for column in range(width):
            x = padded_a[row : row + 11, column : column + 11]
            y = padded_b[row : row + 11, column : column + 11]
            mean_x = (window * x).sum()
            mean_y = (window * y).sum()
            variance_x = (window * (x - mean_x) ** 2).sum()
            variance_y = (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            upper = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
            lower = (mean_x**2 + mean_y**2 + 1e-4) * (variance_x + variance_y + 9e-4)
            total += upper / lower
    return total / (height * width)


def test_structural_similarity_is_its_formula_at_every_pixel():
    rng = np.random.default_rng(0)
    a = rng.random((12, 9))
    b = np.clip(a + rng.normal(0, 0.2, a.shape), 0, 1)
    # The first channel is compared with another image, the second with itself.
    images_a = torch.from_numpy(np.stack([a, a])[None])
    images_b = torch.from_numpy(np.stack([b, a])[None])
    similarity = structural_similarity(images_a, images_b)
    assert similarity.shape == (1,)
    assert similarity.item() == pytest.approx((similarity_loops(a, b) + 1.0) / 2, abs=1e-9)
    of_equal_channels = structural_similarity(images_a[:, 1:], images_b[:, 1:])
    assert of_equal_channels.item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shape_a", "shape_b"),
    [((1, 3, 8, 8), (1, 3, 8, 9)), ((3, 8, 8), (3, 8, 8)), ((1, 3, 8, 5), (1, 3, 8, 5))],
)
def test_images_of_unequal_shape_or_too_small_to_mirror_are_refused(shape_a, shape_b):
    with pytest.raises(InputError, match="6 pixels a side or more"):
        structural_similarity(torch.zeros(shape_a), torch.zeros(shape_b))
