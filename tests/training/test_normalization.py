"""Normalizing is its formula, and values that are no mean or deviation are refused."""

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.training.normalization import NORMALIZATIONS, Normalization


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_normalizing_is_the_difference_over_the_deviation_of_each_channel(name):
    normalization = NORMALIZATIONS[name]
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    normalized = normalization.apply(images)
    for b, c, y, x in np.ndindex(2, 3, 4, 5):
        difference = images[b, c, y, x].double() - normalization.mean[c]
        expected = difference / normalization.std[c]
        assert abs(normalized[b, c, y, x].item() - expected.item()) < 1e-5


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.5, 0.5, 2), (1, 1, 1)), ((0, 0, 0), (1, 1, 0)), ((-1, 0, 0), (1, 1, 1))],
)
def test_a_normalization_out_of_range_is_refused(mean, std):
    with pytest.raises(InputError, match="normalization"):
        Normalization(mean, std)
