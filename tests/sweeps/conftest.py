"""The recipe that the tests of sweeps change."""

from dataclasses import replace
from pathlib import Path

import pytest

from ray_defense.pipeline.recipe import Recipe
from tests.support import tiny


@pytest.fixture
def base(digits: Path) -> Recipe:
    """The tiny recipe without a model but the probe."""
    return replace(tiny.recipe(digits), backdoored=None, defenses=())
