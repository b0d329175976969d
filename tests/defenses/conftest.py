"""Fixtures of the tests of defenses."""

import pytest

from tests.support.defended_noise import DefendedNoise, defended_noise


@pytest.fixture
def noise(tmp_path) -> DefendedNoise:
    """36 small images of noise, in a store of their own."""
    return defended_noise(tmp_path / "store")
