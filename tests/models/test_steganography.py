"""The configuration of the networks that hide bits."""

from tests.support.import_cost import heavy_imports


def test_a_configuration_imports_no_heavy_package():
    code = "from ray_defense.models.steganography import Steganography\nSteganography()\n"
    assert heavy_imports(code) == []
