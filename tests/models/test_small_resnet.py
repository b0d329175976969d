"""The small ResNet's parameter."""

import pytest

from ray_defense.core.errors import InputError
from ray_defense.models.small_resnet import SmallResNet


def test_no_width_is_refused():
    with pytest.raises(InputError, match="width"):
        SmallResNet(width=0)
