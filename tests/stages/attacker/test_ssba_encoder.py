"""The configuration of SSBA's encoder: its ramp of weights, and what is refused."""

import pytest

from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.models.steganography import Steganography
from ray_defense.stages.attacker.ssba_encoder import SsbaEncoderConfig


@pytest.mark.parametrize(
    ("position", "weight"), [(0, 0), (0.2, 0), (0.35, 0.5), (0.5, 1), (0.9, 1)]
)
def test_the_image_weights_rise_between_the_two_ends_of_the_ramp(position, weight):
    assert SsbaEncoderConfig().weight_at(position) == pytest.approx(weight)
    assert SsbaEncoderConfig(ramp=(0.0, 0.0)).weight_at(position) == 1


def test_an_encoder_of_no_code_word_or_with_a_falling_ramp_is_refused():
    with pytest.raises(InputError, match="no code word has 20 bits"):
        SsbaEncoderConfig(Steganography(20))
    with pytest.raises(InputError, match="two rising shares"):
        SsbaEncoderConfig(ramp=(0.5, 0.2))
    assert override(SsbaEncoderConfig(), "model.num_bits", "45").model.num_bits == 45
