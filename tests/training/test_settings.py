"""Settings of training out of range are refused."""

import math

import pytest

from ray_defense.core.errors import InputError
from ray_defense.training.settings import Sgd, SupervisedConfig


@pytest.mark.parametrize("learning_rate", [-1.0, math.nan])
def test_a_learning_rate_out_of_range_is_refused(learning_rate):
    with pytest.raises(InputError, match="must be at least"):
        Sgd(learning_rate)


@pytest.mark.parametrize("values", [{"epochs": 0}, {"batch_size": 1}])
def test_a_supervised_training_out_of_range_is_refused(values):
    with pytest.raises(InputError, match="must be at least"):
        SupervisedConfig(**values)
